//! Following, unfollowing, blocking and unblocking.
//!
//! A direct chat stores whether one of its two members blocks the other. Its row is locked first, then the user's.
//! If a direct chat appears in between (both users acted at the same time), the transaction is retried.

use entity::{chat, contact};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveModelTrait, EntityTrait};

use super::{blocked, show};
use crate::clock::Timestamp;
use crate::domain::dispatch::CommandHandler;
use crate::domain::{AppContext, Caller, events, users};
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::platform::bus::Delivery;
use crate::platform::db::{Outcome, Tx};
use crate::protocol::contacts::ContactChanged;
use crate::protocol::contacts::{Block, ContactReply, Follow, Unblock, Unfollow};

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Follow,
    Unfollow,
    Block,
    Unblock,
}

impl What {
    fn event(self, to: UserId, change: &ContactChanged) -> Result<Delivery> {
        match self {
            Self::Follow => events::followed::to_user(to, change),
            Self::Unfollow => events::unfollowed::to_user(to, change),
            Self::Block => events::blocked::to_user(to, change),
            Self::Unblock => events::unblocked::to_user(to, change),
        }
    }

    /// Blocking also changes the direct chat.
    fn is_about_blocking(self) -> bool {
        matches!(self, Self::Block | Self::Unblock)
    }
}

impl CommandHandler for Follow {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<ContactReply>> {
        change(context, caller, self.user.0.id, What::Follow).await
    }
}

impl CommandHandler for Unfollow {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<ContactReply>> {
        change(context, caller, self.user.0.id, What::Unfollow).await
    }
}

impl CommandHandler for Block {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<ContactReply>> {
        change(context, caller, self.user.0.id, What::Block).await
    }
}

impl CommandHandler for Unblock {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<ContactReply>> {
        change(context, caller, self.user.0.id, What::Unblock).await
    }
}

async fn change(
    context: &AppContext,
    caller: &Caller,
    other: UserId,
    what: What,
) -> Result<Outcome<ContactReply>> {
    let me = caller.actor.user_id;
    if me == other {
        return Err(Error::invalid("user.id", "must be another user"));
    }
    let mut tx = context.db.begin().await?;
    let direct = if what.is_about_blocking() { lock_direct(&tx, me, other).await? } else { None };
    let revs = users::advance(tx.conn(), &[me]).await?;
    let user_rev = revs.first().map_or(0, |(_, rev)| *rev);
    if what.is_about_blocking() && direct.is_none() && find_direct(&tx, me, other).await?.is_some() {
        return Err(Error::again("a direct chat was made in this very moment"));
    }
    let before = contact::Entity::find_by_id((me.0, other.0)).one(tx.conn()).await?;
    // Deleted users can still be unfollowed and unblocked.
    if before.is_none() || matches!(what, What::Follow | What::Block) {
        users::find_named(tx.conn(), other, "user.id").await?;
    }
    let blocks_me = contact::Entity::find_by_id((other.0, me.0))
        .one(tx.conn())
        .await?
        .is_some_and(|row| row.blocked_at.is_some());
    let now = context.clock.now();
    let mut row = before.clone().unwrap_or(contact::Model {
        user_id: me.0,
        other_id: other.0,
        followed_at: None,
        blocked_at: None,
        user_rev: 0,
    });
    match what {
        What::Follow if blocks_me || row.blocked_at.is_some() => return Err(blocked("user.id")),
        What::Follow => row.followed_at = row.followed_at.or(Some(now)),
        What::Unfollow => row.followed_at = None,
        What::Block => {
            row.blocked_at = row.blocked_at.or(Some(now));
            row.followed_at = None;
        }
        What::Unblock => row.blocked_at = None,
    }
    let reply = ContactReply { contact: show(&row) };
    let nothing = contact::Model { followed_at: None, blocked_at: None, ..row.clone() };
    if before.as_ref().unwrap_or(&nothing) == &row {
        if what == What::Block {
            // The reply to the commit that did it may have been lost.
            context.presence.part(me, other);
        }
        return tx.unchanged(reply).await;
    }
    row.user_rev = user_rev;
    save(&tx, &row).await?;
    if let Some(chat) = direct {
        let blocked = row.blocked_at.is_some() || blocks_me;
        chat::ActiveModel { id: Set(chat.id), blocked: Set(blocked), ..Default::default() }
            .update(tx.conn())
            .await?;
    }
    announce(&mut tx, what, me, other, now, user_rev)?;
    if what == What::Block {
        // After the commit neither user can start to watch the other; this stops those who already do.
        let presence = context.presence.clone();
        tx.after_commit(move || presence.part(me, other));
    }
    tx.commit(reply).await
}

async fn lock_direct(tx: &Tx, one: UserId, other: UserId) -> Result<Option<chat::Model>> {
    tx.lock_row(chat::Entity::direct_of(one.0, other.0)).await
}

async fn find_direct(tx: &Tx, one: UserId, other: UserId) -> Result<Option<chat::Model>> {
    Ok(chat::Entity::direct_of(one.0, other.0).one(tx.conn()).await?)
}

async fn save(tx: &Tx, row: &contact::Model) -> Result<()> {
    let all = [contact::Column::FollowedAt, contact::Column::BlockedAt, contact::Column::UserRev];
    contact::Entity::insert(contact::ActiveModel {
        user_id: Set(row.user_id),
        other_id: Set(row.other_id),
        followed_at: Set(row.followed_at),
        blocked_at: Set(row.blocked_at),
        user_rev: Set(row.user_rev),
    })
    .on_conflict(
        OnConflict::columns([contact::Column::UserId, contact::Column::OtherId])
            .update_columns(all)
            .to_owned(),
    )
    .exec_without_returning(tx.conn())
    .await?;
    Ok(())
}

/// Announces the change: the user's own devices get every event, the other user only `followed`.
fn announce(tx: &mut Tx, what: What, me: UserId, other: UserId, now: i64, user_rev: i64) -> Result<()> {
    let mut told = ContactChanged { user_id: other, by: me, at: Timestamp(now), user_rev: Some(user_rev) };
    tx.announce(what.event(me, &told)?);
    if what == What::Follow {
        told.user_rev = None;
        tx.announce(what.event(other, &told)?);
    }
    Ok(())
}

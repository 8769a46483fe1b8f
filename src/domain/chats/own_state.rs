//! Pinning, muting and archiving a chat in the user's own list. Only the user's own devices get the events.

use entity::{chat, member};
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};

use super::access::find_visible;
use crate::clock::Timestamp;
use crate::domain::dispatch::CommandHandler;
use crate::domain::{AppContext, Caller, events, users};
use crate::error::Result;
use crate::ids::{ChatId, UserId};
use crate::platform::bus::Delivery;
use crate::platform::db::{Outcome, Tx};
use crate::protocol::own_state::{ArchiveReply, MuteReply, ToggleChatArchive, ToggleChatMute};
use crate::protocol::own_state::{OwnChatChange, OwnChatMuted};
use crate::protocol::own_state::{PinReply, ToggleChatPin};

/// A mute without an end: the latest time that the protocol can express.
pub(super) const FOR_EVER: i64 = 253_402_300_799_999;

impl CommandHandler for ToggleChatPin {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<PinReply>> {
        let own = Own::open(context, caller.actor.user_id, self.chat.0.id).await?;
        let was = own.row.pinned_at.is_some();
        let pinned = self.chat.0.pinned.unwrap_or(!was);
        if pinned == was {
            return own.tx.unchanged(PinReply { pinned }).await;
        }
        let now = context.clock.now();
        let event = if pinned { events::chat_pinned::to_user } else { events::chat_unpinned::to_user };
        let set = |row: &mut member::ActiveModel| row.pinned_at = Set(pinned.then_some(now));
        own.change(now, set, PinReply { pinned }, |user, change| event(user, &change)).await
    }
}

impl CommandHandler for ToggleChatMute {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<MuteReply>> {
        let own = Own::open_locked(context, caller.actor.user_id, self.chat.0.id).await?;
        let now = context.clock.now();
        let was = own.row.muted_until.filter(|until| *until > now);
        let muted = self.chat.0.muted.unwrap_or(was.is_none());
        let until = muted.then(|| self.chat.0.seconds.map_or(FOR_EVER, |seconds| now + seconds * 1_000));
        let reply = MuteReply { muted, muted_until: until.map(Timestamp) };
        if until == was {
            return own.tx.unchanged(reply).await;
        }
        let event = if muted { events::chat_muted::to_user } else { events::chat_unmuted::to_user };
        own.note_archive(own.row.archived && until != Some(FOR_EVER)).await?;
        let set = |row: &mut member::ActiveModel| row.muted_until = Set(until);
        let muted_until = reply.muted_until;
        own.change(now, set, reply, |user, change| event(user, &OwnChatMuted { change, muted_until })).await
    }
}

impl CommandHandler for ToggleChatArchive {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<ArchiveReply>> {
        let own = Own::open_locked(context, caller.actor.user_id, self.chat.0.id).await?;
        let was = own.row.archived;
        let archived = self.chat.0.archived.unwrap_or(!was);
        if archived == was {
            return own.tx.unchanged(ArchiveReply { archived }).await;
        }
        let now = context.clock.now();
        let event = if archived { events::chat_archived::to_user } else { events::chat_unarchived::to_user };
        own.note_archive(archived && own.row.muted_until != Some(FOR_EVER)).await?;
        let set = |row: &mut member::ActiveModel| row.archived = Set(archived);
        own.change(now, set, ArchiveReply { archived }, |user, change| event(user, &change)).await
    }
}

/// The user's row in a chat, within a transaction that has advanced the user's own counter.
pub(super) struct Own {
    pub(super) tx: Tx,
    user_id: UserId,
    user_rev: i64,
    pub(super) row: member::Model,
}

impl Own {
    /// Opens the transaction. It advances the user's counter first, which also serializes two toggles of one user.
    pub(super) async fn open(context: &AppContext, user_id: UserId, chat_id: ChatId) -> Result<Self> {
        Self::open_in(context.db.begin().await?, user_id, chat_id).await
    }

    /// Does the same, with the chat's row locked. Everywhere, chats are locked before users.
    async fn open_locked(context: &AppContext, user_id: UserId, chat_id: ChatId) -> Result<Self> {
        let tx = context.db.begin().await?;
        tx.lock_row(chat::Entity::present().filter(chat::Column::Id.eq(chat_id.0))).await?;
        Self::open_in(tx, user_id, chat_id).await
    }

    async fn open_in(tx: Tx, user_id: UserId, chat_id: ChatId) -> Result<Self> {
        let revs = users::advance(tx.conn(), &[user_id]).await?;
        let user_rev = revs.first().map_or(0, |(_, rev)| *rev);
        let row = find_visible(tx.conn(), chat_id, user_id).await?.member;
        Ok(Self { tx, user_id, user_rev, row })
    }

    /// Notes that a new message may return the chat from the archive, if it `may`.
    async fn note_archive(&self, may: bool) -> Result<()> {
        if may {
            chat::Entity::update_many()
                .col_expr(chat::Column::LeavesArchive, true.into())
                .filter(chat::Column::Id.eq(self.row.chat_id))
                .exec(self.tx.conn())
                .await?;
        }
        Ok(())
    }

    /// Stores the row as changed by `set`, and announces the event that `event` creates.
    pub(super) async fn change<T>(
        mut self,
        now: i64,
        set: impl FnOnce(&mut member::ActiveModel),
        reply: T,
        event: impl FnOnce(UserId, OwnChatChange) -> Result<Delivery>,
    ) -> Result<Outcome<T>> {
        let chat = ChatId(self.row.chat_id);
        let mut row = self.row.into_active_model();
        set(&mut row);
        row.user_rev = Set(self.user_rev);
        row.update(self.tx.conn()).await?;
        let change = OwnChatChange { chat, user_rev: self.user_rev, at: Timestamp(now) };
        self.tx.announce(event(self.user_id, change)?);
        self.tx.commit(reply).await
    }
}

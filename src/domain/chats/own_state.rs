//! Pinning, muting and archiving a chat in one's own list. It is one's own state: only one's own devices
//! hear of it.

use entity::member;
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, IntoActiveModel};
use serde_json::value::{RawValue, to_raw_value};

use super::access::find_visible;
use crate::clock::Timestamp;
use crate::domain::dispatch::CommandHandler;
use crate::domain::{AppContext, Caller, users};
use crate::error::{Error, Result};
use crate::ids::{ChatId, UserId};
use crate::platform::bus::{Audience, Delivery};
use crate::platform::db::{Outcome, Tx};
use crate::protocol::commands::chats::{PinReply, ToggleChatPin};
use crate::protocol::commands::roles::{ArchiveReply, MuteReply, ToggleChatArchive, ToggleChatMute};
use crate::protocol::events::{OwnChatChange, OwnChatMuted};

/// A mute without an end: the last moment that the wire can tell.
const FOR_EVER: i64 = 253_402_300_799_999;

impl CommandHandler for ToggleChatPin {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<PinReply>> {
        let own = Own::open(context, caller.actor.user_id, self.chat.0.id).await?;
        let was = own.row.pinned_at.is_some();
        let pinned = self.chat.0.pinned.unwrap_or(!was);
        if pinned == was {
            return own.tx.unchanged(PinReply { pinned }).await;
        }
        let name = if pinned { "chat_pinned" } else { "chat_unpinned" };
        let now = context.clock.now();
        own.change(name, now, |row| row.pinned_at = Set(pinned.then_some(now)), PinReply { pinned }).await
    }
}

impl CommandHandler for ToggleChatMute {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<MuteReply>> {
        let own = Own::open(context, caller.actor.user_id, self.chat.0.id).await?;
        let now = context.clock.now();
        let was = own.row.muted_until.filter(|until| *until > now);
        let muted = self.chat.0.muted.unwrap_or(was.is_none());
        let until = muted.then(|| self.chat.0.seconds.map_or(FOR_EVER, |seconds| now + seconds * 1_000));
        let reply = MuteReply { muted, muted_until: until.map(Timestamp) };
        if until == was {
            return own.tx.unchanged(reply).await;
        }
        let name = if muted { "chat_muted" } else { "chat_unmuted" };
        let muted_until = reply.muted_until;
        let told = |change| to_raw_value(&OwnChatMuted { change, muted_until });
        own.change_telling(name, now, |row| row.muted_until = Set(until), reply, told).await
    }
}

impl CommandHandler for ToggleChatArchive {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<ArchiveReply>> {
        let own = Own::open(context, caller.actor.user_id, self.chat.0.id).await?;
        let was = own.row.archived;
        let archived = self.chat.0.archived.unwrap_or(!was);
        if archived == was {
            return own.tx.unchanged(ArchiveReply { archived }).await;
        }
        let name = if archived { "chat_archived" } else { "chat_unarchived" };
        let now = context.clock.now();
        own.change(name, now, |row| row.archived = Set(archived), ArchiveReply { archived }).await
    }
}

/// One's own row in a chat, with one's own counter raised.
struct Own {
    tx: Tx,
    user_id: UserId,
    user_rev: i64,
    row: member::Model,
}

impl Own {
    /// The user's counter is raised first: it also keeps two toggles of one user apart.
    async fn open(context: &AppContext, user_id: UserId, chat_id: ChatId) -> Result<Self> {
        let tx = context.db.begin().await?;
        let revs = users::advance(tx.conn(), &[user_id]).await?;
        let user_rev = revs.first().map_or(0, |(_, rev)| *rev);
        let row = find_visible(tx.conn(), chat_id, user_id).await?.member;
        Ok(Self { tx, user_id, user_rev, row })
    }

    async fn change<T>(
        self,
        event: &'static str,
        now: i64,
        change: impl FnOnce(&mut member::ActiveModel),
        reply: T,
    ) -> Result<Outcome<T>> {
        self.change_telling(event, now, change, reply, |told| to_raw_value(&told)).await
    }

    async fn change_telling<T>(
        mut self,
        event: &'static str,
        now: i64,
        change: impl FnOnce(&mut member::ActiveModel),
        reply: T,
        tell: impl FnOnce(OwnChatChange) -> serde_json::Result<Box<RawValue>>,
    ) -> Result<Outcome<T>> {
        let chat = ChatId(self.row.chat_id);
        let mut row = self.row.into_active_model();
        change(&mut row);
        row.user_rev = Set(self.user_rev);
        row.update(self.tx.conn()).await?;
        let told = OwnChatChange { chat, user_rev: self.user_rev, at: Timestamp(now) };
        let told = tell(told).map_err(Error::internal)?;
        self.tx.announce(Delivery::new(Audience::User(self.user_id), event, &told)?);
        self.tx.commit(reply).await
    }
}

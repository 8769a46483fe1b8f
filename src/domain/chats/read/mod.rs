//! Read marks. They only grow and do not change the chat's counter. The user's own devices follow them by the
//! user's own counter; other members get live events, in chats that are not too large.

mod marks;
mod store_postgres;
mod store_sqlite;

pub use marks::ReadMarks;

use entity::message;
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, ColumnTrait, IntoActiveModel, QueryFilter};

use self::marks::{Mark, Marked, Moved, Upto, announce};
use super::access::{Membership, find_visible, require_open};
use super::view::unread;
use crate::domain::dispatch::{CommandHandler, Respond, run_and_reply};
use crate::domain::{AppContext, Caller, users};
use crate::error::{Code, Error, Result};
use crate::platform::db::{Outcome, Tx};
use crate::protocol::reading::{MarkRead, ReadReply};

/// Maximum number of members of a chat that gets events about reading and typing of others.
pub const ANNOUNCED_UP_TO: i32 = 200;

impl CommandHandler for MarkRead {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<ReadReply>> {
        let user_id = caller.actor.user_id;
        let chat_id = self.chat.0.id;
        let mut tx = context.db.begin().await?;
        let revs = users::advance(tx.conn(), &[user_id]).await?;
        let user_rev = revs.first().map_or(0, |(_, rev)| *rev);
        let Membership { chat, member } = find_visible(tx.conn(), chat_id, user_id).await?;
        let upto = match self.upto() {
            Upto::Message(id) => message::Entity::of_chat(chat_id.0)
                .filter(message::Column::Id.eq(id.0))
                .one(tx.conn())
                .await?
                .map(|row| row.seq)
                .ok_or_else(|| {
                    Error::field(
                        Code::NotFound,
                        "last_read_message_id",
                        "there is no such message in the chat",
                    )
                })?,
            Upto::Seq(seq) => seq,
            Upto::Newest => chat.last_seq,
        };
        let seq = upto.min(chat.last_seq);
        if seq <= member.last_read_seq {
            let reply = reply(&tx, chat_id.0, user_id, member.last_read_seq).await?;
            return tx.unchanged(reply).await;
        }
        let mut row = member.into_active_model();
        row.last_read_seq = Set(seq);
        row.user_rev = Set(user_rev);
        row.update(tx.conn()).await?;
        let is_announced = chat.member_count <= ANNOUNCED_UP_TO && require_open(&chat, "chat.id").is_ok();
        let reply = reply(&tx, chat_id.0, user_id, seq).await?;
        let moved = Some(Moved { rev: chat.rev, user_rev, is_announced });
        for event in announce(&self.mark(caller), &Marked { seq, is_behind: false, moved })? {
            tx.announce(event);
        }
        tx.commit(reply).await
    }

    /// Moves the mark together with those of other users, or else in a transaction of its own.
    async fn execute(self, context: &AppContext, caller: &Caller, respond: Respond) {
        if let Some(respond) = context.read_marks.move_mark(self.mark(caller), respond).await {
            run_and_reply(&self, context, caller, respond).await;
        }
    }
}

impl MarkRead {
    fn upto(&self) -> Upto {
        match (self.last_read_message_id, self.seq) {
            (Some(id), _) => Upto::Message(id),
            (None, Some(seq)) => Upto::Seq(seq),
            (None, None) => Upto::Newest,
        }
    }

    fn mark(&self, caller: &Caller) -> Mark {
        Mark { user_id: caller.actor.user_id, chat_id: self.chat.0.id, upto: self.upto() }
    }
}

async fn reply(tx: &Tx, chat: i64, user_id: crate::ids::UserId, seq: i64) -> Result<ReadReply> {
    let unread = unread(tx.conn(), &[chat], user_id).await?.remove(&chat).unwrap_or(0);
    Ok(ReadReply { unread, seq })
}

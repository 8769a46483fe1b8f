//! Read marks. They only grow and do not change the chat's counter. The user's own devices follow them by the
//! user's own counter; other members get live events, in chats that are not too large.

use entity::message;
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, ColumnTrait, IntoActiveModel, QueryFilter};

use super::access::{Membership, find_visible, require_open};
use super::view::unread;
use crate::domain::dispatch::CommandHandler;
use crate::domain::{AppContext, Caller, events, users};
use crate::error::{Code, Error, Result};
use crate::platform::db::{Outcome, Tx};
use crate::protocol::reading::ChatRead;
use crate::protocol::reading::{MarkRead, ReadReply};

/// Maximum number of members of a chat that gets events about reading and typing of others.
pub const TOLD_UP_TO: i32 = 200;

impl CommandHandler for MarkRead {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<ReadReply>> {
        let user_id = caller.actor.user_id;
        let chat_id = self.chat.0.id;
        let mut tx = context.db.begin().await?;
        let revs = users::advance(tx.conn(), &[user_id]).await?;
        let user_rev = revs.first().map_or(0, |(_, rev)| *rev);
        let Membership { chat, member } = find_visible(tx.conn(), chat_id, user_id).await?;
        let wished = match (self.last_read_message_id, self.seq) {
            (Some(id), _) => message::Entity::of_chat(chat_id.0)
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
            (None, Some(seq)) => seq,
            (None, None) => chat.last_seq,
        };
        let seq = wished.min(chat.last_seq);
        if seq <= member.last_read_seq {
            let reply = reply(&tx, chat_id.0, user_id, member.last_read_seq).await?;
            return tx.unchanged(reply).await;
        }
        let mut row = member.into_active_model();
        row.last_read_seq = Set(seq);
        row.user_rev = Set(user_rev);
        row.update(tx.conn()).await?;
        let mut told = ChatRead { chat: chat_id, rev: chat.rev, user_id, seq, user_rev: Some(user_rev) };
        tx.announce(events::chat_read::to_user(user_id, &told)?);
        if chat.member_count <= TOLD_UP_TO && require_open(&chat, "chat.id").is_ok() {
            told.user_rev = None;
            tx.announce(events::chat_read::to_chat(chat_id, &told)?.except_users([user_id]));
        }
        let reply = reply(&tx, chat_id.0, user_id, seq).await?;
        tx.commit(reply).await
    }
}

async fn reply(tx: &Tx, chat: i64, user_id: crate::ids::UserId, seq: i64) -> Result<ReadReply> {
    let unread = unread(tx.conn(), &[chat], user_id).await?.remove(&chat).unwrap_or(0);
    Ok(ReadReply { unread, seq })
}

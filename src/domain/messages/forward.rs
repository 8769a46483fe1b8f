//! Forwards a message to another chat: a new message with the same content, which names the author of the original.

use entity::message;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::draft::Draft;
use super::send::{sent_before, submit};
use crate::clock::Timestamp;
use crate::domain::chats::find_visible;
use crate::domain::dispatch::CommandHandler;
use crate::domain::mentions::Names;
use crate::domain::message_view::{attachments, kind, show_one};
use crate::domain::{AppContext, Caller, users};
use crate::error::{Code, Error, Result};
use crate::ids::ChatId;
use crate::platform::db::Outcome;
use crate::protocol::forwarding::{ForwardMessage, ForwardedFrom};
use crate::protocol::messages::SendReply;

impl CommandHandler for ForwardMessage {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<SendReply>> {
        let user_id = caller.actor.user_id;
        let request = &self.message.0;
        let conn = context.db.read();
        // A retry succeeds even if the original was deleted, or its chat left, since the first attempt.
        if let Some(client_id) = &request.client_id
            && let Some(row) = sent_before(conn, user_id, client_id).await?
        {
            let original = message::Entity::find_by_id(request.id.0).one(conn).await?;
            let is_same = original.is_none_or(|it| origin(&it) == (row.forwarded_user_id, row.forwarded_at));
            if row.chat_id != self.chat.0.id.0 || row.forwarded_user_id.is_none() || !is_same {
                let problem = "was already used with another chat, type or content";
                return Err(Error::field(Code::ClientIdConflict, "message.client_id", problem));
            }
            let message = show_one(conn, row, user_id, context.links()).await?;
            return Ok(Outcome::unchanged(SendReply { message, duplicate: true }));
        }
        let absent = || Error::field(Code::NotFound, "message.id", "there is no such message");
        let original = message::Entity::present().filter(message::Column::Id.eq(request.id.0));
        let original = original.one(conn).await?.ok_or_else(absent)?;
        if !caller.may_reach(ChatId(original.chat_id)) {
            return Err(absent());
        }
        find_visible(conn, ChatId(original.chat_id), user_id).await.map_err(|error| match error.code {
            Code::NotFound => absent(),
            _ => error,
        })?;
        // Of a message that was forwarded before, the first author stays.
        let (Some(author), Some(sent_at)) = origin(&original) else { return Err(absent()) };
        let user = users::authors(conn, [author]).await?.remove(&author).ok_or_else(absent)?;
        let files = attachments(conn, [original.id]).await?.remove(&original.id).unwrap_or_default();
        let kind = kind(original.message_type);
        let copy = Draft::new(context, original.content, kind, request.client_id.clone())
            .map_err(|error| error.rename("message.content", "message.id"))?;
        let draft = Draft {
            attachments: files.into_iter().map(|file| file.id).collect(),
            forwarded_from: Some(ForwardedFrom { user, created_at: Timestamp(sent_at) }),
            // Forwarding mentions nobody.
            names: Names::default(),
            ..copy
        };
        submit(context, caller, self.chat.0.id, draft).await.map_err(|error| {
            // A file that is gone was removed with its message.
            if error.errors.contains_key("message.attachments") {
                return absent();
            }
            error.rename("message.chat_id", "chat.id")
        })
    }
}

/// Returns the first author of a message and when they sent it, as a copy of it names them.
fn origin(row: &message::Model) -> (Option<i64>, Option<i64>) {
    (row.forwarded_user_id.or(Some(row.user_id)), row.forwarded_at.or(Some(row.created_at)))
}

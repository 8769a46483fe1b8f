//! `create_chat`: creates a chat and, if the request has one, its first message, in one transaction.

use entity::{chat, message};
use sea_orm::{ColumnTrait, ConnectionTrait, QueryFilter};

use super::draft::Draft;
use super::send::insert_one;
use crate::domain::chats::{self, Opened, Viewer};
use crate::domain::dispatch::CommandHandler;
use crate::domain::{AppContext, Caller};
use crate::error::{Code, Error, Result};
use crate::ids::{ChatId, UserId};
use crate::platform::db::Outcome;
use crate::platform::limits::Bucket;
use crate::protocol::chats::{ChatReply, CreateChat, FirstMessage};
use crate::protocol::parse::Envelope;

impl CommandHandler for CreateChat {
    fn costs(&self) -> Vec<(Bucket, u32)> {
        let members = self.chat.0.members_array.len() as u32;
        let send = self.message.is_some().then_some((Bucket::Send, 1));
        send.into_iter().chain([(Bucket::Member, members)]).collect()
    }

    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<ChatReply>> {
        let creator = caller.actor.user_id;
        let opened = chats::open(context, &self.chat.0, creator).await?;
        let mut first = self.message.as_ref();
        if !opened.is_new && opened.chat.is_group {
            // A retry for a group also finds its first message; a direct chat stores every message as new.
            if let Some(Envelope(message)) = first {
                require_same_first(opened.tx.conn(), &opened.chat, creator, message).await?;
            }
            first = None;
        }
        let Opened { mut tx, mut chat, .. } = opened;
        let chat_id = ChatId(chat.id);
        if let Some(Envelope(message)) = first {
            let FirstMessage { content, message_type, client_id } = message;
            let draft = Draft::new(context, content.clone(), *message_type, client_id.clone())?;
            let (sent, is_new) = insert_one(context, tx, &mut chat, creator, caller.conn, draft).await?;
            tx = sent;
            if let Some(event) = context.typing.end(chat_id, creator).filter(|_| is_new) {
                tx.announce(event);
            }
        }
        let viewer = Some(Viewer::now(context, creator));
        let shown = chats::load(tx.conn(), &[chat_id], viewer, context.links()).await?.pop();
        let chat = shown.ok_or_else(|| Error::internal("a chat that was just written is not there"))?;
        let reply = ChatReply { chat };
        if tx.has_changed_chat() { tx.commit(reply).await } else { tx.unchanged(reply).await }
    }
}

/// Fails unless the group of this `client_id` was created with the same first message.
async fn require_same_first(
    conn: &impl ConnectionTrait,
    chat: &chat::Model,
    creator: UserId,
    first: &FirstMessage,
) -> Result<()> {
    let stored = message::Entity::of_chat(chat.id)
        .filter(message::Column::Seq.eq(2))
        .filter(message::Column::UserId.eq(creator.0))
        .one(conn)
        .await?;
    // A late retry must not fail because the message was edited or deleted since.
    let same = stored.is_some_and(|row| {
        row.rev != row.seq || (row.content == first.content && row.message_type == first.message_type.id())
    });
    if same {
        return Ok(());
    }
    Err(Error::field(
        Code::ClientIdConflict,
        "chat.client_id",
        "was already used for a group with another first message",
    ))
}

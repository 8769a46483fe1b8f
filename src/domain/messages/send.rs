//! Sends messages: through the writer for `send_message`, within another transaction for the first message of a new
//! chat.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use entity::{chat, message};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use tokio::sync::oneshot;

use super::batch::{announcement, place, store};
use super::draft::Draft;
use super::prepare::{Decision, Locking, SendContext, SendRequest, Window};
use super::writer::{Job, SendResult};
use crate::domain::attachments::Upload;
use crate::domain::dispatch::{CommandHandler, Respond, ack, fail};
use crate::domain::{AppContext, Caller, chats};
use crate::error::{Error, Result};
use crate::ids::{ChatId, ConnId, UserId};
use crate::platform::db::{Outcome, Tx};
use crate::platform::limits::Bucket;
use crate::platform::tokens::hash;
use crate::protocol::catalogue::Command;
use crate::protocol::messages::{OutgoingMessage, SendMessage, SendReply, data_of};
use crate::protocol::parse::Envelope;

impl Draft {
    /// Returns the message of a request. A file that is sent as content is stored first.
    async fn of(context: &AppContext, caller: &Caller, request: OutgoingMessage) -> Result<Self> {
        let OutgoingMessage { chat_id, content, message_type, client_id, reply_to, attachments } = request;
        let Some(data) = data_of(&content) else {
            return Ok(Self {
                reply_to,
                attachments,
                ..Self::new(context, content, message_type, client_id)?
            });
        };
        let inline_file = Some(hash(data));
        let draft = Self::new(context, String::new(), message_type, client_id)?;
        let mut draft = Self { reply_to, inline_file, ..draft };
        let user_id = caller.actor.user_id;
        // Of a retry, the file is there already.
        let is_retry = match &draft.client_id {
            Some(client_id) => sent_before(context.db.read(), user_id, client_id).await?.is_some(),
            None => false,
        };
        if !is_retry {
            // Boxed, because few messages need it.
            draft.attachments = vec![Box::pin(store_file(context, caller, chat_id, data)).await?];
        }
        Ok(draft)
    }
}

/// Stores a file that is sent as base64; returns the id of the attachment.
async fn store_file(context: &AppContext, caller: &Caller, chat_id: ChatId, data: &str) -> Result<i64> {
    let field = "message.content";
    let bytes = STANDARD.decode(data).map_err(|_| Error::invalid(field, "is no valid base64"))?;
    let storing = async {
        let mut upload = Upload::begin(context, caller.actor, chat_id, "", false).await?.waiting_briefly();
        upload.write(context, bytes.into()).await?;
        upload.finish(context).await
    };
    let stored = storing.await.map_err(|mut error: Error| {
        for wrong in error.errors.keys().cloned().collect::<Vec<_>>() {
            let is_chat = matches!(wrong.as_str(), "id" | "chat.id");
            error = error.rename(&wrong, if is_chat { "message.chat_id" } else { field });
        }
        error
    });
    Ok(stored?.id)
}

impl CommandHandler for SendMessage {
    fn costs(&self) -> Vec<(Bucket, u32)> {
        let is_file = data_of(&self.message.0.content).is_some();
        is_file.then_some((Bucket::Upload, 1)).into_iter().collect()
    }

    /// Hands the message to the writer and waits for the result; the writer publishes.
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<SendReply>> {
        let Envelope(request) = &self.message;
        let draft = Draft::of(context, caller, request.clone()).await?;
        submit(context, caller, request.chat_id, draft).await
    }

    /// Hands the message to the writer and returns; the writer answers in the order of the messages.
    async fn execute(self, context: &AppContext, caller: &Caller, respond: Respond) {
        let Envelope(request) = self.message;
        let (user_id, chat_id) = (caller.actor.user_id, request.chat_id);
        let draft = match Draft::of(context, caller, request).await {
            Ok(draft) => draft,
            Err(error) => return fail(Self::INFO.name, caller, respond, error),
        };
        let answer = Box::new(move |sent: SendResult| {
            respond.give(sent.and_then(|(reply, position)| ack(position, &reply)));
        });
        let job = Job { user_id, conn: caller.conn, chat_id, draft };
        context.writer.submit(job, answer).await;
    }
}

/// Returns the message that a user sent with this `client_id`.
pub(super) async fn sent_before(
    conn: &impl ConnectionTrait,
    user_id: UserId,
    client_id: &str,
) -> Result<Option<message::Model>> {
    let same = message::Entity::find()
        .filter(message::Column::UserId.eq(user_id.0))
        .filter(message::Column::ClientId.eq(client_id));
    Ok(same.one(conn).await?)
}

/// Hands a message to the writer and waits for the result.
pub(super) async fn submit(
    context: &AppContext,
    caller: &Caller,
    chat_id: ChatId,
    draft: Draft,
) -> Result<Outcome<SendReply>> {
    let (answer, result) = oneshot::channel();
    // The receiver is awaited below. If it is gone, the caller is gone too.
    let answer = Box::new(move |sent: SendResult| drop(answer.send(sent)));
    let job = Job { user_id: caller.actor.user_id, conn: caller.conn, chat_id, draft };
    context.writer.submit(job, answer).await;
    let (reply, position) = result.await.map_err(Error::internal)??;
    Ok(Outcome::published(reply, position))
}

/// Returns the time in which the same text is refused, milliseconds.
fn duplicate_window(context: &AppContext) -> i64 {
    context.settings.contacts.duplicate_window.as_millis() as i64
}

/// Stores and announces one message within a transaction that holds the chat's lock. Returns `false` if a message with
/// this `client_id` was stored before.
pub async fn insert_one(
    context: &AppContext,
    tx: Tx,
    chat: &mut chat::Model,
    user_id: UserId,
    conn: Option<ConnId>,
    draft: Draft,
) -> Result<(Tx, bool)> {
    let request = SendRequest { user_id, chat_id: ChatId(chat.id), draft: &draft };
    let window = Window { length: duplicate_window(context), now: context.clock.now() };
    let send_context =
        SendContext::read(tx.conn(), std::slice::from_ref(&request), window, Locking::Held).await?;
    let (author, mentions, files) = match send_context.decide(&request)? {
        Decision::Store(author, mentions, files) => (author, mentions, files),
        Decision::Earlier(_) => return Ok((tx, false)),
    };
    let positioned = place(chat, &draft, author, mentions, files);
    let change = tx.take_position(positioned.position);
    let stored = store(change.conn(), &[positioned], context.links()).await?;
    let message = stored.first().ok_or_else(|| Error::internal("a stored message did not come back"))?;
    let event = announcement(message, change.position(), conn)?;
    let mut tx = change.announce(event)?;
    if chat.leaves_archive {
        for (_, event) in chats::leave_archives(tx.conn(), &[chat.id], context.clock.now()).await? {
            tx.announce(event);
        }
    }
    Ok((tx, true))
}

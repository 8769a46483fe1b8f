//! Sends messages: through the writer for `send_message`, within another transaction for the first message of a new
//! chat.

use entity::chat;
use tokio::sync::oneshot;

use super::batch::{announcement, place, store};
use super::prepare::{Decision, Draft, Locking, SendContext, SendRequest, Window};
use super::writer::{Job, SendResult};
use crate::domain::dispatch::{CommandHandler, Respond, ack};
use crate::domain::{AppContext, Caller, chats};
use crate::error::{Error, Result};
use crate::ids::{ChatId, ConnId, UserId};
use crate::platform::db::{Outcome, Tx};
use crate::protocol::messages::{OutgoingMessage, SendMessage, SendReply};
use crate::protocol::parse::Envelope;

impl From<OutgoingMessage> for Draft {
    fn from(request: OutgoingMessage) -> Self {
        Self {
            reply_to: request.reply_to,
            ..Self::new(request.content, request.message_type, request.client_id)
        }
    }
}

impl CommandHandler for SendMessage {
    /// Hands the message to the writer and waits for the result; the writer publishes.
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<SendReply>> {
        let Envelope(request) = &self.message;
        let draft = Draft {
            reply_to: request.reply_to,
            ..Draft::new(request.content.clone(), request.message_type, request.client_id.clone())
        };
        submit(context, caller, request.chat_id, draft).await
    }

    /// Hands the message to the writer and returns; the writer answers in the order of the messages.
    async fn execute(self, context: &AppContext, caller: &Caller, respond: Respond) {
        let Envelope(request) = self.message;
        let (user_id, chat_id) = (caller.actor.user_id, request.chat_id);
        let answer = Box::new(move |sent: SendResult| {
            respond.give(sent.and_then(|(reply, position)| ack(position, &reply)));
        });
        let job = Job { user_id, conn: caller.conn, chat_id, draft: request.into() };
        context.writer.submit(job, answer).await;
    }
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
    let (author, mentions) = match send_context.decide(&request)? {
        Decision::Store(author, mentions) => (author, mentions),
        Decision::Earlier(_) => return Ok((tx, false)),
    };
    let positioned = place(chat, &draft, author, mentions);
    let change = tx.take_position(positioned.position);
    let stored = store(change.conn(), &[positioned], context.clock.now()).await?;
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

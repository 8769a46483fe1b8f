//! Sending a message: through the writer for `send_message`, within another transaction for the first
//! message of a new chat.

use entity::chat;
use tokio::sync::oneshot;

use super::batch::{announcement, place, store};
use super::prepare::{Draft, Ground, Locking, Verdict, Window, Wish};
use super::writer::{Job, Sent};
use crate::domain::dispatch::{Behaviour, Respond, ack};
use crate::domain::{Caller, Core};
use crate::error::{Error, Result};
use crate::ids::{ChatId, ConnId, UserId};
use crate::platform::bus::Delivery;
use crate::platform::db::{Outcome, Tx};
use crate::protocol::commands::messages::{OutgoingMessage, SendMessage, SendReply};
use crate::protocol::parse::Envelope;

impl From<OutgoingMessage> for Draft {
    fn from(wish: OutgoingMessage) -> Self {
        Self {
            content: wish.content,
            message_type: wish.message_type,
            client_id: wish.client_id,
            reply_to: wish.reply_to,
        }
    }
}

impl Behaviour for SendMessage {
    /// Hands the message to the writer and waits for its fate; the writer publishes.
    async fn run(&self, core: &Core, caller: &Caller) -> Result<Outcome<SendReply>> {
        let (answer, fate) = oneshot::channel();
        let Envelope(wish) = &self.message;
        let draft = Draft {
            content: wish.content.clone(),
            message_type: wish.message_type,
            client_id: wish.client_id.clone(),
            reply_to: wish.reply_to,
        };
        // The receiver waits below; if it is gone, so is whoever asked.
        let answer = Box::new(move |sent: Sent| drop(answer.send(sent)));
        let job = Job { user_id: caller.actor.user_id, conn: caller.conn, chat_id: wish.chat_id, draft };
        core.writer.submit(job, answer).await;
        let (reply, place) = fate.await.map_err(Error::internal)??;
        Ok(Outcome { reply, place, events: Vec::new(), gate: None })
    }
}

/// Hands a message to the writer and returns; `respond` runs at its place in the order.
pub async fn send_pipelined(core: &Core, caller: &Caller, wish: SendMessage, respond: Respond) {
    let Envelope(wish) = wish.message;
    let chat_id = wish.chat_id;
    let answer = Box::new(move |sent: Sent| respond.give(sent.and_then(|(reply, place)| ack(place, &reply))));
    let job = Job { user_id: caller.actor.user_id, conn: caller.conn, chat_id, draft: wish.into() };
    core.writer.submit(job, answer).await;
}

/// Within which the same text is refused, milliseconds.
fn duplicate_window(core: &Core) -> i64 {
    core.settings.contacts.duplicate_window.as_millis() as i64
}

/// Stores one message within a transaction that holds the chat's lock. Answers its event; none where the
/// `client_id` says that it had been stored before.
pub async fn insert_one(
    core: &Core,
    tx: &mut Tx,
    chat: &mut chat::Model,
    user_id: UserId,
    conn: Option<ConnId>,
    draft: Draft,
) -> Result<Option<Delivery>> {
    let wish = Wish { user_id, chat_id: ChatId(chat.id), draft: &draft };
    let window = Window { length: duplicate_window(core), now: core.clock.now() };
    let ground = Ground::read(tx.conn(), std::slice::from_ref(&wish), window, Locking::Held).await?;
    let author = match ground.judge(&wish)? {
        Verdict::Store(author) => author,
        Verdict::Earlier(_) => return Ok(None),
    };
    let placed = place(chat, &draft, author);
    let at = placed.place;
    let stored = store(tx.conn(), &[placed], core.clock.now()).await?;
    tx.took_place(at);
    match stored.first() {
        Some(message) => announcement(message, at, conn).map(Some),
        None => Ok(None),
    }
}

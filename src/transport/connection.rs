//! One connection of one device, whatever door it came through: who is there, its outbox, the rooms it is
//! in, and how it ends.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use socketioxide::extract::{AckSender, SocketRef};
use socketioxide::{SendError, SocketError};
use tokio::time::sleep;

use super::gateway::Line;
use super::wire::Wire;
use crate::domain::Actor;
use crate::error::Result;
use crate::ids::{ChatId, ConnId};
use crate::platform::limits::Place;
use crate::protocol::events::{ErrorObject, Exception, Failure};

/// Bytes that may wait before what is volatile is dropped.
const VOLATILE_BACKLOG: u64 = 64 * 1_024;

/// Events that may gather before a client is told that it is connected.
const MAX_GATHERED: usize = 4_096;

/// What a dismissed client gets to read why and to close by itself.
const FAREWELL: Duration = Duration::from_secs(1);

/// Where a connection's events go: the seam between the publisher and the doors.
pub enum Outbox {
    /// Kept until the client has been told that it is connected.
    Waiting(Vec<(String, Box<RawValue>)>),
    /// Through the engine.
    SocketIo(SocketRef),
    /// To the writer of a plain WebSocket.
    Plain(Line),
}

/// Who waits for an answer.
pub enum Ack {
    /// A callback of a Socket.IO client.
    SocketIo(AckSender),
    /// A frame's `id`.
    Plain(Box<RawValue>),
    /// Nobody; failures come as `exception`.
    Nobody,
}

/// One connection.
pub struct Connection {
    /// Its number on this node.
    pub id: ConnId,
    /// Who is there.
    pub actor: Actor,
    /// The only chat that it is about, for a chat's own socket.
    pub scope: Option<ChatId>,
    /// When its token ends, milliseconds; `authenticate` moves it.
    pub expires_at: Arc<AtomicI64>,
    /// The wire below.
    pub wire: Arc<Wire>,
    /// End of the token that was warned of.
    pub(super) warned_of: AtomicI64,
    /// Rooms it is in; none any more once it is closed.
    pub(super) rooms: Mutex<Option<HashSet<ChatId>>>,
    /// Its places among the connections of its user and of its address.
    seats: [Place; 2],
    /// Whether it is in the rooms of all chats that its user was in when they were read.
    pub(super) settled: AtomicBool,
    outbox: Mutex<Option<Outbox>>,
}

impl Connection {
    /// A connection that is not yet known to anybody.
    pub fn new(
        id: ConnId,
        actor: Actor,
        scope: Option<ChatId>,
        expires_at: i64,
        wire: Arc<Wire>,
        seats: [Place; 2],
    ) -> Self {
        wire.join();
        Self {
            id,
            actor,
            scope,
            expires_at: Arc::new(AtomicI64::new(expires_at)),
            wire,
            warned_of: AtomicI64::new(0),
            rooms: Mutex::new(Some(HashSet::new())),
            seats,
            settled: AtomicBool::new(false),
            outbox: Mutex::new(Some(Outbox::Waiting(Vec::new()))),
        }
    }

    /// Opens the outbox once the client has been told that it is connected, and sends what has gathered;
    /// false if it has gone already.
    pub fn open_outbox(&self, opened: Outbox) -> bool {
        let mut outbox = self.outbox.lock();
        let Some(Outbox::Waiting(gathered)) = outbox.take() else { return false };
        // Their bytes were counted when they came.
        let fits = gathered.iter().all(|(event, payload)| send(&opened, event, payload));
        *outbox = Some(opened);
        drop(outbox);
        if !fits {
            self.overflowed();
        }
        fits
    }

    /// Closes the outbox for good and answers it; only the first call finds it.
    fn take_outbox(&self) -> Option<Outbox> {
        let taken = self.outbox.lock().take();
        if taken.is_some() {
            self.wire.part();
            self.seats.iter().for_each(Place::release);
        }
        taken
    }

    /// Closes the outbox: the client is gone.
    pub fn close_outbox(&self) {
        drop(self.take_outbox());
    }

    /// Whether it is far enough behind that what is volatile need not reach it.
    pub fn is_behind(&self) -> bool {
        self.wire.backlog() > VOLATILE_BACKLOG
    }

    /// Puts an event into the outbox. A full one ends the connection: a reader that is too slow loses its
    /// connection, never a message in the middle.
    pub fn push(&self, event: &str, payload: &RawValue) {
        let mut outbox = self.outbox.lock();
        let Some(open) = outbox.as_mut() else { return };
        let fits = self.wire.take(event.len() + payload.get().len())
            && match open {
                Outbox::Waiting(gathered) => {
                    gathered.push((event.to_owned(), payload.to_owned()));
                    gathered.len() <= MAX_GATHERED
                }
                open => send(open, event, payload),
            };
        drop(outbox);
        if !fits {
            self.overflowed();
        }
    }

    /// Encodes and pushes an event that is for this connection alone.
    pub fn tell(&self, event: &str, payload: &impl Serialize) {
        match to_raw_value(payload) {
            Ok(payload) => self.push(event, &payload),
            Err(error) => tracing::error!(event, %error, "an event could not be encoded"),
        }
    }

    /// Answers a command: an ack where somebody waits for one, else `exception` for a failure.
    pub fn answer(&self, event: &str, ack: Ack, result: Result<Box<RawValue>>) {
        let reply = match (result, &ack) {
            (Ok(_), Ack::Nobody) => return,
            (Err(error), Ack::Nobody) => {
                let error = ErrorObject::from(&error);
                return self.tell("exception", &Exception { event: event.to_owned(), error });
            }
            (Ok(reply), _) => reply,
            (Err(error), _) => match to_raw_value(&Failure::from(&error)) {
                Ok(reply) => reply,
                Err(error) => return tracing::error!(%error, "an error could not be encoded"),
            },
        };
        let outbox = self.outbox.lock();
        let Some(open) = outbox.as_ref() else { return };
        let fits = self.wire.take(reply.get().len())
            && match (ack, open) {
                (Ack::SocketIo(ack), _) => !is_full(&ack.send(&reply)),
                (Ack::Plain(id), Outbox::Plain(line)) => line.acknowledge(&id, &reply),
                (Ack::Plain(_) | Ack::Nobody, _) => true,
            };
        drop(outbox);
        if !fits {
            self.overflowed();
        }
    }

    /// Its outbox or its inbox is full.
    pub fn overflowed(&self) {
        tracing::info!(user = self.actor.user_id.0, "a connection was too slow and is ended");
        if let Some(Outbox::Plain(line)) = self.take_outbox() {
            line.close(super::gateway::TOO_SLOW);
            return;
        }
        self.wire.end();
    }

    /// Ends it for good, after the event of this name: its client does not come back by itself.
    ///
    /// A client that does not read keeps what it is told from being written, and one that polls may never ask
    /// for it: the wire ends a moment later whatever the client does. Only where another namespace still uses
    /// the wire, and all was written, it stays.
    pub fn dismiss(&self, event: &str) {
        // Taken out before anything is called: the disconnect handler comes back here.
        match self.take_outbox() {
            Some(Outbox::SocketIo(socket)) => {
                if socket.disconnect().is_err() {
                    return self.wire.end();
                }
            }
            Some(Outbox::Plain(line)) => line.close_after(super::gateway::close_code(event)),
            Some(Outbox::Waiting(_)) | None => return self.wire.end(),
        }
        let (wire, handed) = (self.wire.clone(), self.wire.handed());
        tokio::spawn(async move {
            sleep(FAREWELL).await;
            if wire.is_left_behind(handed) {
                wire.end();
            }
        });
    }

    /// The node goes: the client comes back by itself.
    pub fn shut(&self) {
        if let Some(Outbox::Plain(line)) = self.outbox.lock().as_ref() {
            line.close_after(super::gateway::SHUTDOWN);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close_outbox();
    }
}

/// Hands one event to an open outbox; false where it is full.
#[expect(clippy::disallowed_methods, reason = "the outbox is where the publisher's events leave")]
fn send(outbox: &Outbox, event: &str, payload: &RawValue) -> bool {
    match outbox {
        Outbox::SocketIo(socket) => !is_full(&socket.emit(event, payload)),
        Outbox::Plain(line) => line.push(event, payload),
        Outbox::Waiting(_) => true,
    }
}

fn is_full(sent: &std::result::Result<(), SendError>) -> bool {
    matches!(sent, Err(SendError::Socket(SocketError::InternalChannelFull)))
}

//! One connection of one device, whatever door it came through: who is there, its outbox, the rooms it is
//! in, and how it ends.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use socketioxide::SendError;
use socketioxide::SocketError;
use socketioxide::extract::{AckSender, SocketRef};

use super::listener::Gate;
use crate::domain::Actor;
use crate::ids::{ChatId, ConnId};

/// Bytes that may wait for one websocket. What is beyond it ends the connection; one large answer alone
/// does not.
const MAX_BACKLOG: u64 = 8 * 1_024 * 1_024;

/// The wire below the connections of one Engine.IO session: it may change from polling to websocket, and
/// two namespaces share it.
#[derive(Default)]
pub struct Wire {
    gate: Mutex<Option<Arc<Gate>>>,
    dead: AtomicBool,
    /// Bytes handed over so far, caught up with what left where that is more (frames have heads).
    handed: AtomicU64,
}

impl Wire {
    /// Puts the wire behind a TCP connection's gate: it is a websocket now.
    pub fn set_gate(&self, gate: Arc<Gate>) {
        *self.gate.lock() = Some(gate);
    }

    /// The gate, where the wire is a websocket.
    pub fn gate(&self) -> Option<Arc<Gate>> {
        self.gate.lock().clone()
    }

    /// Counts bytes that are to be written; false where too many wait already. Polling is bounded by packets.
    fn take(&self, bytes: usize) -> bool {
        let gate = self.gate.lock();
        let Some(gate) = gate.as_ref() else { return true };
        let written = gate.written();
        let handed = self.handed.load(Ordering::Acquire).max(written);
        self.handed.store(handed + bytes as u64, Ordering::Release);
        handed - written <= MAX_BACKLOG
    }

    /// Ends the wire: a websocket at once, polling with its next request.
    pub fn end(&self) {
        self.dead.store(true, Ordering::Release);
        if let Some(gate) = self.gate() {
            gate.end();
        }
    }

    /// Whether it was ended.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }
}

/// One connection.
pub struct Connection {
    /// Its number on this node.
    pub id: ConnId,
    /// Who is there.
    pub actor: Actor,
    /// When its token ends, milliseconds; `authenticate` moves it.
    pub expires_at: Arc<AtomicI64>,
    /// The wire below.
    pub wire: Arc<Wire>,
    /// End of the token that was warned of.
    pub(super) warned_of: AtomicI64,
    /// Rooms it is in; none any more once it is closed.
    pub(super) rooms: Mutex<Option<HashSet<ChatId>>>,
    outbox: Mutex<Option<SocketRef>>,
}

impl Connection {
    /// A connection that is not yet known to anybody.
    pub fn new(id: ConnId, actor: Actor, expires_at: i64, wire: Arc<Wire>) -> Self {
        Self {
            id,
            actor,
            expires_at: Arc::new(AtomicI64::new(expires_at)),
            wire,
            warned_of: AtomicI64::new(0),
            rooms: Mutex::new(Some(HashSet::new())),
            outbox: Mutex::new(None),
        }
    }

    /// Opens the outbox once the client has been told that it is connected; false if it has gone already.
    pub fn open_outbox(&self, socket: SocketRef) -> bool {
        let rooms = self.rooms.lock();
        if rooms.is_some() {
            *self.outbox.lock() = Some(socket);
        }
        rooms.is_some()
    }

    /// Closes the outbox: the client is gone.
    pub fn close_outbox(&self) {
        self.outbox.lock().take();
    }

    /// Puts an event into the outbox. A full one ends the connection: a reader that is too slow loses its
    /// connection, never a message in the middle.
    #[expect(clippy::disallowed_methods, reason = "the outbox is where the publisher's events leave")]
    pub fn push(&self, event: &str, payload: &RawValue) {
        let outbox = self.outbox.lock();
        let Some(socket) = outbox.as_ref() else { return };
        let full = !self.wire.take(event.len() + payload.get().len())
            || matches!(
                socket.emit(event, payload),
                Err(SendError::Socket(SocketError::InternalChannelFull))
            );
        if full {
            drop(outbox);
            self.overflowed();
        }
    }

    /// Puts an ack into the outbox, by the same rule.
    pub fn acknowledge(&self, ack: AckSender, reply: &RawValue) {
        let full = !self.wire.take(reply.get().len())
            || matches!(ack.send(reply), Err(SendError::Socket(SocketError::InternalChannelFull)));
        if full {
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

    /// Its outbox or its inbox is full.
    pub fn overflowed(&self) {
        tracing::info!(user = self.actor.user_id.0, "a connection was too slow and is ended");
        self.close_outbox();
        self.wire.end();
    }

    /// Ends it for good with a DISCONNECT: its client does not come back by itself.
    pub fn dismiss(&self) {
        let Some(socket) = self.outbox.lock().take() else { return };
        if socket.disconnect().is_err() {
            self.wire.end();
        }
    }
}

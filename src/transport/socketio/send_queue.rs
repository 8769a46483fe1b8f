//! The send queues of a Socket.IO client: the engine's own, or frames that are written past the engine.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;
use socketioxide::extract::{AckSender, SocketRef};
use socketioxide::{SendError, SocketError};

use crate::ids::ConnId;
use crate::protocol::catalogue::EventName;
use crate::realtime::connection::{Ack, SendQueue};
use crate::realtime::outgoing::{Dialect, Outgoing};
use crate::realtime::transport::Transport;
use crate::realtime::write_queue::WriteQueue;
use crate::transport::http::frames::{text, text_frame};

/// The engine's queue of one socket: for polling, and if `FAST_PATH` is off.
pub struct EngineQueue(pub SocketRef);

impl SendQueue for EngineQueue {
    #[expect(clippy::disallowed_methods, reason = "the send queue is where the publisher's events leave")]
    fn send(&self, outgoing: &Outgoing<'_>) -> bool {
        !is_full(&self.0.emit(outgoing.event.as_str(), outgoing.payload))
    }

    fn abort(&self, transport: &Transport) {
        transport.end();
    }

    fn dismiss(&self, _event: EventName) -> bool {
        self.0.clone().disconnect().is_ok()
    }

    /// Does nothing, because the engine closes its own sockets.
    fn shut_down(&self) {}
}

/// Returns an acknowledgement that goes through the engine.
pub fn engine_ack(sender: AckSender) -> Ack {
    Box::new(move |reply: &RawValue| !is_full(&sender.send(reply)))
}

fn is_full(sent: &Result<(), SendError>) -> bool {
    matches!(sent, Err(SendError::Socket(SocketError::InternalChannelFull)))
}

/// The frames of one connection, written to its WebSocket past the engine. They wait behind a gate until the engine has
/// written the packet by which the client joins the namespace.
#[derive(Clone)]
pub struct Frames {
    writes: Arc<WriteQueue>,
    id: ConnId,
    dialect: Dialect,
}

impl Frames {
    /// Creates the frames of a connection that is about to join a namespace.
    pub fn new(writes: Arc<WriteQueue>, id: ConnId, namespace: &str) -> Self {
        let dialect = if namespace == "/ws" { Dialect::SocketIoWs } else { Dialect::SocketIoRoot };
        writes.add_gate(
            id,
            match dialect {
                Dialect::SocketIoWs => joins_ws,
                _ => joins_root,
            },
        );
        Self { writes, id, dialect }
    }

    /// Drops what still waits for the client to join the namespace.
    pub fn abandon(&self) {
        self.writes.remove_gate(self.id);
    }

    /// Returns how packets of a type begin: the namespace follows the type.
    fn head(&self, kind: &'static str) -> [&'static [u8]; 2] {
        let namespace: &[u8] = if matches!(self.dialect, Dialect::SocketIoWs) { b"/ws," } else { b"" };
        [kind.as_bytes(), namespace]
    }

    fn push(&self, frame: Bytes) {
        self.writes.push_behind(self.id, frame);
    }

    /// Returns the acknowledgement of the command with this id.
    pub fn ack(&self, id: i64) -> Ack {
        let frames = self.clone();
        Box::new(move |reply: &RawValue| {
            let [kind, namespace] = frames.head("43");
            let id = id.to_string();
            let parts = [kind, namespace, id.as_bytes(), b"[", reply.get().as_bytes(), b"]"];
            frames.push(text_frame(&parts));
            true
        })
    }
}

/// Whether a frame is the packet by which a client joins the namespace `/`.
fn joins_root(frame: &[u8]) -> bool {
    text(frame).starts_with(b"40{")
}

/// Whether a frame is the packet by which a client joins the namespace `/ws`.
fn joins_ws(frame: &[u8]) -> bool {
    text(frame).starts_with(b"40/ws,")
}

/// The send queue of a connection whose frames are written past the engine.
pub struct DirectQueue {
    /// The connection's frames.
    pub frames: Frames,
    /// Its socket, to leave the namespace.
    pub socket: SocketRef,
}

impl SendQueue for DirectQueue {
    fn send(&self, outgoing: &Outgoing<'_>) -> bool {
        let [kind, namespace] = self.frames.head("42");
        let frame = outgoing.frame(self.frames.dialect, |event, payload| {
            text_frame(&[kind, namespace, b"[\"", event.as_bytes(), b"\",", payload.as_bytes(), b"]"])
        });
        self.frames.push(frame);
        true
    }

    fn abort(&self, transport: &Transport) {
        transport.end();
    }

    fn dismiss(&self, _event: EventName) -> bool {
        self.socket.clone().disconnect().is_ok()
    }

    /// Does nothing, because the engine closes its own sockets.
    fn shut_down(&self) {}
}

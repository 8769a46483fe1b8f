//! The send queue of a socket: the library's own.

use serde_json::value::RawValue;
use socketioxide::extract::{AckSender, SocketRef};
use socketioxide::{SendError, SocketError};

use crate::protocol::catalogue::EventName;
use crate::realtime::connection::{Ack, SendQueue};
use crate::realtime::outgoing::Outgoing;
use crate::realtime::transport::Transport;

/// The library's queue of one socket.
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

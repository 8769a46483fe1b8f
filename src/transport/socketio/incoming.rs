//! Passes Socket.IO packets to the inbox. The engine calls the handler on the socket's reader task, in order.

use std::sync::Arc;

use serde_json::value::RawValue;
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::AckSender;
use socketioxide::handler::{FromMessageParts, MessageHandler};
use socketioxide::socket::Socket;
use socketioxide_core::Value;

use super::send_queue::{Frames, engine_ack};
use crate::realtime::inbox::Inbox;

/// Handles every event of a socket, whatever its name.
pub struct Intake {
    inbox: Arc<Inbox>,
    /// For acknowledgements that are written past the engine, as the events are.
    frames: Option<Frames>,
}

impl Intake {
    /// Creates a handler that puts events into `inbox`.
    pub fn new(inbox: Arc<Inbox>, frames: Option<Frames>) -> Self {
        Self { inbox, frames }
    }
}

/// Distinguishes this implementation of the handler trait from those for closures.
pub struct Raw;

impl MessageHandler<LocalAdapter, Raw> for Intake {
    fn call(&self, socket: Arc<Socket<LocalAdapter>>, mut packet: Value, ack_id: Option<i64>) {
        let ack = match (&self.frames, ack_id) {
            (Some(frames), Some(id)) => Some(frames.ack(id)),
            (None, Some(_)) => {
                AckSender::from_message_parts(&socket, &mut packet, &ack_id).ok().map(engine_ack)
            }
            (_, None) => None,
        };
        let Value::Str(text, _) = &packet else { return };
        let parts: Vec<&RawValue> = serde_json::from_str(text.as_str()).unwrap_or_default();
        let event = parts.first().and_then(|name| serde_json::from_str(name.get()).ok()).unwrap_or_default();
        let payload = parts.get(1).map_or("null", |payload| payload.get());
        self.inbox.put(event, payload.to_owned(), ack);
    }
}

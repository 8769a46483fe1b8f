//! Passes Socket.IO packets to the inbox. The engine calls the handler on the socket's reader task, in order.

use std::sync::Arc;

use bytes::Bytes;
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::AckSender;
use socketioxide::handler::{FromMessageParts, MessageHandler};
use socketioxide::socket::Socket;
use socketioxide_core::Value;

use super::send_queue::engine_ack;
use crate::realtime::inbox::Inbox;
use crate::transport::socketio::{split_event, with_binary};

/// Handles every event of a socket, whatever its name.
pub struct Intake {
    inbox: Arc<Inbox>,
}

impl Intake {
    /// Creates a handler that puts events into `inbox`.
    pub fn new(inbox: Arc<Inbox>) -> Self {
        Self { inbox }
    }
}

/// Distinguishes this implementation of the handler trait from those for closures.
pub struct Raw;

impl MessageHandler<LocalAdapter, Raw> for Intake {
    fn call(&self, socket: Arc<Socket<LocalAdapter>>, mut packet: Value, ack_id: Option<i64>) {
        let sender = ack_id.and_then(|_| AckSender::from_message_parts(&socket, &mut packet, &ack_id).ok());
        let Value::Str(text, binary) = &packet else { return };
        let (event, payload) = split_event(text.as_str());
        let parts: Vec<Bytes> = binary.iter().flatten().cloned().collect();
        let payload = with_binary(payload, &parts);
        self.inbox.put(event, payload, sender.map(engine_ack));
    }
}

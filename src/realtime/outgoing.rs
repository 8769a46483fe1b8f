//! An event on its way to many connections: each transport's frame of it is encoded once.

use std::cell::OnceCell;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::protocol::catalogue::EventName;

/// The ways in which transports encode events.
#[derive(Clone, Copy, Debug)]
pub enum Dialect {
    /// Socket.IO, namespace `/`.
    SocketIoRoot,
    /// Socket.IO, namespace `/ws`.
    SocketIoWs,
    /// The plain WebSocket.
    Plain,
}

/// An event to send.
pub struct Outgoing<'a> {
    /// Its name.
    pub event: EventName,
    /// Its payload.
    pub payload: &'a RawValue,
    /// The frames that were encoded so far, by dialect.
    frames: [OnceCell<Bytes>; 3],
}

impl<'a> Outgoing<'a> {
    /// Creates an event to send.
    pub fn new(event: EventName, payload: &'a RawValue) -> Self {
        Self { event, payload, frames: Default::default() }
    }

    /// Returns the approximate size of its frame, bytes.
    pub fn size(&self) -> usize {
        self.event.as_str().len() + self.payload.get().len()
    }

    /// Returns its frame in a dialect, which `encode` makes of the event's name and its payload.
    pub fn frame(&self, dialect: Dialect, encode: impl FnOnce(&str, &str) -> Bytes) -> Bytes {
        self.frames[dialect as usize].get_or_init(|| encode(self.event.as_str(), self.payload.get())).clone()
    }
}

//! The send queue of a plain WebSocket.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::time::sleep;

use super::{SHUTDOWN, TOO_SLOW, close_code};
use crate::protocol::catalogue::EventName;
use crate::realtime::connection::{Ack, SendQueue};
use crate::realtime::outgoing::{Dialect, Outgoing};
use crate::realtime::transport::Transport;
use crate::realtime::write_queue::WriteQueue;
use crate::transport::http::frames::{close_answer, close_frame, ping_frame, text_frame};

/// Timeout of a closing handshake.
const CLOSING: Duration = Duration::from_secs(1);

/// Writes the frames of a connection.
#[derive(Clone)]
pub struct FrameWriter {
    writes: Arc<WriteQueue>,
    transport: Arc<Transport>,
}

impl SendQueue for FrameWriter {
    fn send(&self, outgoing: &Outgoing<'_>) -> bool {
        self.writes.push(outgoing.frame(Dialect::Plain, |event, payload| {
            splice(&[br#"{"type":""#, event.as_bytes(), b"\""], payload)
        }));
        true
    }

    fn abort(&self, _transport: &Transport) {
        self.close(TOO_SLOW);
    }

    fn dismiss(&self, event: EventName) -> bool {
        self.close_after(close_code(event));
        true
    }

    fn shut_down(&self) {
        self.close_after(SHUTDOWN);
    }
}

impl FrameWriter {
    /// Creates the writer of a connection.
    pub fn new(writes: Arc<WriteQueue>, transport: Arc<Transport>) -> Self {
        Self { writes, transport }
    }

    /// Returns an acknowledgement of the frame with this id.
    pub fn ack(&self, id: Box<RawValue>) -> Ack {
        let writes = self.writes.clone();
        Box::new(move |reply: &RawValue| {
            writes.push(splice(&[br#"{"type":"ack","id":"#, id.get().as_bytes()], reply.get()));
            true
        })
    }

    /// Sends a ping.
    pub fn ping(&self) {
        self.writes.push(ping_frame());
    }

    /// Closes after everything that is queued.
    pub fn close_after(&self, code: u16) {
        self.writes.close_after(close_frame(code));
        self.end_soon();
    }

    /// Closes immediately; queued frames are dropped.
    pub fn close(&self, code: u16) {
        self.writes.close_now(close_frame(code));
        self.end_soon();
    }

    /// Answers the client's close frame with this payload.
    pub fn answer_close(&self, payload: &[u8]) {
        self.writes.close_after(close_answer(payload));
    }

    /// Ends the connection after a while, even if the client does not answer the close frame.
    fn end_soon(&self) {
        let transport = self.transport.clone();
        tokio::spawn(async move {
            sleep(CLOSING).await;
            transport.end();
        });
    }
}

/// Encodes the frame of an object that begins with `head` and continues with the fields of `object`.
fn splice(head: &[&[u8]], object: &str) -> Bytes {
    let fields = object.trim_start().strip_prefix('{').unwrap_or("}");
    let comma: &[u8] = if fields.trim_start().starts_with('}') { b"" } else { b"," };
    text_frame(&[head, &[comma, fields.as_bytes()]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::http::frames::text;

    #[test]
    fn an_object_is_continued_with_another() {
        let spliced = |object| text(&splice(&[br#"{"type":"x""#], object)).to_vec();
        assert_eq!(spliced(r#"{"a":1}"#), br#"{"type":"x","a":1}"#);
        assert_eq!(spliced("{}"), br#"{"type":"x"}"#);
    }
}

//! The send queue of a plain WebSocket: a bounded queue of complete frames, and the task that writes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::SplitSink;
use futures_util::{Sink, SinkExt};
use serde_json::value::RawValue;
use tokio::sync::{Notify, mpsc};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::{SHUTDOWN, TOO_SLOW, close_code};
use crate::protocol::catalogue::EventName;
use crate::realtime::connection::{Ack, SendQueue};
use crate::realtime::transport::Transport;

/// Maximum frames that may be queued for one client.
const CAPACITY: usize = 4_096;

/// Timeout of a closing handshake.
const CLOSING: Duration = Duration::from_secs(1);

/// Queues frames for a connection's writer.
#[derive(Clone)]
pub struct FrameWriter {
    frames: mpsc::Sender<Message>,
    closing: Arc<Closing>,
}

/// The close code of a writer that must close immediately, 0 if it need not, and the signal to do so.
#[derive(Default)]
struct Closing {
    now: AtomicU16,
    at_once: Notify,
}

impl SendQueue for FrameWriter {
    fn send(&self, event: EventName, payload: &RawValue) -> bool {
        self.write(splice(&format!("{{\"type\":\"{}\"", event.as_str()), payload))
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
    /// Returns an acknowledgement of the frame with this id.
    pub fn ack(&self, id: Box<RawValue>) -> Ack {
        let writer = self.clone();
        Box::new(move |reply: &RawValue| {
            writer.write(splice(&format!("{{\"type\":\"ack\",\"id\":{}", id.get()), reply))
        })
    }

    /// Closes after all queued frames have been written, or immediately if the queue is full.
    pub fn close_after(&self, code: u16) {
        if self.frames.try_send(close_frame(code)).is_err() {
            self.close(code);
        }
    }

    /// Closes immediately; queued frames are dropped.
    pub fn close(&self, code: u16) {
        self.closing.now.store(code, Ordering::Release);
        self.closing.at_once.notify_one();
    }

    fn write(&self, text: Utf8Bytes) -> bool {
        // If the writer has ended, so has its connection; only a full queue must be reported.
        !matches!(self.frames.try_send(Message::Text(text)), Err(mpsc::error::TrySendError::Full(_)))
    }

    /// Starts the task that writes frames to `sink` and sends a ping every `ping`.
    pub fn start<S>(
        sink: SplitSink<WebSocketStream<S>, Message>,
        transport: Arc<Transport>,
        ping: Duration,
    ) -> Self
    where
        SplitSink<WebSocketStream<S>, Message>: Sink<Message, Error = Error> + Send + Unpin + 'static,
    {
        let (frames, waiting) = mpsc::channel(CAPACITY);
        let closing = Arc::new(Closing::default());
        let writer = Self { frames, closing: closing.clone() };
        tokio::spawn(async move {
            write(sink, waiting, &closing, ping).await;
            // The connection ends even if the client does not answer the close frame.
            transport.end();
        });
        writer
    }
}

async fn write<W>(mut sink: W, mut waiting: mpsc::Receiver<Message>, closing: &Closing, ping: Duration)
where
    W: Sink<Message, Error = Error> + Unpin,
{
    let mut pings = interval(ping);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings.tick().await;
    loop {
        let step = async {
            let frame = tokio::select! {
                frame = waiting.recv() => frame,
                _ = pings.tick() => Some(Message::Ping(Bytes::new())),
            };
            let Some(frame) = frame else { return false };
            let mut last = matches!(frame, Message::Close(_));
            if sink.feed(frame).await.is_err() {
                return false;
            }
            // Flush once for all queued frames.
            while !last && let Ok(frame) = waiting.try_recv() {
                last = matches!(frame, Message::Close(_));
                if sink.feed(frame).await.is_err() {
                    return false;
                }
            }
            sink.flush().await.is_ok() && !last
        };
        tokio::select! {
            biased;
            () = closing.at_once.notified() => {
                let last = sink.send(close_frame(closing.now.load(Ordering::Acquire)));
                drop(timeout(CLOSING, last).await);
                break;
            }
            goes_on = step => if !goes_on { break },
        }
    }
    // Wait for the peer's close frame, or the end of the connection.
    drop(timeout(CLOSING, sink.close()).await);
}

fn close_frame(code: u16) -> Message {
    Message::Close(Some(CloseFrame { code: code.into(), reason: Utf8Bytes::from_static("") }))
}

/// Joins `head` and the fields of `object` into one object.
fn splice(head: &str, object: &RawValue) -> Utf8Bytes {
    let fields = object.get().trim_start().strip_prefix('{').unwrap_or("}");
    let comma = if fields.trim_start().starts_with('}') { "" } else { "," };
    format!("{head}{comma}{fields}").into()
}

#[cfg(test)]
mod tests {
    use super::splice;
    use serde_json::value::to_raw_value;

    #[test]
    fn an_object_is_continued_with_another() {
        let full = to_raw_value(&serde_json::json!({"a": 1})).expect("JSON");
        let empty = to_raw_value(&serde_json::json!({})).expect("JSON");
        assert_eq!(splice("{\"type\":\"x\"", &full).as_str(), r#"{"type":"x","a":1}"#);
        assert_eq!(splice("{\"type\":\"x\"", &empty).as_str(), r#"{"type":"x"}"#);
    }
}

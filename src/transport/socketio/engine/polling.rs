//! Polling: packets wait in an outbox until a request fetches them, and the session may become a WebSocket once.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep_until;

use super::packets::{NOOP, PING, engine};
use super::session::{Ends, Session};
use crate::realtime::heartbeat::{Due, Heartbeat};
use crate::realtime::transport::{MAX_WAITING, UNAUTHENTICATED_BYTES};
use crate::realtime::write_queue::{WriteQueue, batch_writes};
use crate::transport::http::frames::text;
use crate::transport::socketio::{MAX_PACKETS, SEPARATOR, UNAUTHENTICATED_PACKETS};

/// The state of a session that began with polling.
pub struct Polling {
    /// Frames, which polling sends without their headers.
    outbox: Mutex<VecDeque<Bytes>>,
    /// Something has changed for the request that waits.
    changed: Notify,
    /// Whether a request waits.
    is_polled: AtomicBool,
    /// Held while a request delivers packets: they take effect in the order in which the requests arrived.
    pub posting: tokio::sync::Mutex<()>,
    /// Whether a request has claimed the upgrade.
    is_upgrading: AtomicBool,
    /// Whether the client has been told that its WebSocket works: it stops polling.
    is_probed: AtomicBool,
    /// The client is alive.
    heard: Notify,
    heartbeat: Mutex<Heartbeat>,
    /// Bytes received before the client had authenticated.
    unauthenticated_bytes: AtomicU64,
}

/// Keeps another request from polling at the same time.
pub struct Poll<'a>(&'a Polling);

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        self.0.is_polled.store(false, Ordering::Release);
    }
}

/// The claim to upgrade the session, until it is dropped or fulfilled.
pub struct Upgrade(pub Arc<Session>);

impl Upgrade {
    /// Claims the one upgrade of a session that polls.
    pub fn claim(session: &Arc<Session>) -> Option<Self> {
        let polling = session.polling()?;
        let is_taken = session.websocket().is_some() || polling.is_upgrading.swap(true, Ordering::AcqRel);
        (!is_taken).then(|| Self(session.clone()))
    }
}

impl Drop for Upgrade {
    /// Lets the session go on polling, and another request upgrade it.
    fn drop(&mut self) {
        if let Some(polling) = self.0.polling()
            && self.0.websocket().is_none()
        {
            polling.is_probed.store(false, Ordering::Release);
            polling.is_upgrading.store(false, Ordering::Release);
        }
    }
}

impl Polling {
    /// Creates the state of a new session.
    pub fn new(heartbeat: Heartbeat) -> Self {
        Self {
            outbox: Mutex::default(),
            changed: Notify::new(),
            is_polled: AtomicBool::new(false),
            posting: tokio::sync::Mutex::default(),
            is_upgrading: AtomicBool::new(false),
            is_probed: AtomicBool::new(false),
            heard: Notify::new(),
            heartbeat: Mutex::new(heartbeat),
            unauthenticated_bytes: AtomicU64::new(0),
        }
    }

    /// Keeps a frame until it is fetched, or sends it if the session has become a WebSocket.
    pub fn push(&self, frame: Bytes, websocket: &OnceLock<Arc<WriteQueue>>) {
        let mut outbox = self.outbox.lock();
        if let Some(writes) = websocket.get() {
            writes.push(frame);
        } else {
            outbox.push_back(frame);
            self.changed.notify_one();
        }
    }

    /// Moves what was not fetched to a WebSocket, which `websocket` holds from then on.
    pub fn move_to(&self, writes: &Arc<WriteQueue>, websocket: &OnceLock<Arc<WriteQueue>>) {
        let mut outbox = self.outbox.lock();
        batch_writes(|| std::mem::take(&mut *outbox).into_iter().for_each(|frame| writes.push(frame)));
        drop(websocket.set(writes.clone()));
        self.changed.notify_one();
        self.heard.notify_one();
    }

    /// Notes that the client has been told that its WebSocket works.
    pub fn probed(&self) {
        self.is_probed.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    /// Returns the times of the session, which a WebSocket continues.
    pub fn heartbeat(&self) -> Heartbeat {
        *self.heartbeat.lock()
    }

    /// Begins to poll. Returns `None` if another request polls already.
    pub fn begin(&self) -> Option<Poll<'_>> {
        (!self.is_polled.swap(true, Ordering::AcqRel)).then(|| Poll(self))
    }

    /// Takes the packets of one response, or waits for some. Returns `None` once the session has ended.
    pub async fn fetch(&self, session: &Session) -> Option<Vec<u8>> {
        loop {
            if session.transport.has_ended() {
                return None;
            }
            if let Some(packets) = self.take() {
                session.transport.answered(packets.len() as u64);
                return Some(packets);
            }
            if self.is_probed.load(Ordering::Acquire) || session.websocket().is_some() {
                return Some(NOOP.to_vec());
            }
            tokio::select! {
                () = self.changed.notified() => {}
                () = session.transport.ended() => {}
            }
        }
    }

    fn take(&self) -> Option<Vec<u8>> {
        let mut outbox = self.outbox.lock();
        let count = outbox.len().min(MAX_PACKETS);
        let frames: Vec<Bytes> = outbox.drain(..count).collect();
        if outbox.is_empty() {
            *outbox = VecDeque::new();
        }
        let packets: Vec<&[u8]> = frames.iter().map(|frame| text(frame)).collect();
        (!packets.is_empty()).then(|| packets.join(&SEPARATOR))
    }

    /// Returns whether the client may send these packets in one request. Clients send all buffered packets at once, and
    /// the inbox does not queue more commands.
    pub fn accepts(&self, session: &Session, packets: &[u8]) -> bool {
        let (mut count, mut connects) = (0, 0);
        for packet in packets.split(|byte| *byte == SEPARATOR) {
            count += 1;
            connects += usize::from(packet.starts_with(b"40"));
        }
        if session.transport.is_authenticated() {
            return count <= MAX_WAITING && connects <= UNAUTHENTICATED_PACKETS;
        }
        let sent = packets.len() as u64;
        count <= UNAUTHENTICATED_PACKETS
            && self.unauthenticated_bytes.fetch_add(sent, Ordering::AcqRel) + sent <= UNAUTHENTICATED_BYTES
    }

    /// Notes that a request has arrived, before it waits for anything.
    pub fn hears(&self) {
        self.heard.notify_one();
    }

    /// Pings the client until the session ends or becomes a WebSocket. Returns whether it has ended.
    pub async fn watch(&self, session: &Session) -> bool {
        loop {
            let next = self.heartbeat.lock().next();
            tokio::select! {
                () = session.transport.ended() => return true,
                () = self.heard.notified() => {
                    if session.websocket().is_some() {
                        return false;
                    }
                    self.heartbeat.lock().heard();
                }
                () = sleep_until(next) => {
                    let due = self.heartbeat.lock().due(session.has_joined());
                    match due {
                        Some(Due::Ping) => session.push(engine(PING)),
                        Some(Due::End) => return true,
                        None => {}
                    }
                }
            }
        }
    }
}

/// Handles the packets of a request.
pub fn receive(session: &Arc<Session>, packets: &[u8]) -> Result<(), Ends> {
    let packets = std::str::from_utf8(packets).map_err(|_| Ends::Invalid)?;
    for packet in packets.split(char::from(SEPARATOR)) {
        match packet.strip_prefix('b') {
            Some(encoded) => {
                let attachment = BASE64_STANDARD.decode(encoded).map_err(|_| Ends::Invalid)?;
                session.receive_attachment(attachment.into())?;
            }
            None => session.receive(packet)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::heartbeat::tests::SETTINGS;
    use crate::transport::http::frames::text_frame;

    #[tokio::test]
    async fn a_response_carries_sixteen_packets_and_the_next_one_continues() {
        for count in [1_usize, 15, 16, 17, 32, 33, 100] {
            let polling = Polling::new(Heartbeat::new(&SETTINGS));
            let websocket = OnceLock::new();
            let sent: Vec<String> = (0..count).map(|number| format!("42[\"{number}\"]")).collect();
            for packet in &sent {
                polling.push(text_frame(&[packet.as_bytes()]), &websocket);
            }
            let responses: Vec<Vec<String>> = std::iter::from_fn(|| polling.take())
                .map(|it| String::from_utf8(it).expect("text").split('\x1e').map(str::to_owned).collect())
                .collect();
            assert!(responses.iter().all(|it| it.len() <= MAX_PACKETS), "{count}: {responses:?}");
            assert_eq!(responses.len(), count.div_ceil(MAX_PACKETS));
            assert_eq!(responses.concat(), sent);
        }
    }
}

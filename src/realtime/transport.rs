//! The carrier of one session's connections: one client's byte stream, or polling requests in its place. Two namespaces
//! of Socket.IO share a transport, and it may change from polling to websocket.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::backpressure::{Backpressure, InFlight};
use super::write_queue::WriteQueue;

/// Bytes that may wait for one client. More ends the connection; a single large reply does not.
const MAX_BACKLOG: u64 = 8 * 1_024 * 1_024;

/// Bytes that may wait for any client even when the node is short of memory.
const MIN_BACKLOG: u64 = 256 * 1_024;

/// Bytes that may wait for all clients of the node together, approximately.
const NODE_BACKLOG: u64 = 192 * 1_024 * 1_024;

/// Commands that may wait in the inboxes of one session. Only polling can reach this limit, because its reading is
/// never paused.
pub const MAX_WAITING: usize = 4_096;

/// Total size of those commands, in bytes.
const MAX_WAITING_BYTES: usize = 8 * 1_024 * 1_024;

/// How long a polling client waits while too many of its events are in flight; then its events are accepted anyway.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Bytes that a client may send before it has authenticated: enough for a token.
pub const UNAUTHENTICATED_BYTES: u64 = 64 * 1_024;

/// The current limit of bytes that may wait for each client of a node.
pub struct BacklogLimit(AtomicU64);

impl Default for BacklogLimit {
    fn default() -> Self {
        Self(AtomicU64::new(MAX_BACKLOG))
    }
}

impl BacklogLimit {
    /// Shares the memory of the node among the clients with large backlogs. Takes the backlogs of all clients, in
    /// bytes. Called several times a second.
    pub fn share_out(&self, backlogs: impl Iterator<Item = u64>) {
        let (mut total, mut clients) = (0, 0);
        for backlog in backlogs.filter(|it| *it > MIN_BACKLOG) {
            (total, clients) = (total + backlog, clients + 1);
        }
        // The first half of the memory is free for all; beyond it, each client's share shrinks.
        let allowed = if total <= NODE_BACKLOG / 2 { MAX_BACKLOG } else { NODE_BACKLOG / clients.max(1) };
        self.0.store(allowed.clamp(MIN_BACKLOG, MAX_BACKLOG), Ordering::Relaxed);
    }
}

/// How bytes travel.
enum Carrier {
    /// Over polling requests; the counts are those of the responses.
    Polling(Arc<Backpressure>),
    /// Over one TCP connection.
    WebSocket(Arc<WriteQueue>),
}

impl Default for Carrier {
    fn default() -> Self {
        Self::Polling(Arc::default())
    }
}

impl Carrier {
    fn backpressure(&self) -> &Arc<Backpressure> {
        match self {
            Self::Polling(backpressure) => backpressure,
            Self::WebSocket(writes) => writes.backpressure(),
        }
    }
}

/// Number and size of the commands that wait in inboxes.
#[derive(Default)]
struct Load {
    commands: usize,
    bytes: usize,
}

/// Counts one command as waiting in an inbox until dropped.
pub struct Waiting {
    transport: Arc<Transport>,
    bytes: usize,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut load = self.transport.waiting.lock();
        load.commands -= 1;
        load.bytes -= self.bytes;
    }
}

/// The transport of one session. It lives as long as the session: its counts do not restart if a client leaves a
/// namespace and joins it again.
#[derive(Default)]
pub struct Transport {
    limit: Arc<BacklogLimit>,
    carrier: Mutex<Carrier>,
    has_ended: AtomicBool,
    /// Wakes those who wait for the end.
    ending: Notify,
    /// Bytes queued so far, raised to the bytes written if those are more (frames have headers).
    queued: AtomicU64,
    /// Connections that use the transport, one for each namespace.
    connections: AtomicUsize,
    waiting: Mutex<Load>,
    authenticated: AtomicBool,
}

impl Transport {
    /// Creates a polling transport without connections, on a node with this limit.
    pub fn new(limit: Arc<BacklogLimit>) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Turns the transport into a websocket that writes to this queue. Bytes that still wait for the client remain
    /// counted.
    pub fn become_websocket(&self, writes: &Arc<WriteQueue>) {
        let stream = writes.backpressure();
        let mut carrier = self.carrier.lock();
        let written = carrier.backpressure().written();
        let backlog = self.queued.load(Ordering::Acquire).saturating_sub(written);
        self.queued.store(backlog + stream.written(), Ordering::Release);
        *carrier = Carrier::WebSocket(writes.clone());
        if !self.is_authenticated() {
            stream.limit_reading(UNAUTHENTICATED_BYTES);
        }
        if self.has_ended() {
            writes.end();
        }
    }

    /// Returns the queue of the TCP connection if the transport is a websocket.
    pub fn websocket(&self) -> Option<Arc<WriteQueue>> {
        match &*self.carrier.lock() {
            Carrier::WebSocket(writes) => Some(writes.clone()),
            Carrier::Polling(_) => None,
        }
    }

    /// Returns the backpressure of the polling requests if the transport is polling.
    pub fn polling(&self) -> Option<Arc<Backpressure>> {
        match &*self.carrier.lock() {
            Carrier::Polling(backpressure) => Some(backpressure.clone()),
            Carrier::WebSocket(_) => None,
        }
    }

    /// Counts a received command.
    pub fn enter(&self) -> InFlight {
        self.carrier.lock().backpressure().enter()
    }

    /// Counts bytes that the response to a polling request carried.
    pub fn answered(&self, bytes: u64) {
        match &*self.carrier.lock() {
            Carrier::Polling(backpressure) => backpressure.add_written(bytes),
            // The transport became a websocket while the request waited.
            Carrier::WebSocket(_) => {
                let queued = self.queued.load(Ordering::Acquire);
                self.queued.store(queued.saturating_sub(bytes), Ordering::Release);
            }
        }
    }

    /// Marks the client as authenticated and lifts its read limit.
    pub fn authenticate(&self) {
        self.authenticated.store(true, Ordering::Release);
        if let Some(writes) = self.websocket() {
            writes.backpressure().lift_read_limit();
        }
    }

    /// Whether the client has authenticated.
    pub fn is_authenticated(&self) -> bool {
        self.authenticated.load(Ordering::Acquire)
    }

    /// Counts a command that waits in an inbox. Returns `None` if too many are waiting.
    pub fn wait(self: &Arc<Self>, bytes: usize) -> Option<Waiting> {
        let mut load = self.waiting.lock();
        if load.commands >= MAX_WAITING || load.bytes + bytes > MAX_WAITING_BYTES {
            return None;
        }
        load.commands += 1;
        load.bytes += bytes;
        Some(Waiting { transport: self.clone(), bytes })
    }

    /// Counts one more connection that uses the transport.
    pub fn join(&self) {
        self.connections.fetch_add(1, Ordering::AcqRel);
    }

    /// Counts one connection less.
    pub fn part(&self) {
        self.connections.fetch_sub(1, Ordering::AcqRel);
    }

    /// Returns the bytes queued so far.
    pub fn queued(&self) -> u64 {
        self.queued.load(Ordering::Acquire)
    }

    /// Whether no connection uses the transport any more, or some of the first `queued` bytes have not been written.
    pub fn is_left_behind(&self, queued: u64) -> bool {
        let unused = self.connections.load(Ordering::Acquire) == 0;
        unused || self.carrier.lock().backpressure().written() < queued
    }

    /// Counts bytes to be written. Returns `false` if too many are waiting.
    pub fn queue(&self, bytes: usize) -> bool {
        let carrier = self.carrier.lock();
        let written = carrier.backpressure().written();
        let queued = self.queued.load(Ordering::Acquire).max(written);
        self.queued.store(queued + bytes as u64, Ordering::Release);
        queued - written <= self.limit.0.load(Ordering::Relaxed)
    }

    /// Returns the approximate number of bytes that wait to be written.
    pub fn backlog(&self) -> u64 {
        let carrier = self.carrier.lock();
        self.queued.load(Ordering::Acquire).saturating_sub(carrier.backpressure().written())
    }

    /// Ends the transport: a websocket at once, polling with its next request.
    pub fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
        self.ending.notify_waiters();
        if let Some(writes) = self.websocket() {
            writes.end();
        }
    }

    /// Whether the transport was ended.
    pub fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// Waits until the transport is ended.
    pub async fn ended(&self) {
        let ending = self.ending.notified();
        tokio::pin!(ending);
        // From here on a notification is not missed, even before it is awaited.
        ending.as_mut().enable();
        if !self.has_ended() {
            ending.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_large_backlogs_shrink_the_limit_of_their_own_node_alone() {
        let (crowded, quiet) = (Arc::<BacklogLimit>::default(), Arc::<BacklogLimit>::default());
        crowded.share_out([1_024 * 1_024; 190].into_iter());
        quiet.share_out([1_024 * 1_024; 10].into_iter());
        let (here, there) = (Transport::new(crowded.clone()), Transport::new(quiet));
        assert!(here.queue(2 * 1_024 * 1_024) && there.queue(2 * 1_024 * 1_024), "one large answer fits");
        assert!(!here.queue(1));
        assert!(there.queue(1));
        crowded.share_out(std::iter::empty());
        assert!(here.queue(1), "the limit rises again");
    }
}

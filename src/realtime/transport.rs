//! What carries the connections of one session: one client's byte stream, or the polling requests in its place. Two
//! namespaces of Socket.IO share one, and it may change from polling to websocket.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::backpressure::{Backpressure, InFlight};

/// Bytes that may wait for one client. More ends the connection; one large answer alone does not.
const MAX_BACKLOG: u64 = 8 * 1_024 * 1_024;

/// Bytes that may wait for any client even when the node is short of memory.
const MIN_BACKLOG: u64 = 256 * 1_024;

/// Bytes that may wait for all clients of the node together, about.
const NODE_BACKLOG: u64 = 192 * 1_024 * 1_024;

/// Commands that may wait in the inboxes of one session. Only polling can get there, as nothing pauses its reading.
pub const MAX_WAITING: usize = 4_096;

/// Bytes of those commands.
const MAX_WAITING_BYTES: usize = 8 * 1_024 * 1_024;

/// Bytes that a client may send before it has authenticated: a token, with room to spare.
pub const UNAUTHENTICATED_BYTES: u64 = 64 * 1_024;

/// Bytes that may wait for each client of a node at the moment.
pub struct BacklogLimit(AtomicU64);

impl Default for BacklogLimit {
    fn default() -> Self {
        Self(AtomicU64::new(MAX_BACKLOG))
    }
}

impl BacklogLimit {
    /// Shares the memory of the node among the clients with large backlogs; takes the backlogs of all, in bytes. Called a
    /// few times a second.
    pub fn share_out(&self, backlogs: impl Iterator<Item = u64>) {
        let (mut total, mut clients) = (0, 0);
        for backlog in backlogs.filter(|it| *it > MIN_BACKLOG) {
            (total, clients) = (total + backlog, clients + 1);
        }
        // The first half is free for all; beyond it the share of each shrinks.
        let allowed = if total <= NODE_BACKLOG / 2 { MAX_BACKLOG } else { NODE_BACKLOG / clients.max(1) };
        self.0.store(allowed.clamp(MIN_BACKLOG, MAX_BACKLOG), Ordering::Relaxed);
    }
}

/// How bytes travel.
enum Carrier {
    /// Request by request; the counts are those of the answers.
    Polling(Arc<Backpressure>),
    /// Over one TCP connection.
    WebSocket(Arc<Backpressure>),
}

impl Default for Carrier {
    fn default() -> Self {
        Self::Polling(Arc::default())
    }
}

impl Carrier {
    fn backpressure(&self) -> &Arc<Backpressure> {
        match self {
            Self::Polling(backpressure) | Self::WebSocket(backpressure) => backpressure,
        }
    }
}

/// Commands that wait in inboxes, and their bytes.
#[derive(Default)]
struct Load {
    commands: usize,
    bytes: usize,
}

/// One command that waits in an inbox, until it is dropped.
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

/// See the file. It lives as long as the session: what it counts does not start again with a namespace that is left and
/// joined again.
#[derive(Default)]
pub struct Transport {
    limit: Arc<BacklogLimit>,
    carrier: Mutex<Carrier>,
    ended: CancellationToken,
    /// Bytes queued so far, raised to the bytes written if those are more (frames have headers).
    queued: AtomicU64,
    /// Connections that use it, one for each namespace.
    connections: AtomicUsize,
    waiting: Mutex<Load>,
    authenticated: AtomicBool,
}

impl Transport {
    /// A polling transport that nobody uses yet, on a node with this limit.
    pub fn new(limit: Arc<BacklogLimit>) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Turns it into a websocket over the stream of this backpressure. What still waits for the client goes on counting.
    pub fn become_websocket(&self, stream: &Arc<Backpressure>) {
        let mut carrier = self.carrier.lock();
        let written = carrier.backpressure().written();
        let backlog = self.queued.load(Ordering::Acquire).saturating_sub(written);
        self.queued.store(backlog + stream.written(), Ordering::Release);
        *carrier = Carrier::WebSocket(stream.clone());
        if !self.is_authenticated() {
            stream.limit_reading(UNAUTHENTICATED_BYTES);
        }
        if self.has_ended() {
            stream.end();
        }
    }

    /// The backpressure of its TCP connection, if it is a websocket.
    pub fn websocket(&self) -> Option<Arc<Backpressure>> {
        match &*self.carrier.lock() {
            Carrier::WebSocket(backpressure) => Some(backpressure.clone()),
            Carrier::Polling(_) => None,
        }
    }

    /// What counts a polling client's bytes and commands, if it polls.
    pub fn polling(&self) -> Option<Arc<Backpressure>> {
        match &*self.carrier.lock() {
            Carrier::Polling(backpressure) => Some(backpressure.clone()),
            Carrier::WebSocket(_) => None,
        }
    }

    /// Notes that a command came in over it.
    pub fn enter(&self) -> InFlight {
        self.carrier.lock().backpressure().enter()
    }

    /// Counts bytes that the answer to a polling request carried.
    pub fn answered(&self, bytes: u64) {
        match &*self.carrier.lock() {
            Carrier::Polling(backpressure) => backpressure.add_written(bytes),
            // It became a websocket while the request waited.
            Carrier::WebSocket(_) => {
                let queued = self.queued.load(Ordering::Acquire);
                self.queued.store(queued.saturating_sub(bytes), Ordering::Release);
            }
        }
    }

    /// Notes that the client has authenticated: it may send as much as all.
    pub fn authenticate(&self) {
        self.authenticated.store(true, Ordering::Release);
        if let Some(backpressure) = self.websocket() {
            backpressure.lift_read_limit();
        }
    }

    /// Whether the client has authenticated.
    pub fn is_authenticated(&self) -> bool {
        self.authenticated.load(Ordering::Acquire)
    }

    /// Counts a command that is to wait in an inbox; `None` if too many wait already.
    pub fn wait(self: &Arc<Self>, bytes: usize) -> Option<Waiting> {
        let mut load = self.waiting.lock();
        if load.commands >= MAX_WAITING || load.bytes + bytes > MAX_WAITING_BYTES {
            return None;
        }
        load.commands += 1;
        load.bytes += bytes;
        Some(Waiting { transport: self.clone(), bytes })
    }

    /// Counts one more connection that uses it.
    pub fn join(&self) {
        self.connections.fetch_add(1, Ordering::AcqRel);
    }

    /// Counts one connection less.
    pub fn part(&self) {
        self.connections.fetch_sub(1, Ordering::AcqRel);
    }

    /// Bytes queued so far.
    pub fn queued(&self) -> u64 {
        self.queued.load(Ordering::Acquire)
    }

    /// Whether no connection uses it any more, or some of the first `queued` bytes have not been written.
    pub fn is_left_behind(&self, queued: u64) -> bool {
        let unused = self.connections.load(Ordering::Acquire) == 0;
        unused || self.carrier.lock().backpressure().written() < queued
    }

    /// Counts bytes that are to be written; false if too many wait already.
    pub fn queue(&self, bytes: usize) -> bool {
        let carrier = self.carrier.lock();
        let written = carrier.backpressure().written();
        let queued = self.queued.load(Ordering::Acquire).max(written);
        self.queued.store(queued + bytes as u64, Ordering::Release);
        queued - written <= self.limit.0.load(Ordering::Relaxed)
    }

    /// Bytes that wait to be written, about.
    pub fn backlog(&self) -> u64 {
        let carrier = self.carrier.lock();
        self.queued.load(Ordering::Acquire).saturating_sub(carrier.backpressure().written())
    }

    /// Ends it: a websocket at once, polling with its next request.
    pub fn end(&self) {
        self.ended.cancel();
        if let Some(backpressure) = self.websocket() {
            backpressure.end();
        }
    }

    /// Whether it was ended.
    pub fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Waits until it is ended.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
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

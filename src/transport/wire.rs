//! The wire below the connections of one session: it may change from polling to websocket, and two
//! namespaces share it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::listener::{Gate, InFlight};

/// Bytes that may wait for one client. What is beyond it ends the connection; one large answer alone
/// does not.
const MAX_BACKLOG: u64 = 8 * 1_024 * 1_024;

/// What of it everybody may have even when the node is short of memory.
const LEAST_BACKLOG: u64 = 256 * 1_024;

/// Bytes that may wait for all clients of the node together, about.
const NODE_BACKLOG: u64 = 192 * 1_024 * 1_024;

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
        let (mut total, mut many) = (0, 0);
        for backlog in backlogs.filter(|it| *it > LEAST_BACKLOG) {
            (total, many) = (total + backlog, many + 1);
        }
        // The first half is free for all; beyond it the share of each shrinks.
        let allowed = if total <= NODE_BACKLOG / 2 { MAX_BACKLOG } else { NODE_BACKLOG / many.max(1) };
        self.0.store(allowed.clamp(LEAST_BACKLOG, MAX_BACKLOG), Ordering::Relaxed);
    }
}

/// Events that may wait in the inboxes of one session. Only polling can get there, where nothing stops the
/// reading.
const MAX_WAITING: usize = 4_096;

/// Bytes of those events.
const MAX_WAITING_BYTES: usize = 8 * 1_024 * 1_024;

/// Packets of one answer to a polling client: python-engineio gives a session up over more.
const MAX_PACKETS: usize = 16;

/// Bytes that a session may send before it has authenticated: a token, with room to spare.
pub const UNKNOWN_BYTES: u64 = 64 * 1_024;

/// Packets of one request before it has authenticated: a client names its namespaces and sends nothing else.
const UNKNOWN_PACKETS: usize = 8;

/// Packets of one request afterwards: clients send at once what has gathered, and more events could not wait.
const KNOWN_PACKETS: usize = MAX_WAITING;

/// Refusals after which a session has had its chance.
const REFUSALS_MOST: usize = 4;

/// What stands between packets (Engine.IO protocol 4, payloads).
pub const SEPARATOR: u8 = 0x1e;

/// See the file. It lives as long as the session: what it counts does not start again with a namespace that is
/// left and joined again.
#[derive(Default)]
pub struct Wire {
    limit: Arc<BacklogLimit>,
    /// Of the websocket; while it polls, one that only counts.
    gate: Mutex<Way>,
    polled: Mutex<Polled>,
    ended: CancellationToken,
    /// Bytes handed over so far, caught up with what left where that is more (frames have heads).
    handed: AtomicU64,
    /// Connections that use it, one for each namespace.
    connections: AtomicUsize,
    waiting: Mutex<Load>,
    /// Whether a namespace was ever joined.
    admitted: AtomicBool,
    /// Bytes that came by polling before that.
    unknown: AtomicU64,
    refusals: AtomicUsize,
}

/// What belongs to polling.
#[derive(Default)]
struct Polled {
    /// Packets of an answer that had too many.
    kept: Bytes,
    /// Whether a request is to become the websocket, or did.
    upgrading: bool,
}

/// Whether a request may become the websocket of its session.
pub enum Claim {
    /// It may.
    Granted,
    /// Once the client has fetched what is kept for it.
    Later,
    /// Another one has it.
    Taken,
}

/// Takes as many packets as one answer may carry from the front.
fn take_packets(kept: &mut Bytes) -> Bytes {
    let mut ends = kept.iter().enumerate().filter(|(_, byte)| **byte == SEPARATOR);
    let Some((end, _)) = ends.nth(MAX_PACKETS - 1) else { return std::mem::take(kept) };
    let taken = kept.split_to(end);
    kept.advance(1);
    taken
}

/// Events that wait in inboxes, and their bytes.
#[derive(Default)]
struct Load {
    events: usize,
    bytes: usize,
}

/// One event that waits in an inbox, until it is dropped.
pub struct Waiting {
    wire: Arc<Wire>,
    bytes: usize,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut load = self.wire.waiting.lock();
        load.events -= 1;
        load.bytes -= self.bytes;
    }
}

/// How bytes travel.
enum Way {
    /// Request by request; the gate counts what answers carried and what is in flight.
    Polling(Arc<Gate>),
    /// Over one TCP connection.
    WebSocket(Arc<Gate>),
}

impl Default for Way {
    fn default() -> Self {
        Self::Polling(Arc::default())
    }
}

impl Way {
    fn gate(&self) -> &Arc<Gate> {
        match self {
            Self::Polling(gate) | Self::WebSocket(gate) => gate,
        }
    }
}

impl Wire {
    /// A wire that nobody uses yet, on a node with this limit.
    pub fn new(limit: Arc<BacklogLimit>) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Puts the wire behind a TCP connection's gate: it is a websocket now. What still waits for the client goes
    /// on counting.
    pub fn set_gate(&self, gate: &Arc<Gate>) {
        let mut way = self.gate.lock();
        let backlog = self.handed.load(Ordering::Acquire).saturating_sub(way.gate().written());
        self.handed.store(backlog + gate.written(), Ordering::Release);
        *way = Way::WebSocket(gate.clone());
        if !self.admitted.load(Ordering::Acquire) {
            gate.restrict(UNKNOWN_BYTES);
        }
        if self.is_dead() {
            gate.end();
        }
    }

    /// Claims the one upgrade of a session that polls. Not while packets are kept: a client that upgrades asks no more
    /// by polling.
    pub fn claim_upgrade(&self) -> Claim {
        let mut polled = self.polled.lock();
        if polled.upgrading {
            return Claim::Taken;
        }
        if !polled.kept.is_empty() {
            return Claim::Later;
        }
        polled.upgrading = true;
        Claim::Granted
    }

    /// The engine refused the request that had claimed the upgrade: another may try.
    pub fn release_upgrade(&self) {
        self.polled.lock().upgrading = false;
    }

    /// What of a polling answer's packets goes out now; the rest is kept for the next request.
    pub fn split(&self, packets: Bytes) -> Bytes {
        let mut polled = self.polled.lock();
        if polled.upgrading {
            return packets;
        }
        polled.kept = packets;
        take_packets(&mut polled.kept)
    }

    /// The next packets that were kept.
    pub fn kept(&self) -> Option<Bytes> {
        let mut polled = self.polled.lock();
        (!polled.kept.is_empty()).then(|| take_packets(&mut polled.kept))
    }

    /// The gate of its TCP connection, where the wire is a websocket.
    pub fn websocket(&self) -> Option<Arc<Gate>> {
        match &*self.gate.lock() {
            Way::WebSocket(gate) => Some(gate.clone()),
            Way::Polling(_) => None,
        }
    }

    /// An event came in over it.
    pub fn enter(&self) -> InFlight {
        self.gate.lock().gate().enter()
    }

    /// The gate that counts a polling client's bytes and events.
    pub fn polling(&self) -> Option<Arc<Gate>> {
        match &*self.gate.lock() {
            Way::Polling(gate) => Some(gate.clone()),
            Way::WebSocket(_) => None,
        }
    }

    /// Counts bytes that an answer to a polling request carried.
    pub fn answered(&self, bytes: u64) {
        match &*self.gate.lock() {
            Way::Polling(gate) => gate.wrote(bytes),
            // It became a websocket while the request waited.
            Way::WebSocket(_) => {
                let handed = self.handed.load(Ordering::Acquire);
                self.handed.store(handed.saturating_sub(bytes), Ordering::Release);
            }
        }
    }

    /// The session has authenticated: it may send as much as all.
    pub fn admit(&self) {
        self.admitted.store(true, Ordering::Release);
        if let Some(gate) = self.websocket() {
            gate.lift();
        }
    }

    /// A namespace was refused; ends the session that has been refused too often.
    pub fn refuse(&self) {
        if self.refusals.fetch_add(1, Ordering::AcqRel) + 1 >= REFUSALS_MOST {
            self.end();
        }
    }

    /// Whether a polling client may send this.
    pub fn takes(&self, packets: &[u8]) -> bool {
        let (mut count, mut connects) = (0, 0);
        for packet in packets.split(|byte| *byte == SEPARATOR) {
            count += 1;
            connects += usize::from(packet.starts_with(b"40"));
        }
        if self.admitted.load(Ordering::Acquire) {
            return count <= KNOWN_PACKETS && connects <= UNKNOWN_PACKETS;
        }
        let sent = packets.len() as u64;
        count <= UNKNOWN_PACKETS && self.unknown.fetch_add(sent, Ordering::AcqRel) + sent <= UNKNOWN_BYTES
    }

    /// Counts an event that is to wait in an inbox; none where too many wait already.
    pub fn wait(self: &Arc<Self>, bytes: usize) -> Option<Waiting> {
        let mut load = self.waiting.lock();
        if load.events >= MAX_WAITING || load.bytes + bytes > MAX_WAITING_BYTES {
            return None;
        }
        load.events += 1;
        load.bytes += bytes;
        Some(Waiting { wire: self.clone(), bytes })
    }

    /// A connection uses it from now on.
    pub fn join(&self) {
        self.connections.fetch_add(1, Ordering::AcqRel);
    }

    /// A connection uses it no longer.
    pub fn part(&self) {
        self.connections.fetch_sub(1, Ordering::AcqRel);
    }

    /// Bytes handed over so far.
    pub fn handed(&self) -> u64 {
        self.handed.load(Ordering::Acquire)
    }

    /// Whether no connection uses it any more, or what was handed over up to `handed` has not left.
    pub fn is_left_behind(&self, handed: u64) -> bool {
        let unused = self.connections.load(Ordering::Acquire) == 0;
        unused || self.gate.lock().gate().written() < handed
    }

    /// Counts bytes that are to be written; false where too many wait already.
    pub fn take(&self, bytes: usize) -> bool {
        let way = self.gate.lock();
        let written = way.gate().written();
        let handed = self.handed.load(Ordering::Acquire).max(written);
        self.handed.store(handed + bytes as u64, Ordering::Release);
        handed - written <= self.limit.0.load(Ordering::Relaxed)
    }

    /// Bytes that wait to be written, about.
    pub fn backlog(&self) -> u64 {
        let way = self.gate.lock();
        self.handed.load(Ordering::Acquire).saturating_sub(way.gate().written())
    }

    /// Ends the wire: a websocket at once, polling with its next request.
    pub fn end(&self) {
        self.ended.cancel();
        if let Some(gate) = self.websocket() {
            gate.end();
        }
    }

    /// Whether it was ended.
    pub fn is_dead(&self) -> bool {
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

    fn packets(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("42[\"{number}\"]")).collect()
    }

    #[test]
    fn an_answer_carries_sixteen_packets_and_the_next_goes_on_where_it_ended() {
        for count in [1, 15, 16, 17, 32, 33, 100] {
            let wire = Wire::default();
            let sent = packets(count);
            let mut answers = vec![wire.split(sent.join("\x1e").into())];
            while let Some(kept) = wire.kept() {
                answers.push(kept);
            }
            let answers: Vec<Vec<String>> = answers
                .iter()
                .map(|it| std::str::from_utf8(it).expect("text").split('\x1e').map(str::to_owned).collect())
                .collect();
            assert!(answers.iter().all(|it| it.len() <= MAX_PACKETS), "{count}: {answers:?}");
            assert_eq!(answers.len(), count.div_ceil(MAX_PACKETS));
            assert_eq!(answers.concat(), sent);
        }
    }

    #[test]
    fn who_has_not_authenticated_may_send_little_and_is_refused_a_few_times() {
        let wire = Wire::default();
        let connects = |count: usize| vec!["40{\"token\":\"x\"}"; count].join("\x1e");
        assert!(wire.takes(connects(2).as_bytes()));
        assert!(!wire.takes(connects(UNKNOWN_PACKETS + 1).as_bytes()));
        assert!(!wire.takes(&vec![b'4'; UNKNOWN_BYTES as usize]));
        assert!(!wire.takes(b"3"), "its bytes are used up");
        wire.admit();
        assert!(wire.takes(packets(KNOWN_PACKETS).join("\x1e").as_bytes()));
        assert!(!wire.takes(packets(KNOWN_PACKETS + 1).join("\x1e").as_bytes()));
        assert!(!wire.takes(connects(UNKNOWN_PACKETS + 1).as_bytes()));
        for _ in 1..REFUSALS_MOST {
            wire.refuse();
            assert!(!wire.is_dead());
        }
        wire.refuse();
        assert!(wire.is_dead());
    }

    #[test]
    fn many_large_backlogs_shrink_the_limit_of_their_own_node_alone() {
        let (crowded, quiet) = (Arc::<BacklogLimit>::default(), Arc::<BacklogLimit>::default());
        crowded.share_out([1_024 * 1_024; 190].into_iter());
        quiet.share_out([1_024 * 1_024; 10].into_iter());
        let (here, there) = (Wire::new(crowded.clone()), Wire::new(quiet));
        assert!(here.take(2 * 1_024 * 1_024) && there.take(2 * 1_024 * 1_024), "one large answer does not");
        assert!(!here.take(1));
        assert!(there.take(1));
        crowded.share_out(std::iter::empty());
        assert!(here.take(1), "the limit rises again");
    }

    #[test]
    fn an_upgrade_waits_for_what_is_kept_and_then_nothing_is_kept_any_more() {
        let wire = Wire::default();
        wire.split(packets(20).join("\x1e").into());
        assert!(matches!(wire.claim_upgrade(), Claim::Later));
        assert!(wire.kept().is_some());
        assert!(matches!(wire.claim_upgrade(), Claim::Granted));
        assert!(matches!(wire.claim_upgrade(), Claim::Taken));
        let all = Bytes::from(packets(20).join("\x1e"));
        assert_eq!(wire.split(all.clone()), all);
        wire.release_upgrade();
        assert!(matches!(wire.claim_upgrade(), Claim::Granted));
    }
}

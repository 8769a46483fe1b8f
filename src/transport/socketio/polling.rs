//! What is particular to a session that polls (Engine.IO protocol 4): how many packets an answer and a request may
//! have, and its one upgrade to a websocket.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::{Buf, Bytes};
use parking_lot::Mutex;

use crate::realtime::transport::{BacklogLimit, MAX_WAITING, Transport, UNAUTHENTICATED_BYTES};

/// Packets of one answer to a polling client: python-engineio gives a session up over more.
const MAX_PACKETS: usize = 16;

/// Packets of one request before the client has authenticated: it names its namespaces and sends nothing else.
const UNAUTHENTICATED_PACKETS: usize = 8;

/// Packets of one request afterwards: clients send at once what has gathered, and more commands could not wait.
const AUTHENTICATED_PACKETS: usize = MAX_WAITING;

/// Refusals after which a session ends.
const MAX_REFUSALS: usize = 4;

/// What stands between packets (Engine.IO protocol 4, payloads).
pub const SEPARATOR: u8 = 0x1e;

/// One session of the engine, however it began.
#[derive(Default)]
pub struct Session {
    /// What carries it.
    pub transport: Arc<Transport>,
    polled: Mutex<Polled>,
    /// Bytes that came by polling before the client had authenticated.
    unauthenticated_bytes: AtomicU64,
    refusals: AtomicUsize,
}

/// What polling needs to remember.
#[derive(Default)]
struct Polled {
    /// Packets of an answer that had too many.
    kept: Bytes,
    /// Whether a request is to become the websocket, or did.
    upgrading: bool,
}

/// Whether a request may become the websocket of its session.
pub enum UpgradeClaim {
    /// It may.
    Granted,
    /// Once the client has fetched what is kept for it.
    Later,
    /// Another request has it.
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

impl Session {
    /// A session that polls until told otherwise, on a node with this limit.
    pub fn new(limit: Arc<BacklogLimit>) -> Self {
        Self { transport: Arc::new(Transport::new(limit)), ..Self::default() }
    }

    /// Claims the one upgrade of a session that polls. Not while packets are kept: a client that upgrades asks for no
    /// more by polling.
    pub fn claim_upgrade(&self) -> UpgradeClaim {
        let mut polled = self.polled.lock();
        if polled.upgrading {
            return UpgradeClaim::Taken;
        }
        if !polled.kept.is_empty() {
            return UpgradeClaim::Later;
        }
        polled.upgrading = true;
        UpgradeClaim::Granted
    }

    /// Gives the upgrade back: the engine refused the request that had claimed it.
    pub fn release_upgrade(&self) {
        self.polled.lock().upgrading = false;
    }

    /// The packets of an answer that go out now; the rest is kept for the next request.
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

    /// Counts a namespace that was refused; ends a session that was refused too often.
    pub fn refuse(&self) {
        if self.refusals.fetch_add(1, Ordering::AcqRel) + 1 >= MAX_REFUSALS {
            self.transport.end();
        }
    }

    /// Whether a polling client may send this.
    pub fn accepts(&self, packets: &[u8]) -> bool {
        let (mut count, mut connects) = (0, 0);
        for packet in packets.split(|byte| *byte == SEPARATOR) {
            count += 1;
            connects += usize::from(packet.starts_with(b"40"));
        }
        if self.transport.is_authenticated() {
            return count <= AUTHENTICATED_PACKETS && connects <= UNAUTHENTICATED_PACKETS;
        }
        let sent = packets.len() as u64;
        count <= UNAUTHENTICATED_PACKETS
            && self.unauthenticated_bytes.fetch_add(sent, Ordering::AcqRel) + sent <= UNAUTHENTICATED_BYTES
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
            let session = Session::default();
            let sent = packets(count);
            let mut answers = vec![session.split(sent.join("\x1e").into())];
            while let Some(kept) = session.kept() {
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
    fn an_unauthenticated_client_may_send_little_and_is_refused_a_few_times() {
        let session = Session::default();
        let connects = |count: usize| vec!["40{\"token\":\"x\"}"; count].join("\x1e");
        assert!(session.accepts(connects(2).as_bytes()));
        assert!(!session.accepts(connects(UNAUTHENTICATED_PACKETS + 1).as_bytes()));
        assert!(!session.accepts(&vec![b'4'; UNAUTHENTICATED_BYTES as usize]));
        assert!(!session.accepts(b"3"), "its byte budget is used up");
        session.transport.authenticate();
        assert!(session.accepts(packets(AUTHENTICATED_PACKETS).join("\x1e").as_bytes()));
        assert!(!session.accepts(packets(AUTHENTICATED_PACKETS + 1).join("\x1e").as_bytes()));
        assert!(!session.accepts(connects(UNAUTHENTICATED_PACKETS + 1).as_bytes()));
        for _ in 1..MAX_REFUSALS {
            session.refuse();
            assert!(!session.transport.has_ended());
        }
        session.refuse();
        assert!(session.transport.has_ended());
    }

    #[test]
    fn an_upgrade_waits_for_what_is_kept_and_then_nothing_is_kept_any_more() {
        let session = Session::default();
        session.split(packets(20).join("\x1e").into());
        assert!(matches!(session.claim_upgrade(), UpgradeClaim::Later));
        assert!(session.kept().is_some());
        assert!(matches!(session.claim_upgrade(), UpgradeClaim::Granted));
        assert!(matches!(session.claim_upgrade(), UpgradeClaim::Taken));
        let all = Bytes::from(packets(20).join("\x1e"));
        assert_eq!(session.split(all.clone()), all);
        session.release_upgrade();
        assert!(matches!(session.claim_upgrade(), UpgradeClaim::Granted));
    }
}

//! State of an Engine.IO session (protocol 4) that uses polling: how many packets a response and a request may contain,
//! and the session's one upgrade to a WebSocket.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::{Buf, Bytes};
use parking_lot::Mutex;

use crate::realtime::transport::{BacklogLimit, MAX_WAITING, Transport, UNAUTHENTICATED_BYTES};
use crate::transport::socketio::{MAX_PACKETS, MAX_REFUSALS, SEPARATOR, UNAUTHENTICATED_PACKETS};

/// Maximum packets of one request afterwards. Clients send all buffered packets at once, and the inbox does not queue
/// more commands.
const AUTHENTICATED_PACKETS: usize = MAX_WAITING;

/// A session of the engine, whichever transport it began with.
#[derive(Default)]
pub struct Session {
    /// The session's transport.
    pub transport: Arc<Transport>,
    polled: Mutex<Polled>,
    /// Bytes received by polling before the client had authenticated.
    unauthenticated_bytes: AtomicU64,
    refusals: AtomicUsize,
}

/// State of a session that polls.
#[derive(Default)]
struct Polled {
    /// Packets that did not fit into the previous response.
    kept: Bytes,
    /// Whether a request has claimed the upgrade to a WebSocket.
    upgrading: bool,
}

/// The result of claiming the upgrade of a session to a WebSocket.
pub enum UpgradeClaim {
    /// The request may upgrade.
    Granted,
    /// The client must first fetch the packets that are kept for it.
    Later,
    /// Another request has claimed the upgrade.
    Taken,
}

/// Removes as many packets from the front of `kept` as one response may contain.
fn take_packets(kept: &mut Bytes) -> Bytes {
    let mut ends = kept.iter().enumerate().filter(|(_, byte)| **byte == SEPARATOR);
    let Some((end, _)) = ends.nth(MAX_PACKETS - 1) else { return std::mem::take(kept) };
    let taken = kept.split_to(end);
    kept.advance(1);
    taken
}

impl Session {
    /// Creates a session that polls until it upgrades. All sessions of a node share `limit`.
    pub fn new(limit: Arc<BacklogLimit>) -> Self {
        Self { transport: Arc::new(Transport::new(limit)), ..Self::default() }
    }

    /// Claims the one upgrade of a polling session. The claim has to wait while packets are kept, because a client that
    /// upgrades stops polling.
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

    /// Releases the upgrade after the engine has refused the request that claimed it.
    pub fn release_upgrade(&self) {
        self.polled.lock().upgrading = false;
    }

    /// Returns the packets that fit into this response, and keeps the rest for the next request.
    pub fn split(&self, packets: Bytes) -> Bytes {
        let mut polled = self.polled.lock();
        if polled.upgrading {
            return packets;
        }
        polled.kept = packets;
        take_packets(&mut polled.kept)
    }

    /// Returns the next packets that were kept, if any.
    pub fn kept(&self) -> Option<Bytes> {
        let mut polled = self.polled.lock();
        (!polled.kept.is_empty()).then(|| take_packets(&mut polled.kept))
    }

    /// Counts a refused namespace, and ends the session after too many.
    pub fn refuse(&self) {
        if self.refusals.fetch_add(1, Ordering::AcqRel) + 1 >= MAX_REFUSALS {
            self.transport.end();
        }
    }

    /// Returns whether a polling client may send these packets.
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

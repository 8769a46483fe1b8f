//! When a client is pinged, and when its connection ends because it is silent.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::Sockets;

/// What has become due.
#[derive(Debug, PartialEq, Eq)]
pub enum Due {
    /// A ping.
    Ping,
    /// The end: the client has not answered, or has not joined a namespace in time.
    End,
}

/// The times of one session. The client expects a ping at every interval, whatever else it sends or receives.
#[derive(Clone, Copy, Debug)]
pub struct Heartbeat {
    interval: Duration,
    timeout: Duration,
    /// When the next ping is due or, after one, when the last one was sent.
    at: Instant,
    /// Whether a ping waits for its answer.
    is_pinged: bool,
    /// When the client must have joined a namespace.
    join_by: Instant,
    /// Whether it was in one when that was last asked.
    has_joined: bool,
}

impl Heartbeat {
    /// Starts with a new session of Socket.IO, whose client has to join a namespace.
    pub fn new(settings: &Sockets) -> Self {
        let now = Instant::now();
        Self {
            interval: settings.ping_interval,
            timeout: settings.ping_timeout,
            at: now + settings.ping_interval,
            is_pinged: false,
            join_by: now + settings.connect_timeout,
            has_joined: false,
        }
    }

    /// Starts with a client that has authenticated.
    pub fn authenticated(settings: &Sockets) -> Self {
        Self { has_joined: true, ..Self::new(settings) }
    }

    /// Returns when something becomes due.
    pub fn next(&self) -> Instant {
        let ping = if self.is_pinged { self.at + self.timeout } else { self.at };
        if self.has_joined { ping } else { ping.min(self.join_by) }
    }

    /// Notes that the client is alive. Returns whether that changes `next`.
    pub fn heard(&mut self) -> bool {
        if self.is_pinged {
            self.is_pinged = false;
            self.at += self.interval;
            return true;
        }
        false
    }

    /// Returns what is due, if anything, for a client that is in a namespace or not. A ping counts as sent.
    pub fn due(&mut self, has_joined: bool) -> Option<Due> {
        self.has_joined = has_joined;
        let now = Instant::now();
        if now < self.next() {
            return None;
        }
        if self.is_pinged || (!has_joined && now >= self.join_by) {
            return Some(Due::End);
        }
        self.at = now;
        self.is_pinged = true;
        Some(Due::Ping)
    }
}

#[cfg(test)]
#[expect(missing_docs, reason = "only tests use it")]
pub mod tests {
    use tokio::time::sleep_until;

    use super::*;

    /// The usual times.
    pub const SETTINGS: Sockets = Sockets {
        max_frame_bytes: 1,
        ping_interval: Duration::from_secs(25),
        ping_timeout: Duration::from_secs(20),
        connect_timeout: Duration::from_secs(10),
        fast_path: true,
    };

    /// Waits until something is due and returns it, with the seconds since `start`.
    async fn next(heartbeat: &mut Heartbeat, has_joined: bool, start: Instant) -> (u64, Due) {
        loop {
            sleep_until(heartbeat.next()).await;
            if let Some(due) = heartbeat.due(has_joined) {
                return (start.elapsed().as_secs(), due);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pings_keep_their_interval_and_an_unanswered_one_ends_the_session() {
        let (mut heartbeat, start) = (Heartbeat::new(&SETTINGS), Instant::now());
        for number in 1..=3 {
            assert!(!heartbeat.heard(), "nothing waits for an answer");
            assert_eq!(next(&mut heartbeat, true, start).await, (number * 25, Due::Ping));
            tokio::time::sleep(Duration::from_secs(19)).await;
            assert!(heartbeat.heard());
        }
        assert_eq!(next(&mut heartbeat, true, start).await, (100, Due::Ping));
        assert_eq!(next(&mut heartbeat, true, start).await, (120, Due::End));
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_without_a_namespace_ends_in_time() {
        let (mut heartbeat, start) = (Heartbeat::new(&SETTINGS), Instant::now());
        assert_eq!(next(&mut heartbeat, false, start).await, (10, Due::End));
    }
}

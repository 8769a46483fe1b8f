//! Ends connections: when their token expires, or when the node shuts down.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{interval, sleep, timeout};

use crate::clock::Timestamp;
use crate::domain::{AppContext, events};
use crate::protocol::catalogue::EventName;
use crate::protocol::sessions::{Farewell, ServerShutdown, TokenExpiring};
use crate::random;
use crate::realtime::publisher::Publisher;

/// `token_expiring` is sent this long before the expiry, milliseconds.
const WARN_BEFORE_MS: i64 = 60_000;

/// If the clock falls back by less than this, it was only adjusted, milliseconds.
const SET_BACK_MS: i64 = 1_000;

/// Interval at which the backlogs of all clients are added up.
const SHARE_EVERY: Duration = Duration::from_millis(100);

/// Interval at which websockets are checked for having closed.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

impl Publisher {
    /// Warns connections whose token expires soon and dismisses those whose token has expired, once a second.
    pub fn watch_tokens(self: &Arc<Self>, context: &Arc<AppContext>) {
        let publisher = self.clone();
        context.keep("tokens", move |context| {
            let publisher = publisher.clone();
            async move {
                let mut second = interval(Duration::from_secs(1));
                let mut last = (context.clock.now(), context.clock.uptime());
                loop {
                    second.tick().await;
                    let at = (context.clock.now(), context.clock.uptime());
                    publisher.move_ends(set_back(last, at));
                    publisher.check_tokens(at.0);
                    last = at;
                }
            }
        });
    }

    /// Shares the node's memory for backlogs among the clients, several times a second.
    pub fn watch_backlogs(self: &Arc<Self>, context: &Arc<AppContext>) {
        let publisher = self.clone();
        context.keep("backlogs", move |_| {
            let publisher = publisher.clone();
            async move {
                let mut tick = interval(SHARE_EVERY);
                loop {
                    tick.tick().await;
                    let backlogs =
                        publisher.connections.iter().map(|connection| connection.transport.backlog());
                    publisher.backlog_limit.share_out(backlogs);
                }
            }
        });
    }

    /// Keeps the lifetimes of tokens unchanged: if the clock was set back, their expiry moves with it.
    fn move_ends(&self, set_back: i64) {
        if set_back > 0 {
            tracing::warn!(milliseconds = set_back, "the clock was set back");
            for connection in self.all_connections() {
                connection.expires_at.fetch_sub(set_back, Ordering::AcqRel);
            }
        }
    }

    fn check_tokens(&self, now: i64) {
        for connection in self.all_connections() {
            let end = connection.expires_at.load(Ordering::Acquire);
            if end <= now {
                let expired = Farewell { message: "the token ended; connect with a new one".into() };
                connection.send_event(events::token_expired::to_connection(&expired));
                connection.dismiss(EventName::token_expired);
            } else if end - now <= WARN_BEFORE_MS && connection.warned_of.swap(end, Ordering::AcqRel) != end {
                let expiring = TokenExpiring { expires_at: Timestamp(end) };
                connection.send_event(events::token_expiring::to_connection(&expiring));
            }
        }
    }

    /// Notifies all clients of the shutdown; each is to reconnect after its own random delay within `spread`.
    pub fn announce_shutdown(&self, spread: Duration) {
        let spread = spread.as_millis() as usize;
        for connection in self.all_connections() {
            let retry_after_ms = 500 + random::below(spread.max(1)) as u64;
            connection.send_event(events::server_shutdown::to_connection(&ServerShutdown { retry_after_ms }));
        }
    }

    /// Stops reading from all websockets.
    pub fn pause_all(&self) {
        for connection in self.all_connections() {
            if let Some(stream) = connection.transport.websocket() {
                stream.backpressure().pause();
            }
        }
    }

    /// Lets every connection close in the way of its transport.
    pub fn shut_down_all(&self) {
        self.all_connections().iter().for_each(|connection| connection.shut_down());
    }

    /// Closes every websocket with this close frame, behind everything that is queued. Ends those that have not closed in
    /// time.
    pub async fn close_websockets(&self, close_frame: &Bytes, within: Duration) {
        let streams: Vec<_> =
            self.all_connections().iter().filter_map(|connection| connection.transport.websocket()).collect();
        for stream in &streams {
            stream.close_after(close_frame.clone());
        }
        let all_ended = async {
            while !streams.iter().all(|it| it.backpressure().is_ended() || it.is_empty()) {
                sleep(LOOK_AGAIN).await;
            }
        };
        // Nothing is read any more, not even the clients' answers.
        drop(timeout(within, all_ended).await);
        for stream in &streams {
            stream.end();
        }
    }

    /// Ends every connection's transport; the clients reconnect by themselves.
    pub fn end_all(&self) {
        self.all_connections().iter().for_each(|connection| connection.transport.end());
    }
}

/// Returns by how many milliseconds the clock was set back between two readings of clock and uptime; 0 if it was only
/// adjusted.
fn set_back((then, uptime_then): (i64, i64), (now, uptime_now): (i64, i64)) -> i64 {
    let missing = (uptime_now - uptime_then) - (now - then);
    if missing >= SET_BACK_MS { missing } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_is_told_from_one_that_is_corrected_or_set_forward() {
        assert_eq!(set_back((10_000, 500), (11_000, 1_500)), 0);
        assert_eq!(set_back((10_000, 500), (10_990, 1_500)), 0, "corrected");
        assert_eq!(set_back((10_000, 500), (3_611_000, 1_500)), 0, "set forward, or awake again");
        assert_eq!(set_back((3_610_000, 500), (11_000, 1_500)), 3_600_000);
    }
}

//! How connections end: with their token, or with the node.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{interval, sleep, timeout};

use crate::clock::Timestamp;
use crate::domain::{AppContext, events};
use crate::protocol::catalogue::EventName;
use crate::protocol::sessions::{Farewell, ServerShutdown, TokenExpiring};
use crate::random;
use crate::realtime::publisher::Publisher;

/// `token_expiring` comes this long before the end, milliseconds.
const WARN_BEFORE_MS: i64 = 60_000;

/// A clock that is behind by less was only corrected, milliseconds.
const SET_BACK_MS: i64 = 1_000;

/// Between two looks at how much waits for all clients together.
const SHARE_EVERY: Duration = Duration::from_millis(100);

/// Between two looks at whether all websockets have closed.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

impl Publisher {
    /// Warns of tokens that end soon and dismisses connections whose token has ended; once a second.
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

    /// Shares what may wait for clients among them, a few times a second.
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

    /// A token lasts as long as it was given for: where the clock was set back, ends move along.
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

    /// Tells everybody that the node goes, each to come back at a time of their own within `spread`.
    pub fn announce_shutdown(&self, spread: Duration) {
        let spread = spread.as_millis() as usize;
        for connection in self.all_connections() {
            let retry_after_ms = 500 + random::below(spread.max(1)) as u64;
            connection.send_event(events::server_shutdown::to_connection(&ServerShutdown { retry_after_ms }));
        }
    }

    /// Reads nothing more from anybody.
    pub fn pause_all(&self) {
        for connection in self.all_connections() {
            if let Some(stream) = connection.transport.websocket() {
                stream.pause();
            }
        }
    }

    /// Closes plain connections in their own way; the engine closes its own.
    pub fn shut_down_all(&self) {
        self.all_connections().iter().for_each(|connection| connection.shut_down());
    }

    /// Closes every websocket with this code, and those that did not take it in time without.
    pub async fn close_websockets(&self, code: u16, within: Duration) {
        let streams: Vec<_> =
            self.all_connections().iter().filter_map(|connection| connection.transport.websocket()).collect();
        for stream in &streams {
            stream.close(code);
        }
        let all_ended = async {
            while !streams.iter().all(|it| it.is_ended()) {
                sleep(LOOK_AGAIN).await;
            }
        };
        if timeout(within, all_ended).await.is_err() {
            for stream in &streams {
                stream.end();
            }
        }
    }

    /// Ends every connection's transport; the clients come back by themselves.
    pub fn end_all(&self) {
        self.all_connections().iter().for_each(|connection| connection.transport.end());
    }
}

/// Milliseconds that the clock was set back between two looks at it, each with the uptime; 0 for what its corrections
/// are.
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

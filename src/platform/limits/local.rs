//! Token buckets in the memory of this process: the generic cell rate algorithm (GCRA) of the `governor` crate, with
//! one small number per key. Memory is bounded: full buckets are removed every minute, and if there are more addresses
//! and account names than can be stored, the rest share buckets until the next cleanup.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use super::{Bucket, Key};
use crate::config::{Rate, Rates};
use crate::error::Result;

/// Token refreshes: enough for many devices with many tabs, too few to fill the database.
const REFRESH: Rate = Rate { count: 120, period: Duration::from_mins(1), burst: 120 };

/// Connections: enough for many devices that reconnect at once after an outage, too few to keep a core busy.
const CONNECT: Rate = Rate { count: 2, period: Duration::from_secs(1), burst: 100 };

/// Users added to chats: the largest group allowed by default at once, then as many per minute.
const MEMBER: Rate = Rate { count: 10_000, period: Duration::from_mins(1), burst: 10_000 };

/// Changes of chats: their event sends the whole chat with its last message to every member.
const CHAT_CHANGE: Rate = Rate { count: 1, period: Duration::from_secs(1), burst: 20 };

/// Maximum number of addresses and account names (as entered) that are counted individually, per bucket. Registered
/// users come on top; their number is limited.
const STRANGERS_MOST: usize = 200_000;

type Limiter =
    RateLimiter<Key, DashMapStateStore<Key>, DefaultClock, NoOpMiddleware<<DefaultClock as Clock>::Instant>>;

/// The buckets of one kind.
struct Buckets {
    limiter: Limiter,
    burst: NonZeroU32,
    /// Upper bound on the number of addresses and account names: those at the last cleanup, plus every take since.
    strangers: AtomicUsize,
    /// Whether there were more of them than can be stored.
    crowded: AtomicBool,
    most: usize,
}

impl Buckets {
    fn new(rate: Rate, most: usize) -> Self {
        let burst = NonZeroU32::new(rate.burst).unwrap_or(NonZeroU32::MIN);
        let interval = (rate.period / rate.count.max(1)).max(Duration::from_nanos(1));
        let quota = Quota::with_period(interval).unwrap_or(Quota::per_second(burst)).allow_burst(burst);
        Self {
            limiter: RateLimiter::dashmap(quota),
            burst,
            strangers: AtomicUsize::new(0),
            crowded: AtomicBool::new(false),
            most,
        }
    }

    fn take(&self, key: Key, tokens: u32) -> Result<(), Duration> {
        let key = if matches!(key, Key::User(_)) { key } else { self.place(key) };
        // A request for more than the burst takes a full bucket.
        let tokens = NonZeroU32::new(tokens).unwrap_or(NonZeroU32::MIN).min(self.burst);
        match self.limiter.check_key_n(&key, tokens) {
            Ok(Err(until)) => Err(until.wait_time_from(self.limiter.clock().now())),
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }

    /// Returns the key itself, or its shared key if there are too many.
    fn place(&self, key: Key) -> Key {
        if self.crowded.load(Ordering::Relaxed) {
            return key.crowd();
        }
        if self.strangers.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.sweep();
            if self.strangers.fetch_add(1, Ordering::Relaxed) >= self.most {
                self.crowded.store(true, Ordering::Relaxed);
                tracing::warn!(
                    "too many addresses and accounts to count each separately; the rest share one counter"
                );
                return key.crowd();
            }
        }
        key
    }

    fn sweep(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
        let left = self.limiter.len();
        self.strangers.store(left, Ordering::Relaxed);
        self.crowded.store(left >= self.most, Ordering::Relaxed);
    }
}

/// The buckets of all kinds.
pub struct LocalStore([Buckets; Bucket::ALL.len()]);

impl LocalStore {
    /// Creates the buckets with the rates of the settings.
    pub fn new(rates: &Rates) -> Self {
        Self(Bucket::ALL.map(|bucket| {
            let rate = match bucket {
                Bucket::Login => rates.login,
                Bucket::Register => rates.register,
                Bucket::Mail | Bucket::Notice | Bucket::Welcome => rates.mail,
                Bucket::Refresh => REFRESH,
                Bucket::Send => rates.send,
                Bucket::Event => rates.event,
                Bucket::Upload => rates.upload,
                Bucket::Read => rates.read,
                Bucket::Connect => CONNECT,
                Bucket::Member => MEMBER,
                Bucket::ChatChange => CHAT_CHANGE,
            };
            Buckets::new(rate, STRANGERS_MOST)
        }))
    }

    /// Takes this many tokens at once, at most a full bucket. If there are fewer, returns how long until there are
    /// enough.
    pub fn take(&self, bucket: Bucket, key: Key, tokens: u32) -> Result<(), Duration> {
        self.0[bucket as usize].take(key, tokens)
    }

    /// Removes buckets that are full again: they equal new ones.
    pub fn sweep(&self) {
        self.0.iter().for_each(Buckets::sweep);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::UserId;

    fn rate(count: u32, period: Duration, burst: u32) -> Rate {
        Rate { count, period, burst }
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_says_how_long_to_wait() {
        let buckets = Buckets::new(rate(2, Duration::from_mins(1), 3), 10);
        let alice = Key::user(UserId(1));
        for _ in 0..3 {
            buckets.take(alice, 1).expect("within the burst");
        }
        let wait = buckets.take(alice, 1).expect_err("over it");
        assert!((29..=30).contains(&wait.as_secs()), "a token every 30 s: {wait:?}");
        buckets.take(Key::user(UserId(2)), 1).expect("everybody has their own");
    }

    #[test]
    fn many_tokens_are_taken_at_once_and_never_more_than_a_bucket_holds() {
        let buckets = Buckets::new(rate(100, Duration::from_mins(1), 100), 10);
        let (alice, bob) = (Key::user(UserId(1)), Key::user(UserId(2)));
        buckets.take(alice, 90).expect("there are a hundred");
        let wait = buckets.take(alice, 20).expect_err("ten are left");
        assert!((5..=6).contains(&wait.as_secs()), "{wait:?}");
        buckets.take(alice, 10).expect("what was refused took nothing");
        buckets.take(bob, 1_000).expect("a full bucket does for anything");
        buckets.take(bob, 1).expect_err("and is empty then");
    }

    #[test]
    fn full_buckets_are_forgotten_and_many_strangers_share() {
        let quick = Buckets::new(rate(1_000_000, Duration::from_secs(1), 1), 100);
        let strangers =
            |count: u32| (0..count).map(|it| Key::address(Some(std::net::Ipv4Addr::from(it).into())));
        for key in strangers(1_000) {
            // Each bucket is full again a microsecond later, so the cleanup makes room.
            let _ = quick.take(key, 1);
        }
        assert!(quick.limiter.len() <= 100, "{}", quick.limiter.len());
        let slow = Buckets::new(rate(1, Duration::from_hours(1), 1), 100);
        let refused = strangers(100_000).filter(|key| slow.take(*key, 1).is_err()).count();
        assert!(slow.limiter.len() <= 100 + 65_536, "{}", slow.limiter.len());
        assert!(refused > 30_000, "those who share a bucket are counted still: {refused}");
        slow.take(Key::user(UserId(1)), 1).expect("users keep their own");
    }
}

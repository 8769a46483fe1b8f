//! Limits on what an address or a user may have at the same time: sockets, unauthenticated sockets, large bodies in
//! transfer. Opening one costs a client nothing, but costs the server a task, buffers and a timeout.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dashmap::DashMap;

use super::Key;
use crate::error::{Error, Result};

/// When a refused client may retry, in milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;

/// Counts what each address or user has.
pub struct ConcurrencyLimit {
    most: Option<usize>,
    /// The error message for a client that has too many.
    told: &'static str,
    counts: Arc<DashMap<Key, usize>>,
}

impl ConcurrencyLimit {
    /// Creates a limit per key; `None` means no limit.
    pub fn new(most: Option<usize>, told: &'static str) -> Self {
        Self { most, told, counts: Arc::default() }
    }

    /// Adds one for this address; see [`Self::enter_as`].
    pub fn enter(&self, address: Option<IpAddr>) -> Result<ConcurrencyPermit> {
        self.enter_as(Key::address(address))
    }

    /// Adds one for this key, until the permit is released or dropped. Fails with `rate_limited` if the key has too
    /// many.
    pub fn enter_as(&self, key: Key) -> Result<ConcurrencyPermit> {
        let Some(most) = self.most else {
            return Ok(ConcurrencyPermit { counted: None, released: AtomicBool::new(true) });
        };
        let mut count = self.counts.entry(key).or_default();
        if *count >= most {
            return Err(Error::rate_limited(self.told, RETRY_AFTER_MS));
        }
        *count += 1;
        Ok(ConcurrencyPermit { counted: Some((self.counts.clone(), key)), released: AtomicBool::new(false) })
    }

    /// Returns the current total over all keys.
    pub fn total(&self) -> usize {
        self.counts.iter().map(|entry| *entry.value()).sum()
    }
}

/// A permit that counts for its key until it is released or dropped.
pub struct ConcurrencyPermit {
    counted: Option<(Arc<DashMap<Key, usize>>, Key)>,
    released: AtomicBool,
}

impl ConcurrencyPermit {
    /// Releases the permit. A second call has no effect.
    pub fn release(&self) {
        if self.released.swap(true, Ordering::AcqRel) {
            return;
        }
        let Some((counts, key)) = &self.counted else { return };
        counts.remove_if_mut(key, |_, count| {
            *count = count.saturating_sub(1);
            *count == 0
        });
    }
}

impl Drop for ConcurrencyPermit {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_by_address_until_they_are_released_or_dropped() {
        let concurrency = ConcurrencyLimit::new(Some(2), "too many");
        let here = Some("192.0.2.1".parse().expect("an address"));
        let there = Some("192.0.2.2".parse().expect("an address"));
        let first = concurrency.enter(here).expect("the first");
        let second = concurrency.enter(here).expect("the second");
        let refused = concurrency.enter(here).err().expect("one too many");
        assert_eq!(refused.retry_after_ms, Some(RETRY_AFTER_MS));
        let other = concurrency.enter(there).expect("another address");
        first.release();
        first.release();
        assert_eq!(concurrency.total(), 2, "released once, however often it is said");
        let third = concurrency.enter(here).expect("there is room again");
        drop((first, second, third, other));
        assert_eq!((concurrency.total(), concurrency.counts.len()), (0, 0), "nothing is left behind");
    }

    #[test]
    fn nothing_is_counted_where_limits_are_off() {
        let concurrency = ConcurrencyLimit::new(None, "too many");
        let sockets: Vec<_> = (0..1_000).map(|_| concurrency.enter(None).expect("no limit")).collect();
        assert_eq!((concurrency.total(), sockets.len()), (0, 1_000));
    }
}

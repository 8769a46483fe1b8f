//! Sockets that have not authenticated, counted by address: opening one costs a client nothing, and us a
//! task, buffers and a time-out.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dashmap::DashMap;

use super::Key;
use crate::error::{Error, Result};

/// When somebody who was turned away may come again, milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;

/// How many each address has.
pub struct Pending {
    most: Option<usize>,
    counts: Arc<DashMap<Key, usize>>,
}

impl Pending {
    /// At most so many per address; `None` counts nothing.
    pub fn new(most: Option<usize>) -> Self {
        Self { most, counts: Arc::default() }
    }

    /// One more of this address, until it is released or dropped; `rate_limited` where it has too many.
    pub fn enter(&self, address: Option<IpAddr>) -> Result<PendingSocket> {
        let Some(most) = self.most else {
            return Ok(PendingSocket { counted: None, released: AtomicBool::new(true) });
        };
        let key = Key::address(address);
        let mut count = self.counts.entry(key).or_default();
        if *count >= most {
            let problem = "too many sockets of this address wait to authenticate, try again in a moment";
            return Err(Error::rate_limited(problem, RETRY_AFTER_MS));
        }
        *count += 1;
        Ok(PendingSocket { counted: Some((self.counts.clone(), key)), released: AtomicBool::new(false) })
    }

    /// All that are counted now.
    pub fn total(&self) -> usize {
        self.counts.iter().map(|entry| *entry.value()).sum()
    }
}

/// One socket that has not authenticated.
pub struct PendingSocket {
    counted: Option<(Arc<DashMap<Key, usize>>, Key)>,
    released: AtomicBool,
}

impl PendingSocket {
    /// It authenticated, or it is gone: it counts no more. Doing so twice is doing so once.
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

impl Drop for PendingSocket {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_counted_by_address_until_they_are_released_or_dropped() {
        let pending = Pending::new(Some(2));
        let here = Some("192.0.2.1".parse().expect("an address"));
        let there = Some("192.0.2.2".parse().expect("an address"));
        let first = pending.enter(here).expect("the first");
        let second = pending.enter(here).expect("the second");
        let refused = pending.enter(here).err().expect("one too many");
        assert_eq!(refused.retry_after_ms, Some(RETRY_AFTER_MS));
        let other = pending.enter(there).expect("another address");
        first.release();
        first.release();
        assert_eq!(pending.total(), 2, "released once, however often it is said");
        let third = pending.enter(here).expect("there is room again");
        drop((first, second, third, other));
        assert_eq!((pending.total(), pending.counts.len()), (0, 0), "nothing is left behind");
    }

    #[test]
    fn nothing_is_counted_where_limits_are_off() {
        let pending = Pending::new(None);
        let sockets: Vec<_> = (0..1_000).map(|_| pending.enter(None).expect("no limit")).collect();
        assert_eq!((pending.total(), sockets.len()), (0, 1_000));
    }
}

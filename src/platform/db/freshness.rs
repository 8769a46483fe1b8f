//! Decides which connections are still used. If one connection is found dead, hung or outdated, all that were opened
//! before are replaced: after a database restart, a network failure or a schema change they all have the same problem.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Tracks which connections are still used; see the module documentation.
pub struct Freshness {
    started: Instant,
    /// Connections that were opened before this are replaced. Milliseconds since `started`.
    since: AtomicU64,
}

impl Default for Freshness {
    fn default() -> Self {
        Self { started: Instant::now(), since: AtomicU64::new(0) }
    }
}

impl Freshness {
    /// Excludes all connections that were opened before now.
    pub fn renew(&self) {
        let now = self.started.elapsed().as_millis() as u64;
        self.since.fetch_max(now, Ordering::AcqRel);
    }

    /// Returns whether a connection of this age may still be used.
    pub fn allows(&self, age: Duration) -> bool {
        let opened = self.started.elapsed().saturating_sub(age);
        opened.as_millis() as u64 >= self.since.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_from_before_a_renewal_are_not_used_again() {
        let freshness = Freshness::default();
        std::thread::sleep(Duration::from_millis(20));
        assert!(freshness.allows(Duration::from_millis(10)));
        freshness.renew();
        assert!(!freshness.allows(Duration::from_millis(10)));
        assert!(freshness.allows(Duration::ZERO));
    }
}

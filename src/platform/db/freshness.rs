//! Which connections are still used. Where one was found dead, hung or outdated, all that were opened before are
//! replaced: after a restart of the database, a gap in the network or a change of its tables they are alike.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// See the file.
pub struct Freshness {
    started: Instant,
    /// Connections opened before this are replaced; milliseconds since `started`.
    since: AtomicU64,
}

impl Default for Freshness {
    fn default() -> Self {
        Self { started: Instant::now(), since: AtomicU64::new(0) }
    }
}

impl Freshness {
    /// From now on only connections that are opened from now on are used.
    pub fn renew(&self) {
        let now = self.started.elapsed().as_millis() as u64;
        self.since.fetch_max(now, Ordering::AcqRel);
    }

    /// Whether a connection of this age is still used.
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

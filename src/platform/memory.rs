//! Returns memory to the operating system. The allocator of glibc keeps what thousands of small objects once took, so the
//! process would stay as large as it was at its busiest.

use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// Interval between checks.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A wave is over when at least this many objects are gone, and a quarter of all.
const WAVE: usize = 500;

/// Returns unused memory to the system. Takes some milliseconds for each gigabyte.
#[cfg_attr(target_env = "gnu", expect(unsafe_code, reason = "the only way to ask glibc for it"))]
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the function may be called at any time, from any thread (malloc_trim(3)).
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Trims whenever many of the objects that `count` counts have gone.
pub async fn trim_after_waves(count: impl Fn() -> usize) {
    let mut most = 0;
    loop {
        sleep(LOOK_EVERY).await;
        let now = count();
        most = most.max(now);
        if is_over(most, now) {
            most = now;
            // A failure only means that the runtime is shutting down.
            drop(spawn_blocking(trim).await);
        }
    }
}

fn is_over(most: usize, now: usize) -> bool {
    most - now >= WAVE.max(most / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wave_is_over_when_many_are_gone() {
        assert!(!is_over(0, 0));
        assert!(!is_over(400, 0));
        assert!(is_over(500, 0));
        assert!(!is_over(10_000, 8_000));
        assert!(is_over(10_000, 7_500));
    }
}

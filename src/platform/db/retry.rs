//! Retries work that failed through no fault of its own.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::Result;
use crate::random;

/// Maximum number of attempts when the database aborts the transaction because of a conflict.
const ATTEMPTS: u64 = 5;

/// How long to retry while too many transactions wait for locked rows.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Runs `work`, which has its own transaction, and retries it if it failed through no fault of its own: two
/// transactions wrote to the same rows, a row changed after it was read, or too many transactions wait for locks. It
/// pauses for a short random time before each retry, so that two colliding transactions do not collide again.
pub async fn retry<T, F: Future<Output = Result<T>>>(work: impl Fn() -> F) -> Result<T> {
    let until = Instant::now() + LONGEST_WAIT;
    let mut attempt = 1;
    loop {
        match work().await {
            Err(error) if error.is_busy() && Instant::now() < until => {
                sleep(Duration::from_millis((attempt * 20).min(200) + random::below(50) as u64)).await;
            }
            Err(error) if error.retryable && !error.is_busy() && attempt < ATTEMPTS => {
                sleep(Duration::from_millis(attempt * 5 + random::below(20) as u64)).await;
            }
            done => return done,
        }
        attempt += 1;
    }
}

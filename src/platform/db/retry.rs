//! Beginning a piece of work again that failed by no fault of its own.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::Result;
use crate::random;

/// How often a piece of work is begun again when the database had to choose a victim.
const ATTEMPTS: u64 = 5;

/// How long it is begun again while too many wait for rows that other transactions hold.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Does a piece of work that has a transaction of its own, and does it again where it failed by no fault of its own:
/// two wrote to the same rows, or something changed that had been looked at, or too many wait for locks. After a short
/// pause of random length, so that two that collided do not collide again.
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

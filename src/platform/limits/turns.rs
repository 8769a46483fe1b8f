//! Limits how many requests of one user are processed at the same time; the others wait. A read is cheap for the
//! client, but takes a database connection and keeps its response in memory until the client has received it.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::Key;
use crate::error::{Error, Result};

/// How long a request waits for a turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// When a request that got no turn may be retried, in milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;

/// One queue per key.
pub struct Turns {
    most: Option<usize>,
    /// The error message for a request that waited in vain.
    told: &'static str,
    queues: Arc<DashMap<Key, Arc<Semaphore>>>,
}

impl Turns {
    /// Allows this many at the same time per key; `None` means no limit.
    pub fn new(most: Option<usize>, told: &'static str) -> Self {
        Self { most, told, queues: Arc::default() }
    }

    /// Waits for a turn, which lasts until it is dropped. Fails with `rate_limited` if none becomes free in time.
    pub async fn take(&self, key: Key) -> Result<Turn> {
        let Some(most) = self.most else { return Ok(Turn(None)) };
        let queue = self.queues.entry(key).or_insert_with(|| Arc::new(Semaphore::new(most))).clone();
        let waiting = Leaving { queues: self.queues.clone(), key };
        match timeout(PATIENCE, queue.acquire_owned()).await {
            Ok(permit) => Ok(Turn(Some((permit.map_err(Error::internal)?, waiting)))),
            Err(_) => Err(Error::rate_limited(self.told, RETRY_AFTER_MS)),
        }
    }
}

/// A turn. When it is dropped, the permit is released first, then the queue is removed if it is empty.
pub struct Turn(
    #[expect(dead_code, reason = "held until it is dropped")] Option<(OwnedSemaphorePermit, Leaving)>,
);

struct Leaving {
    queues: Arc<DashMap<Key, Arc<Semaphore>>>,
    key: Key,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        // Every running or waiting request also holds the queue.
        self.queues.remove_if(&self.key, |_, queue| Arc::strong_count(queue) == 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::UserId;
    use futures_util::poll;
    use std::pin::pin;

    #[tokio::test(start_paused = true)]
    async fn so_many_work_at_a_time_the_others_wait_and_nothing_is_left_behind() {
        let turns = Turns::new(Some(2), "too many");
        let (alice, bob) = (Key::user(UserId(1)), Key::user(UserId(2)));
        let first = turns.take(alice).await.expect("the first");
        let second = turns.take(alice).await.expect("the second");
        let mut third = pin!(turns.take(alice));
        assert!(poll!(&mut third).is_pending(), "two are at work");
        let others = turns.take(bob).await.expect("everybody has their own");
        drop(first);
        let third = third.await.expect("its turn has come");
        let refused = turns.take(alice).await.err().expect("nobody left in time");
        assert_eq!(refused.retry_after_ms, Some(RETRY_AFTER_MS));
        drop((second, third, others));
        assert_eq!(turns.queues.len(), 0);
    }

    #[tokio::test]
    async fn nobody_waits_where_limits_are_off() {
        let turns = Turns::new(None, "too many");
        for _ in 0..100 {
            std::mem::forget(turns.take(Key::user(UserId(1))).await.expect("no limit"));
        }
    }
}

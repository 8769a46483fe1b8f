//! Taking turns: so many requests of one user are worked on at the same time, the others wait. Reading is cheap for who
//! asks and costs us a database connection and an answer in memory until it has been fetched.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::Key;
use crate::error::{Error, Result};

/// How long somebody waits for a turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// When somebody who got none may come again, milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;

/// One queue per key.
pub struct Turns {
    most: Option<usize>,
    /// What is told to whoever waited in vain.
    told: &'static str,
    queues: Arc<DashMap<Key, Arc<Semaphore>>>,
}

impl Turns {
    /// So many at the same time per key; `None` lets everybody through.
    pub fn new(most: Option<usize>, told: &'static str) -> Self {
        Self { most, told, queues: Arc::default() }
    }

    /// Waits for a turn, which lasts until it is dropped; `rate_limited` where none comes in time.
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

/// A turn of somebody. Its permit goes first, then the queue where it has no members any more.
pub struct Turn(
    #[expect(dead_code, reason = "held until it is dropped")] Option<(OwnedSemaphorePermit, Leaving)>,
);

struct Leaving {
    queues: Arc<DashMap<Key, Arc<Semaphore>>>,
    key: Key,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        // Whoever waits or works holds the queue too.
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

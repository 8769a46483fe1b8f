//! Combines the reads of many callers: while one read is under way, the keys of the next callers gather, and then they
//! are read together.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::error::{Error, Result};

/// Keys of one read. SQLite allows at most 32,766 values in a statement.
const MANY_KEYS: usize = 2_000;

/// A caller's keys, and the way back.
type Caller<K, V> = (Vec<K>, oneshot::Sender<Result<HashMap<K, V>>>);

struct Waiting<K, V> {
    callers: Vec<Caller<K, V>>,
    /// Whether a task is reading.
    is_reading: bool,
}

/// Combines reads of one kind.
pub struct Gather<K, V>(Arc<Mutex<Waiting<K, V>>>);

impl<K, V> Default for Gather<K, V> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Waiting { callers: Vec::new(), is_reading: false })))
    }
}

/// A task that reads. If it panics, the callers that wait fail, and the next one starts another task.
struct Reading<K, V> {
    waiting: Arc<Mutex<Waiting<K, V>>>,
    is_done: bool,
}

impl<K, V> Reading<K, V> {
    /// Returns the callers that wait. If there are none, the task is done.
    fn next(&mut self) -> Vec<Caller<K, V>> {
        let mut waiting = self.waiting.lock();
        self.is_done = waiting.callers.is_empty();
        waiting.is_reading = !self.is_done;
        std::mem::take(&mut waiting.callers)
    }
}

impl<K, V> Drop for Reading<K, V> {
    fn drop(&mut self) {
        if !self.is_done {
            let mut waiting = self.waiting.lock();
            waiting.is_reading = false;
            waiting.callers.clear();
        }
    }
}

impl<K, V> Gather<K, V>
where
    K: Copy + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + 'static,
{
    /// Returns the values of those keys that have one. They are read after this call, with the `read` of whichever caller
    /// came first: it must not depend on anything that differs between callers.
    pub async fn get<F, Fut>(&self, keys: Vec<K>, read: F) -> Result<HashMap<K, V>>
    where
        F: Fn(Vec<K>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<HashMap<K, V>>> + Send + 'static,
    {
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let (answer, result) = oneshot::channel();
        let is_first = {
            let mut waiting = self.0.lock();
            waiting.callers.push((keys, answer));
            !std::mem::replace(&mut waiting.is_reading, true)
        };
        if is_first {
            // A task of its own, so that it ends for all callers even if this one goes away.
            tokio::spawn(read_all(Reading { waiting: self.0.clone(), is_done: false }, read));
        }
        result.await.map_err(|_| Error::internal("a read for many callers panicked"))?
    }
}

async fn read_all<K, V, F, Fut>(mut reading: Reading<K, V>, read: F)
where
    K: Copy + Eq + Hash,
    V: Clone,
    F: Fn(Vec<K>) -> Fut,
    Fut: Future<Output = Result<HashMap<K, V>>>,
{
    loop {
        let callers = reading.next();
        if callers.is_empty() {
            return;
        }
        let keys: HashSet<K> = callers.iter().flat_map(|(keys, _)| keys.iter().copied()).collect();
        let keys: Vec<K> = keys.into_iter().collect();
        let mut found = Ok(HashMap::with_capacity(keys.len()));
        for some in keys.chunks(MANY_KEYS) {
            match (read(some.to_vec()).await, &mut found) {
                (Ok(more), Ok(found)) => found.extend(more),
                (Err(error), _) => {
                    tracing::error!(%error, callers = callers.len(), "a read for many callers failed");
                    found = Err(error);
                    break;
                }
                (Ok(_), Err(_)) => break,
            }
        }
        for (keys, answer) in callers {
            let own = match &found {
                Ok(found) => {
                    Ok(keys.into_iter().filter_map(|key| Some((key, found.get(&key)?.clone()))).collect())
                }
                Err(error) => Err(Error::new(error.code, error.message.clone())),
            };
            // The caller may have gone away.
            drop(answer.send(own));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    #[tokio::test]
    async fn callers_that_come_during_a_read_share_the_next_one() {
        let (gather, reads) = (Gather::<u32, u32>::default(), Arc::new(AtomicUsize::new(0)));
        let read = |reads: Arc<AtomicUsize>| {
            move |keys: Vec<u32>| {
                reads.fetch_add(1, Ordering::Relaxed);
                async move {
                    sleep(Duration::from_millis(20)).await;
                    Ok(keys.into_iter().filter(|key| *key < 100).map(|key| (key, key + 1)).collect())
                }
            }
        };
        let asked = (0..200_u32).map(|key| gather.get(vec![key, 1], read(reads.clone())));
        for (key, found) in (0..).zip(futures_util::future::join_all(asked).await) {
            let expected: HashMap<u32, u32> =
                [key, 1].into_iter().filter(|key| *key < 100).map(|key| (key, key + 1)).collect();
            assert_eq!(found.expect("read"), expected);
        }
        assert!(reads.load(Ordering::Relaxed) <= 3, "{reads:?}");
    }

    #[tokio::test]
    async fn a_failed_or_panicking_read_fails_its_callers_and_no_later_one() {
        let gather = Gather::<u32, u32>::default();
        let failed = gather.get(vec![1], async |_| Err(Error::unavailable("no database")));
        assert_eq!(failed.await.err().map(|it| it.message), Some("no database".to_owned()));
        let panics = gather.get(vec![1], |_| async { panic!("on purpose") });
        assert!(panics.await.is_err());
        let found = gather.get(vec![1], async |_| Ok(HashMap::from([(1, 2)])));
        assert_eq!(found.await.expect("read").get(&1), Some(&2));
    }
}

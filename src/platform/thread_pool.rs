//! A few dedicated threads for work that takes a core and much memory, with a short queue before them.
//!
//! The runtime's blocking pool would do the work as well, but it starts a thread wherever none is idle in this
//! instant, and the allocator keeps for each what it once needed: 600 logins at once left half a gigabyte behind.
//! Here it is what as many threads need as there are.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::error::{Error, Result};

type Job = Box<dyn FnOnce() + Send>;

/// See the file. Its threads end with the last of its clones.
#[derive(Clone, Debug)]
pub struct ThreadPool(SyncSender<Job>);

impl ThreadPool {
    /// So many threads, and so many jobs that may wait for one.
    pub fn start(name: &str, threads: usize, queue: usize) -> Result<Self> {
        let (jobs, waiting) = sync_channel::<Job>(queue);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..threads.max(1) {
            let waiting = waiting.clone();
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || work(&waiting))
                .map_err(Error::internal)?;
        }
        Ok(Self(jobs))
    }

    /// Has it done by one of the threads; `None` where too much waits already. Whoever goes away while it waits
    /// takes it along.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Option<T>> {
        let (answer, done) = oneshot::channel();
        let job = Box::new(move || {
            if !answer.is_closed() {
                drop(answer.send(work()));
            }
        });
        if self.0.try_send(job).is_err() {
            return Ok(None);
        }
        done.await.map(Some).map_err(|_| Error::internal("a job of the thread pool panicked"))
    }
}

fn work(waiting: &Mutex<Receiver<Job>>) {
    loop {
        let job = waiting.lock().recv();
        let Ok(job) = job else { return };
        // A panic costs one job its answer, not the crew a hand.
        drop(catch_unwind(AssertUnwindSafe(job)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[tokio::test]
    async fn work_is_done_by_so_many_at_a_time_and_what_is_too_much_is_told() {
        let thread_pool = ThreadPool::start("test", 2, 3).expect("a crew");
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let jobs = (0..20).map(|number| {
            let (thread_pool, now, most) = (thread_pool.clone(), now.clone(), most.clone());
            async move {
                thread_pool
                    .run(move || {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        thread::sleep(Duration::from_millis(50));
                        now.fetch_sub(1, Ordering::SeqCst);
                        number
                    })
                    .await
                    .expect("no panic")
            }
        });
        let done: Vec<_> = futures_util::future::join_all(jobs).await.into_iter().flatten().collect();
        assert!((3..=5).contains(&done.len()), "two at work and three waiting: {done:?}");
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_panic_costs_its_own_job_only() {
        let thread_pool = ThreadPool::start("test", 1, 3).expect("a crew");
        assert!(thread_pool.run(|| panic!("as told")).await.map(|_: Option<()>| ()).is_err());
        assert_eq!(thread_pool.run(|| 7).await.expect("no panic"), Some(7));
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_done() {
        let thread_pool = ThreadPool::start("test", 1, 3).expect("a crew");
        let count = Arc::new(AtomicUsize::new(0));
        let busy = thread_pool.run(|| thread::sleep(Duration::from_millis(100)));
        let counted = count.clone();
        let gone = thread_pool.run(move || counted.fetch_add(1, Ordering::SeqCst));
        // Both are begun; the second caller leaves while its job waits.
        tokio::select! {
            biased;
            _ = async { tokio::join!(busy, gone) } => panic!("the second waits for the first"),
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
        assert_eq!(thread_pool.run(|| 7).await.expect("no panic"), Some(7));
        assert_eq!(count.load(Ordering::SeqCst), 0);
    }
}

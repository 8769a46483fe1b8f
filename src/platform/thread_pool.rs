//! A few dedicated threads for work that needs a core and much memory, with a short queue.
//!
//! The runtime's blocking pool could do the work, but it starts a thread whenever none is idle at that moment, and the
//! allocator keeps the memory that each thread once needed: after 600 simultaneous logins, half a gigabyte stayed
//! allocated. Here the memory is limited by the number of threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::error::{Error, Result};

type Job = Box<dyn FnOnce() + Send>;

/// How long a thread keeps its memory for the next job.
const REST_AFTER: Duration = Duration::from_secs(2);

/// A pool of threads; see the module documentation. The threads end when its last clone is dropped.
#[derive(Clone, Debug)]
pub struct ThreadPool(SyncSender<Job>);

impl ThreadPool {
    /// Starts this many threads, and a queue for this many waiting jobs. A thread calls `rest` when it has had no job for two
    /// seconds, to free what it keeps for the next one.
    pub fn start(name: &str, threads: usize, queue: usize, rest: fn()) -> Result<Self> {
        let (jobs, waiting) = sync_channel::<Job>(queue);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..threads.max(1) {
            let waiting = waiting.clone();
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || work(&waiting, rest))
                .map_err(Error::internal)?;
        }
        Ok(Self(jobs))
    }

    /// Runs a job on one of the threads. Returns `None` if the queue is full. If the caller is dropped while the job
    /// waits, the job does not run.
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

fn work(waiting: &Mutex<Receiver<Job>>, rest: fn()) {
    let mut is_resting = true;
    loop {
        let job = match (is_resting, waiting.try_lock_for(REST_AFTER)) {
            (true, Some(waiting)) => waiting.recv().map_err(|_| RecvTimeoutError::Disconnected),
            (false, Some(waiting)) => waiting.recv_timeout(REST_AFTER),
            // Another thread waits for the next job.
            (_, None) => Err(RecvTimeoutError::Timeout),
        };
        match job {
            // A panic loses the result of one job, but the thread keeps running.
            Ok(job) => {
                drop(catch_unwind(AssertUnwindSafe(job)));
                is_resting = false;
            }
            Err(RecvTimeoutError::Timeout) if is_resting => {}
            Err(RecvTimeoutError::Timeout) => {
                rest();
                is_resting = true;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn work_is_done_by_so_many_at_a_time_and_what_is_too_much_is_told() {
        let thread_pool = ThreadPool::start("test", 2, 3, || {}).expect("a crew");
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
        let thread_pool = ThreadPool::start("test", 1, 3, || {}).expect("a crew");
        assert!(thread_pool.run(|| panic!("as told")).await.map(|_: Option<()>| ()).is_err());
        assert_eq!(thread_pool.run(|| 7).await.expect("no panic"), Some(7));
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_done() {
        let thread_pool = ThreadPool::start("test", 1, 3, || {}).expect("a crew");
        let count = Arc::new(AtomicUsize::new(0));
        let busy = thread_pool.run(|| thread::sleep(Duration::from_millis(100)));
        let counted = count.clone();
        let gone = thread_pool.run(move || counted.fetch_add(1, Ordering::SeqCst));
        // Both are started; the second caller is dropped while its job waits.
        tokio::select! {
            biased;
            _ = async { tokio::join!(busy, gone) } => panic!("the second waits for the first"),
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
        assert_eq!(thread_pool.run(|| 7).await.expect("no panic"), Some(7));
        assert_eq!(count.load(Ordering::SeqCst), 0);
    }
}

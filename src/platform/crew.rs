//! A few threads of their own for work that takes much memory: hashing passwords, decoding pictures.
//!
//! The runtime's pool of blocking threads starts a thread for every job that finds none idle, and glibc keeps
//! for each of them what it once allocated: 50 people who logged in at the same time, two hashes of 19 MB at
//! a time, were seen to leave 840 MB behind (`bench/README.md`, `logins`). What two threads keep is bounded.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread;

use parking_lot::Mutex;
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Threads that take one job after the other. Clones share them; they end with the last clone.
#[derive(Clone, Debug)]
pub struct Crew {
    jobs: mpsc::Sender<Job>,
}

/// A job that panicked, or that nobody could take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a job on a thread of its own came to no end")]
pub struct Lost;

impl Crew {
    /// So many threads, at least one, with this name.
    pub fn new(name: &str, threads: usize) -> Self {
        let (jobs, waiting) = mpsc::channel::<Job>();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..threads.max(1) {
            let waiting = waiting.clone();
            let started = thread::Builder::new().name(name.to_owned()).spawn(move || {
                loop {
                    // Whoever waits for a job holds the lock; it is free again while the job is done.
                    let Ok(job) = waiting.lock().recv() else { return };
                    job();
                }
            });
            if let Err(error) = started {
                // With one thread less it is slower; with none every job is told that it is lost.
                tracing::error!(%error, name, "a thread could not be started");
            }
        }
        Self { jobs }
    }

    /// Does a job. It goes on if the caller goes away, and is skipped if that happens before it began.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Lost> {
        let (answer, done) = oneshot::channel();
        let job = move || {
            if answer.is_closed() {
                return;
            }
            // A panic costs its job, not the thread. Nothing of the job is looked at again.
            if let Ok(result) = catch_unwind(AssertUnwindSafe(work)) {
                drop(answer.send(result));
            }
        };
        self.jobs.send(Box::new(job)).map_err(|_| Lost)?;
        done.await.map_err(|_| Lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn jobs_are_done_on_few_threads_and_a_panic_costs_its_job_only() {
        let crew = Crew::new("test", 2);
        let names = futures_util::future::join_all(
            (0..50).map(|_| crew.run(|| format!("{:?}", thread::current().id()))),
        )
        .await;
        let mut names: Vec<String> = names.into_iter().map(|it| it.expect("done")).collect();
        names.sort();
        names.dedup();
        assert!(names.len() <= 2, "{names:?}");
        for _ in 0..4 {
            assert_eq!(crew.run(|| panic!("on purpose")).await, Err::<(), _>(Lost));
        }
        assert_eq!(crew.run(|| 7).await, Ok(7));
    }
}

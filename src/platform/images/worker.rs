//! Renders pictures outside of the async runtime, with limits on how many are rendered and how many wait.
//!
//! A picture costs tens of megabytes and a fraction of a second of a whole core. Without limits, a burst of uploads
//! would fill the blocking pool and the memory. With them, the client is asked to retry.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::decode::cost;
use super::preview::{Preview, preview};
use super::{ImageError, Limits, Rendered, from_base64, render};
use crate::error::Error;
use crate::platform::memory;
use crate::platform::thread_pool::ThreadPool;

/// Why [`ImageWorker::render`] failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// All threads are busy and the queue is full, or the process is shutting down.
    #[error("Too many images are being processed just now. Please try again in a moment.")]
    Busy,
    /// The upload itself is at fault.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// A bounded number of threads that render pictures. Clones share the same limits.
#[derive(Clone, Debug)]
pub struct ImageWorker {
    /// One permit for each admitted job, running or waiting. It is never awaited: if none is left, the worker is busy.
    places: Arc<Semaphore>,
    /// One permit for each running job.
    threads: Arc<Semaphore>,
    /// One permit for each megabyte that running jobs may use together.
    memory: Arc<Semaphore>,
    thread_pool: ThreadPool,
    limits: Limits,
}

/// Megabytes for all running jobs.
const MEMORY: u32 = 256;

impl ImageWorker {
    /// Creates a worker that renders `threads` pictures at a time (at least one) and lets `queue` more wait.
    pub fn new(threads: usize, queue: usize, limits: Limits) -> Result<Self, Error> {
        let threads = threads.clamp(1, Semaphore::MAX_PERMITS);
        let places = threads.saturating_add(queue).min(Semaphore::MAX_PERMITS);
        Ok(Self {
            places: Arc::new(Semaphore::new(places)),
            threads: Arc::new(Semaphore::new(threads)),
            // Each job holds one of as many permits, so there is always room for it.
            thread_pool: ThreadPool::start("images", threads, threads, memory::trim)?,
            memory: Arc::new(Semaphore::new(MEMORY as usize)),
            limits,
        })
    }

    /// Returns the limits on every upload.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Does the same as [`render`], on one of the worker's threads.
    ///
    /// # Errors
    /// `Busy` immediately if all threads are busy and the queue is full; otherwise the errors of [`render`].
    pub async fn render(&self, bytes: Vec<u8>) -> Result<Rendered, RenderError> {
        let limits = self.limits;
        self.run_within_memory(bytes, move |bytes| render(bytes, &limits)).await
    }

    /// Makes what a message shows of a picture, on one of the worker's threads.
    ///
    /// # Errors
    /// As [`ImageWorker::render`].
    pub async fn preview(&self, bytes: Vec<u8>) -> Result<Preview, RenderError> {
        let limits = self.limits;
        self.run_within_memory(bytes, move |bytes| preview(bytes, &limits)).await
    }

    /// Runs a job that decodes a picture when there is enough memory for it.
    async fn run_within_memory<T, F>(&self, bytes: Vec<u8>, job: F) -> Result<T, RenderError>
    where
        T: Send + 'static,
        F: FnOnce(&[u8]) -> Result<T, ImageError> + Send + 'static,
    {
        let limits = self.limits;
        // A picture that needs more memory than the limit is rendered alone.
        let megabytes = u32::try_from(cost(&bytes, &limits)? >> 20).unwrap_or(MEMORY).clamp(1, MEMORY);
        let place = self.place()?;
        let held = Arc::clone(&self.memory).acquire_many_owned(megabytes).await;
        let held = held.map_err(|_| RenderError::Busy)?;
        self.run_at(place, move || {
            let _held = held;
            job(&bytes)
        })
        .await
    }

    /// Decodes a picture from base64 or a data URL, on one of the worker's threads: megabytes of text take milliseconds.
    ///
    /// # Errors
    /// As [`ImageWorker::render`]; `NotBase64` for any other text.
    pub async fn from_base64(&self, text: String) -> Result<Vec<u8>, RenderError> {
        let limits = self.limits;
        self.run_at(self.place()?, move || from_base64(&text, &limits)).await
    }

    /// Returns a permit for a job that runs or waits.
    fn place(&self) -> Result<OwnedSemaphorePermit, RenderError> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| RenderError::Busy)
    }

    /// Runs one job within the limits. The permits belong to the job: if the caller is dropped, it stops waiting, but a
    /// job that has started keeps its permits until it ends, because its memory is in use until then.
    async fn run_at<T, F>(&self, place: OwnedSemaphorePermit, job: F) -> Result<T, RenderError>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, ImageError> + Send + 'static,
    {
        let thread = Arc::clone(&self.threads).acquire_owned().await.map_err(|_| RenderError::Busy)?;
        let task = self.thread_pool.run(move || {
            let _held = (place, thread);
            job()
        });
        match task.await {
            Ok(Some(result)) => Ok(result?),
            Ok(None) => Err(RenderError::Busy),
            Err(_) => Err(ImageError::broken("the decoder gave up").into()),
        }
    }
}

#[cfg(test)]
impl ImageWorker {
    pub(super) async fn run<T, F>(&self, job: F) -> Result<T, RenderError>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, ImageError> + Send + 'static,
    {
        self.run_at(self.place()?, job).await
    }

    pub(super) fn places_left(&self) -> usize {
        self.places.available_permits()
    }
}

//! Counting what is underway, to wait until nothing is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// How much is underway.
#[derive(Default)]
pub struct Counter {
    count: AtomicUsize,
    none: Notify,
}

impl Counter {
    /// Waits until nothing is underway.
    pub async fn settled(&self) {
        loop {
            let none = self.none.notified();
            tokio::pin!(none);
            // From here on a notice is not missed, even before it is awaited.
            none.as_mut().enable();
            if self.count.load(Ordering::Acquire) == 0 {
                return;
            }
            none.await;
        }
    }
}

/// One thing underway, until it is dropped.
pub struct Held(Arc<Counter>);

impl Held {
    /// Begins one.
    pub fn begin(underway: &Arc<Counter>) -> Self {
        underway.count.fetch_add(1, Ordering::AcqRel);
        Self(underway.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none.notify_waiters();
        }
    }
}

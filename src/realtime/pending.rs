//! Counts pending work, so that a shutdown can wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The amount of pending work.
#[derive(Default)]
pub struct PendingCount {
    count: AtomicUsize,
    none: Notify,
}

impl PendingCount {
    /// Waits until nothing is pending.
    pub async fn settled(&self) {
        loop {
            let none = self.none.notified();
            tokio::pin!(none);
            // From here on a notification is not missed, even before it is awaited.
            none.as_mut().enable();
            if self.count.load(Ordering::Acquire) == 0 {
                return;
            }
            none.await;
        }
    }
}

/// Counts one piece of work as pending until dropped.
pub struct PendingGuard(Arc<PendingCount>);

impl PendingGuard {
    /// Adds one piece of pending work.
    pub fn new(pending: &Arc<PendingCount>) -> Self {
        pending.count.fetch_add(1, Ordering::AcqRel);
        Self(pending.clone())
    }
}

impl Drop for PendingGuard {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none.notify_waiters();
        }
    }
}

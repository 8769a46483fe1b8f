//! Loops that run as long as the server. A loop that panics is logged and restarted, and the readiness check reports
//! it.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::error::{Error, Result};

/// Pause before a loop is restarted.
const PAUSE: Duration = Duration::from_secs(1);

/// A loop that panicked within this time is reported as failing, although it is restarted much sooner.
const FAILING_FOR: Duration = Duration::from_secs(10);

/// Runs the background loops; see the module documentation.
#[derive(Default)]
pub struct Background {
    panicked: Mutex<HashMap<&'static str, Instant>>,
}

impl Background {
    /// Runs a loop until it returns, and restarts it whenever it panics.
    pub fn keep<F>(
        self: &Arc<Self>,
        name: &'static str,
        run: impl Fn() -> F + Send + 'static,
    ) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send,
    {
        let background = self.clone();
        tokio::spawn(async move {
            while AssertUnwindSafe(run()).catch_unwind().await.is_err() {
                tracing::error!(name, "a background loop panicked and is restarted");
                background.panicked.lock().insert(name, Instant::now());
                sleep(PAUSE).await;
            }
        })
    }

    /// Checks whether all loops run; the error names one that does not.
    pub fn check(&self) -> Result<()> {
        let mut panicked = self.panicked.lock();
        panicked.retain(|_, at| at.elapsed() < FAILING_FOR);
        match panicked.keys().next() {
            Some(name) => Err(Error::unavailable(format!("the loop \"{name}\" panicked a moment ago"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_panics_is_begun_again_and_readiness_tells() {
        let background = Arc::new(Background::default());
        let begun = Arc::new(AtomicUsize::new(0));
        let counting = begun.clone();
        let task = background.keep("test", move || {
            let begun = counting.clone();
            async move {
                assert!(begun.fetch_add(1, Ordering::AcqRel) >= 2, "the first two times fail");
            }
        });
        assert!(background.check().is_ok());
        sleep(Duration::from_millis(10)).await;
        assert!(background.check().expect_err("it has just panicked").message.contains("\"test\""));
        task.await.expect("the loop returned");
        assert_eq!(begun.load(Ordering::Acquire), 3);
        assert!(background.check().is_err());
        sleep(FAILING_FOR).await;
        assert!(background.check().is_ok());
    }
}

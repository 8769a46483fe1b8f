//! Mail: templates, a persistent outbox with a worker, and the one-time tokens that mails carry.
//!
//! A mail is written in the transaction of the change that causes it, so it exists exactly if the change
//! is. What became of each is in `mail_log`; what it says is kept only until that is known.

mod language;
mod outbox;
mod templates;
pub mod tokens;
pub mod worker;

pub use entity::enums::MailTemplate;
pub use language::Language;
pub use outbox::{cancel, enqueue, forget};
pub use templates::{Email, masked, moment};

use std::future::Future;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::config::Settings;
use crate::error::{Error, Result};
use crate::platform::mail::Mailer;
use templates::Templates;

/// What may be done after its answer at the same time; beyond it the answer is `unavailable`.
const MAX_LATER: usize = 256;

/// What sending takes.
pub struct Mail {
    mailer: Mailer,
    templates: Templates,
    wake: Notify,
    later: TaskTracker,
}

impl Mail {
    /// As the settings say.
    pub fn open(settings: &Settings) -> Result<Self> {
        Ok(Self {
            mailer: Mailer::open(settings)?,
            templates: Templates::open()?,
            wake: Notify::new(),
            later: TaskTracker::new(),
        })
    }

    /// Has the worker look for mails now: one was committed. Without it the mail leaves a little later.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Does what the answer must not tell, by its content or its time, after the answer.
    pub fn run_after_response(&self, work: impl Future<Output = Result<()>> + Send + 'static) -> Result<()> {
        if self.later.len() >= MAX_LATER {
            return Err(Error::unavailable("too many requests for mail at once, try again in a moment"));
        }
        let work = async move {
            if let Err(error) = work.await {
                tracing::error!(%error, "a requested mail could not be queued");
            }
        };
        self.later.spawn(work.in_current_span());
        Ok(())
    }

    /// Waits for what was put off, until `deadline`.
    pub async fn settled(&self, deadline: Instant) {
        self.later.close();
        if timeout_at(deadline, self.later.wait()).await.is_err() {
            tracing::warn!("some requested mails could not be queued in time");
        }
    }
}

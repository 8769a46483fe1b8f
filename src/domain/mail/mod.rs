//! Mail: templates, a persistent outbox with a worker, and the one-time tokens that mails carry.
//!
//! A mail is stored in the transaction of the change that causes it, so it exists if and only if the change does.
//! `mail_log` records the outcome of each mail; the content is kept only until the outcome is known.

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

/// Tasks that may run after their response at the same time. Beyond this limit, the response is `unavailable`.
const MAX_LATER: usize = 256;

/// Everything that sending mail requires.
pub struct Mail {
    mailer: Mailer,
    templates: Templates,
    wake: Notify,
    later: TaskTracker,
}

impl Mail {
    /// Opens the mailer that the settings describe, and the templates.
    pub fn open(settings: &Settings) -> Result<Self> {
        Ok(Self {
            mailer: Mailer::open(settings)?,
            templates: Templates::open()?,
            wake: Notify::new(),
            later: TaskTracker::new(),
        })
    }

    /// Wakes the worker after a mail was committed. Without this call, the mail is sent a little later.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Runs work after the response, so that neither the content nor the timing of the response reveals its outcome.
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

    /// Waits until all deferred work is done, or until `deadline`.
    pub async fn settled(&self, deadline: Instant) {
        self.later.close();
        if timeout_at(deadline, self.later.wait()).await.is_err() {
            tracing::warn!("some requested mails could not be queued in time");
        }
    }
}

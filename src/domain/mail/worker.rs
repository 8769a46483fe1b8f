//! The worker that sends due mails, a few at a time: right after a mail was committed, and periodically for mails that
//! wait for a retry or were left behind by a dead node. Each node runs one worker.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use entity::{mail, one_time_token};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use tokio::task::{Id, JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::outbox::{self, Claimed};
use crate::domain::AppContext;
use crate::error::Result;
use crate::platform::mail::SendStatus;

/// Mails that are sent at the same time.
const AT_ONCE: usize = 4;

/// Interval between two polls of the outbox.
const LOOKS_EVERY: Duration = Duration::from_secs(2);

/// Pause before a failed record is retried.
const AGAIN: Duration = Duration::from_secs(1);

/// Retention of the mail log, milliseconds.
const LOG_KEPT_MS: i64 = 90 * 24 * 3_600 * 1_000;

/// Retention of tokens after their expiry, milliseconds.
const TOKENS_KEPT_MS: i64 = 7 * 24 * 3_600 * 1_000;

/// A running worker.
pub struct Worker {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Worker {
    /// Starts the worker.
    pub fn start(context: &Arc<AppContext>) -> Self {
        let stop = CancellationToken::new();
        let until = stop.clone();
        let task = context.keep("mail", move |context| run(context, until.clone()));
        Self { stop, task }
    }

    /// Stops claiming mails and waits until `deadline` for those being sent. A mail that is cut off is sent after the
    /// next start.
    pub async fn stop(self, deadline: Instant) {
        self.stop.cancel();
        let cut_off = self.task.abort_handle();
        if timeout_at(deadline, self.task).await.is_err() {
            cut_off.abort();
            tracing::warn!("a mail was cut off; it is sent after the next start");
        }
    }
}

async fn run(context: Arc<AppContext>, stop: CancellationToken) {
    if let Err(error) = outbox::release(&context).await {
        tracing::warn!(%error, "mails of the previous run could not be taken up at once");
    }
    let mut looks = interval(LOOKS_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut hour = interval(Duration::from_hours(1));
    let mut under_way: JoinSet<()> = JoinSet::new();
    let mut in_hand: HashMap<Id, i64> = HashMap::new();
    let mut well = true;
    loop {
        while under_way.len() < AT_ONCE && !stop.is_cancelled() {
            let ids: Vec<i64> = in_hand.values().copied().collect();
            match outbox::claim(&context, &ids).await {
                Ok(Some(claimed)) => {
                    let id = claimed.id;
                    let task = under_way.spawn(deliver(context.clone(), claimed));
                    in_hand.insert(task.id(), id);
                    well = true;
                }
                Ok(None) => {
                    well = true;
                    break;
                }
                Err(error) => {
                    if well {
                        tracing::warn!(%error, "the outbox of mails cannot be read");
                    }
                    well = false;
                    break;
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => break,
            Some(done) = under_way.join_next_with_id() => {
                let task = match done {
                    Ok((task, ())) => task,
                    Err(error) => {
                        tracing::error!(%error, "sending a mail failed in the server");
                        error.id()
                    }
                };
                in_hand.remove(&task);
            }
            () = context.mail.wake.notified() => {}
            _ = looks.tick() => {}
            _ = hour.tick() => {
                if let Err(error) = prune(&context).await {
                    tracing::warn!(%error, "the log of mails could not be pruned");
                }
            }
        }
    }
    while under_way.join_next().await.is_some() {}
}

/// Makes one attempt and retries its record until it succeeds: without the record, the mail would be sent twice.
async fn deliver(context: Arc<AppContext>, claimed: Claimed) {
    let status = context.mail.mailer.send(&claimed.mail).await;
    let (id, template, attempt) = (claimed.id, &claimed.mail.template, claimed.attempt);
    match &status {
        SendStatus::Sent => tracing::info!(mail = id, template, attempt, "a mail was sent"),
        SendStatus::Logged => {}
        // The peer's reply often contains the recipient's address, so it is stored in `mail_log` and not logged here.
        SendStatus::Later(_) => tracing::warn!(mail = id, template, attempt, "a mail could not be sent yet"),
        SendStatus::Never(_) => tracing::warn!(mail = id, template, attempt, "a mail cannot be sent"),
    }
    while let Err(error) = outbox::record(&context, &claimed, &status).await {
        tracing::warn!(mail = id, %error, "the state of a mail could not be stored yet");
        sleep(AGAIN).await;
    }
}

/// Deletes old mails and tokens.
async fn prune(context: &AppContext) -> Result<()> {
    let now = context.clock.now();
    let tx = context.db.begin().await?;
    mail::Entity::delete_many()
        .filter(mail::Column::FinishedAt.lt(now - LOG_KEPT_MS))
        .exec(tx.conn())
        .await?;
    one_time_token::Entity::delete_many()
        .filter(one_time_token::Column::ExpiresAt.lt(now - TOKENS_KEPT_MS))
        .exec(tx.conn())
        .await?;
    tx.commit_silently().await?;
    Ok(())
}

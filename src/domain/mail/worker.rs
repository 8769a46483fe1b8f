//! Sends what is due: a few mails at a time, right after a mail was committed, and periodically for those
//! that wait for their next attempt or that a dead node has left. One worker per node.

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

/// Mails under way at the same time.
const AT_ONCE: usize = 4;

/// How often it looks by itself.
const LOOKS_EVERY: Duration = Duration::from_secs(2);

/// A record that fails is tried again after.
const AGAIN: Duration = Duration::from_secs(1);

/// How long the log of mails is kept, milliseconds.
const LOG_KEPT_MS: i64 = 90 * 24 * 3_600 * 1_000;

/// How long tokens are kept after their end, milliseconds.
const TOKENS_KEPT_MS: i64 = 7 * 24 * 3_600 * 1_000;

/// A running worker.
pub struct Worker {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Worker {
    /// Starts it.
    pub fn start(context: &Arc<AppContext>) -> Self {
        let stop = CancellationToken::new();
        let until = stop.clone();
        let task = context.keep("mail", move |context| run(context, until.clone()));
        Self { stop, task }
    }

    /// Takes nothing more up, and waits for what is under way until `deadline`. What is cut off is sent after
    /// the next start.
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

/// One attempt, and its record, which is tried until it succeeds: the mail would otherwise go twice.
async fn deliver(context: Arc<AppContext>, claimed: Claimed) {
    let status = context.mail.mailer.send(&claimed.mail).await;
    let (id, template, attempt) = (claimed.id, &claimed.mail.template, claimed.attempt);
    match &status {
        SendStatus::Sent => tracing::info!(mail = id, template, attempt, "a mail was sent"),
        SendStatus::Logged => {}
        // The peer's words often name the recipient: they stand in `mail_log`, not here.
        SendStatus::Later(_) => tracing::warn!(mail = id, template, attempt, "a mail could not be sent yet"),
        SendStatus::Never(_) => tracing::warn!(mail = id, template, attempt, "a mail cannot be sent"),
    }
    while let Err(error) = outbox::record(&context, &claimed, &status).await {
        tracing::warn!(mail = id, %error, "the state of a mail could not be stored yet");
        sleep(AGAIN).await;
    }
}

/// Forgets old mails and tokens.
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

//! The outbox: one row per mail in `mail_log` and its content in `mail_outbox`, both written in the transaction of the
//! change that causes the mail.
//!
//! **Mails are neither lost nor sent twice.** A node claims a mail by a lease (`claimed_until`) with one conditional
//! UPDATE, so only one of several nodes sends it. The outcome is recorded and the content deleted in one transaction.
//!
//! - The server dies before the claim, or between the claim and the final dot: the peer has not accepted the mail. The
//!   lease expires (on `SQLite`, which has one node, it is released at startup), and the mail is sent.
//! - The peer dies or rejects the mail temporarily: the mail is retried with growing pauses, ten attempts over a day.
//! - The server dies between the peer's 250 and the record, or the peer dies between accepting the mail and its 250:
//!   whether the mail was accepted cannot be known (RFC 1047). It is sent again, with the same `Message-ID`. This
//!   window cannot be closed from one side; here it is as short as one write to the database.
//! - The record fails while the server lives: the write is retried until it succeeds, and this node does not claim the
//!   mail again meanwhile. A lease is three times as long as an SMTP conversation may take, so other nodes do not claim
//!   it either, as long as the clocks of the nodes differ by less than a minute.
//!
//! The attempt number is the fencing token: a node that was presumed dead cannot undo what another node has recorded.

use entity::{mail, mail_outbox};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
};

use super::{Email, MailTemplate};
use crate::config::Module;
use crate::domain::AppContext;
use crate::error::Result;
use crate::ids::UserId;
use crate::platform::db::Tx;
use crate::platform::mail::{CONVERSATION, Outgoing, SendStatus, is_address};
use entity::enums::MailState;

/// Lease of a node on a mail, in milliseconds: three times the longest conversation, so that no other node claims the
/// mail meanwhile.
const LEASE_MS: i64 = 3 * CONVERSATION.as_millis() as i64;

/// Pauses after the first, second, … temporary failure, in seconds. The failure after the last pause is final.
const PAUSES: [i64; 9] = [5, 30, 120, 600, 3_600, 7_200, 14_400, 28_800, 28_800];

/// A mail that this node has claimed.
pub struct Claimed {
    /// The id of its row.
    pub id: i64,
    /// The number of this attempt.
    pub attempt: i32,
    /// The mail to send.
    pub mail: Outgoing,
}

/// Writes a mail into the outbox; it is sent if the transaction commits.
///
/// A mail to an invalid address (stored before addresses were checked, or imported) is recorded as failed, because it
/// must not block the change that the mail is about. Without the module `mail`, nothing is written.
pub async fn enqueue(context: &AppContext, tx: &Tx, email: Email<'_>) -> Result<()> {
    if !context.settings.modules.has(Module::Mail) {
        return Ok(());
    }
    let now = context.clock.now();
    let mut row = mail::ActiveModel {
        user_id: Set(Some(email.user.id)),
        template: Set(email.template),
        recipient: Set(email.to.to_owned()),
        attempts: Set(0),
        created_at: Set(now),
        expires_at: Set(email.token.map(|it| it.expires_at)),
        ..Default::default()
    };
    if !is_address(email.to) {
        row.subject = Set(String::new());
        row.message_id = Set(String::new());
        row.state = Set(MailState::Failed);
        row.finished_at = Set(Some(now));
        row.last_error = Set(Some("not a valid mail address".into()));
        mail::Entity::insert(row).exec_without_returning(tx.conn()).await?;
        return Ok(());
    }
    let settings = &context.settings;
    let written =
        context.mail.templates.write(&email, settings.public_url.as_str(), &settings.mail.from, now)?;
    row.subject = Set(written.subject);
    row.message_id = Set(written.id);
    row.state = Set(MailState::Queued);
    row.next_attempt_at = Set(Some(now));
    let id = mail::Entity::insert(row).exec(tx.conn()).await?.last_insert_id;
    let body = mail_outbox::ActiveModel {
        mail_id: Set(id),
        content: Set(written.content),
        link: Set(email.link(settings.public_url.as_str())),
    };
    mail_outbox::Entity::insert(body).exec_without_returning(tx.conn()).await?;
    let mail = context.mail.clone();
    tx.after_commit(move || mail.wake());
    Ok(())
}

/// Cancels a user's unsent mails of these kinds, because their content is no longer valid. A mail that is being sent
/// cannot be recalled, but it is not retried.
pub async fn cancel(context: &AppContext, tx: &Tx, user: UserId, templates: &[MailTemplate]) -> Result<()> {
    let now = context.clock.now();
    let waiting: Vec<i64> = mail::Entity::find()
        .select_only()
        .column(mail::Column::Id)
        .filter(mail::Column::UserId.eq(user.0))
        .filter(mail::Column::Template.is_in(templates.iter().copied()))
        .filter(mail::Column::State.eq(MailState::Queued))
        .filter(unclaimed(now))
        .into_tuple()
        .all(tx.conn())
        .await?;
    for id in waiting {
        finish(tx.conn(), id, unclaimed(now), (MailState::Failed, Some("superseded")), now).await?;
    }
    mail::Entity::update_many()
        .col_expr(mail::Column::ExpiresAt, Expr::value(Some(now)))
        .filter(mail::Column::UserId.eq(user.0))
        .filter(mail::Column::Template.is_in(templates.iter().copied()))
        .filter(mail::Column::State.eq(MailState::Queued))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Cancels all mails of a deleted account and removes its addresses from the log. A mail that is being sent cannot be
/// recalled; the log shows it as failed whatever its outcome.
pub async fn forget(context: &AppContext, tx: &Tx, user: UserId) -> Result<()> {
    super::tokens::revoke(context, tx, user, super::tokens::Purpose::ALL).await?;
    mail::Entity::update_many()
        .col_expr(mail::Column::State, Expr::value(MailState::Failed))
        .col_expr(mail::Column::FinishedAt, Expr::value(Some(context.clock.now())))
        .col_expr(mail::Column::NextAttemptAt, Expr::value(None::<i64>))
        .filter(mail::Column::UserId.eq(user.0))
        .filter(mail::Column::State.eq(MailState::Queued))
        .exec(tx.conn())
        .await?;
    mail::Entity::update_many()
        .col_expr(mail::Column::Recipient, Expr::value(""))
        // The peer's reply often contains the recipient's address.
        .col_expr(mail::Column::LastError, Expr::value(None::<String>))
        .filter(mail::Column::UserId.eq(user.0))
        .exec(tx.conn())
        .await?;
    // Delete in the same order as `finish`; the opposite order could deadlock with it.
    let mails =
        mail::Entity::find().select_only().column(mail::Column::Id).filter(mail::Column::UserId.eq(user.0));
    mail_outbox::Entity::delete_many()
        .filter(mail_outbox::Column::MailId.in_subquery(mails.into_query()))
        .exec(tx.conn())
        .await?;
    Ok(())
}

fn unclaimed(now: i64) -> Condition {
    Condition::any().add(mail::Column::ClaimedUntil.is_null()).add(mail::Column::ClaimedUntil.lte(now))
}

/// Claims a mail that is due and not one of `in_hand`. Marks expired mails as failed on the way.
pub async fn claim(context: &AppContext, in_hand: &[i64]) -> Result<Option<Claimed>> {
    loop {
        let now = context.clock.now();
        let due: Option<i64> = mail::Entity::find()
            .select_only()
            .column(mail::Column::Id)
            .filter(mail::Column::State.eq(MailState::Queued))
            .filter(mail::Column::NextAttemptAt.lte(now))
            .filter(unclaimed(now))
            .filter(mail::Column::Id.is_not_in(in_hand.iter().copied()))
            .order_by_asc(mail::Column::NextAttemptAt)
            .order_by_asc(mail::Column::Id)
            .into_tuple()
            .one(context.db.read())
            .await?;
        let Some(id) = due else { return Ok(None) };
        let tx = context.db.begin().await?;
        let claimed = mail::Entity::update_many()
            .col_expr(mail::Column::ClaimedUntil, Expr::value(Some(now + LEASE_MS)))
            .col_expr(mail::Column::Attempts, Expr::col(mail::Column::Attempts).add(1))
            .filter(mail::Column::Id.eq(id))
            .filter(mail::Column::State.eq(MailState::Queued))
            .filter(unclaimed(now))
            .exec(tx.conn())
            .await?;
        if claimed.rows_affected != 1 {
            // Another node has claimed it first.
            tx.roll_back().await?;
            continue;
        }
        let row = mail::Entity::find_by_id(id).one(tx.conn()).await?;
        let body = mail_outbox::Entity::find_by_id(id).one(tx.conn()).await?;
        let expired = row.as_ref().is_some_and(|it| it.expires_at.is_some_and(|end| end <= now));
        // Attempts without a record, because of a crash or a panic, count too.
        let worn_out = row.as_ref().is_some_and(|it| it.attempts as usize > PAUSES.len() + 2);
        let (Some(row), Some(body), false) = (row, body, expired || worn_out) else {
            let why = match (expired, worn_out) {
                (true, _) => "expired",
                (_, true) => "tried too often",
                _ => "its content is gone",
            };
            finish(tx.conn(), id, Condition::all(), (MailState::Failed, Some(why)), now).await?;
            tx.commit_silently().await?;
            tracing::info!(mail = id, why, "a mail is not sent");
            continue;
        };
        tx.commit_silently().await?;
        let mail = Outgoing {
            recipient: row.recipient,
            template: row.template.as_str(),
            link: body.link,
            content: body.content,
        };
        return Ok(Some(Claimed { id, attempt: row.attempts, mail }));
    }
}

/// Records the outcome of an attempt.
pub async fn record(context: &AppContext, claimed: &Claimed, status: &SendStatus) -> Result<()> {
    let now = context.clock.now();
    // Sent and logged mails are recorded unconditionally; other outcomes count only for the current attempt.
    let ours = Condition::all().add(mail::Column::Attempts.eq(claimed.attempt));
    let pause = usize::try_from(claimed.attempt - 1).ok().and_then(|index| PAUSES.get(index));
    let tx = context.db.begin().await?;
    match (status, pause) {
        (SendStatus::Sent, _) => {
            finish(tx.conn(), claimed.id, Condition::all(), (MailState::Sent, None), now).await?;
        }
        (SendStatus::Logged, _) => {
            finish(tx.conn(), claimed.id, Condition::all(), (MailState::Logged, None), now).await?;
        }
        (SendStatus::Later(why), Some(pause)) => {
            // A mail that expires before its next attempt fails now.
            let too_late = ours.clone().add(mail::Column::ExpiresAt.lte(now + pause * 1_000));
            let told_late = format!("its token expires before the next attempt: {}", told(why));
            finish(tx.conn(), claimed.id, too_late, (MailState::Failed, Some(&told_late)), now).await?;
            mail::Entity::update_many()
                .col_expr(mail::Column::ClaimedUntil, Expr::value(None::<i64>))
                .col_expr(mail::Column::NextAttemptAt, Expr::value(Some(now + pause * 1_000)))
                .col_expr(mail::Column::LastError, Expr::value(Some(told(why))))
                .filter(mail::Column::Id.eq(claimed.id))
                .filter(mail::Column::State.eq(MailState::Queued))
                .filter(ours)
                .exec(tx.conn())
                .await?;
        }
        (SendStatus::Later(why) | SendStatus::Never(why), _) => {
            finish(tx.conn(), claimed.id, ours, (MailState::Failed, Some(&told(why))), now).await?;
        }
    }
    tx.commit_silently().await?;
    Ok(())
}

/// Moves a mail to its final state, for example `(MailState::Failed, why)`: deletes its content and keeps its row.
async fn finish(
    conn: &impl ConnectionTrait,
    id: i64,
    provided: Condition,
    (state, why): (MailState, Option<&str>),
    now: i64,
) -> Result<()> {
    let done = mail::Entity::update_many()
        .col_expr(mail::Column::State, Expr::value(state))
        .col_expr(mail::Column::FinishedAt, Expr::value(Some(now)))
        .col_expr(mail::Column::ClaimedUntil, Expr::value(None::<i64>))
        .col_expr(mail::Column::NextAttemptAt, Expr::value(None::<i64>))
        .col_expr(mail::Column::LastError, Expr::value(why.map(str::to_owned)))
        .filter(mail::Column::Id.eq(id))
        .filter(mail::Column::State.eq(MailState::Queued))
        .filter(provided)
        .exec(conn)
        .await?;
    if done.rows_affected == 1 {
        mail_outbox::Entity::delete_by_id(id).exec(conn).await?;
    }
    Ok(())
}

/// Returns a peer's reply as one line of at most 500 characters.
fn told(why: &str) -> String {
    why.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect()
}

/// Releases all claims at startup. `SQLite` has one node, so any claim belongs to a process that has died.
pub async fn release(context: &AppContext) -> Result<()> {
    if context.db.backend() != DbBackend::Sqlite {
        return Ok(());
    }
    let tx = context.db.begin().await?;
    mail::Entity::update_many()
        .col_expr(mail::Column::ClaimedUntil, Expr::value(None::<i64>))
        .filter(mail::Column::State.eq(MailState::Queued))
        .exec(tx.conn())
        .await?;
    tx.commit_silently().await?;
    Ok(())
}

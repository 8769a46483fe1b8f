//! Reports of messages and users to the moderators. A report keeps the message as it was, so that editing or deleting
//! the message does not remove the evidence.

use crate::protocol::moderation::ReportState;
use std::collections::HashMap;

use entity::{message, report};
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect,
};
use serde_json::{Value, json};

use super::Numbered;
use super::moderators::{Locked, Moderator};
use crate::clock::Timestamp;
use crate::domain::audit::{self, Act, Target};
use crate::domain::dispatch::CommandHandler;
use crate::domain::{Actor, AppContext, Caller, chats, users};
use crate::error::{Code, Error, Result};
use crate::ids::{ChatId, MessageId, UserId};
use crate::platform::db::{Outcome, retry};
use crate::protocol::moderation::{
    AdminReport, ClaimReport, NewReport, NoteReport, Report, ReportReply, ReportSubject, ResolveReport, Role,
};
use crate::protocol::users::Author;

/// The subject of a report.
struct Subject {
    user_id: i64,
    message: Option<message::Model>,
}

/// Reports a message or a user. Returns `true` if the report is new; a repeated report returns the existing one while
/// that is open.
pub async fn report(context: &AppContext, actor: Actor, request: NewReport) -> Result<(Report, bool)> {
    let outcome = retry(|| report_once(context, actor.user_id, &request, |_| true)).await?;
    let ReportReply { report, duplicate } = context.publish(outcome).await;
    Ok((report, !duplicate))
}

impl CommandHandler for ReportSubject {
    async fn run(&self, context: &AppContext, caller: &Caller) -> Result<Outcome<ReportReply>> {
        let request = NewReport {
            message_id: self.message.as_ref().map(|message| message.0.id),
            user_id: self.user.as_ref().map(|user| user.0.id),
            reason: self.reason.clone(),
        };
        let done = report_once(context, caller.actor.user_id, &request, |chat| caller.may_reach(chat)).await;
        done.map_err(|error| error.rename("message_id", "message.id").rename("user_id", "user.id"))
    }
}

/// `may_reach` tells whether the connection may use a chat.
async fn report_once(
    context: &AppContext,
    me: UserId,
    request: &NewReport,
    may_reach: impl Fn(ChatId) -> bool,
) -> Result<Outcome<ReportReply>> {
    let tx = context.db.begin().await?;
    // Serializes simultaneous reports of the same user.
    users::lock(tx.conn(), me).await?;
    let subject = find_subject(tx.conn(), me, request, may_reach).await?;
    let message_id = subject.message.as_ref().map(|row| row.id);
    let mut same = report::Entity::find()
        .filter(report::Column::ReporterId.eq(me.0))
        .filter(report::Column::UserId.eq(subject.user_id))
        .filter(report::Column::State.eq(ReportState::Open));
    same = match message_id {
        Some(id) => same.filter(report::Column::MessageId.eq(id)),
        None => same.filter(report::Column::MessageId.is_null()),
    };
    if let Some(row) = same.one(tx.conn()).await? {
        return tx.unchanged(ReportReply { report: show_own(row), duplicate: true }).await;
    }
    let row = report::ActiveModel {
        reporter_id: Set(Some(me.0)),
        user_id: Set(subject.user_id),
        chat_id: Set(subject.message.as_ref().map(|row| row.chat_id)),
        message_id: Set(message_id),
        content: Set(subject.message.map(|row| row.content)),
        reason: Set(request.reason.trim().to_owned()),
        state: Set(ReportState::Open),
        created_at: Set(context.clock.now()),
        ..Default::default()
    }
    .insert(tx.conn())
    .await?;
    tx.commit(ReportReply { report: show_own(row), duplicate: false }).await
}

async fn find_subject(
    conn: &impl ConnectionTrait,
    me: UserId,
    request: &NewReport,
    may_reach: impl Fn(ChatId) -> bool,
) -> Result<Subject> {
    let (subject, field) = if let Some(id) = request.message_id {
        let absent = || Error::field(Code::NotFound, "message_id", "there is no such message");
        let row = message::Entity::present()
            .filter(message::Column::Id.eq(id.0))
            .one(conn)
            .await?
            .filter(|row| may_reach(ChatId(row.chat_id)))
            .ok_or_else(absent)?;
        chats::find_visible(conn, ChatId(row.chat_id), me).await.map_err(|error| match error.code {
            Code::NotFound => absent(),
            _ => error,
        })?;
        (Subject { user_id: row.user_id, message: Some(row) }, "message_id")
    } else {
        let id = request.user_id.ok_or_else(|| Error::invalid("message_id", "is missing"))?;
        let row = users::find_named(conn, id, "user_id").await?;
        (Subject { user_id: row.id, message: None }, "user_id")
    };
    if subject.user_id == me.0 {
        return Err(Error::invalid(field, "must not be you or your own message"));
    }
    Ok(subject)
}

fn show_own(row: report::Model) -> Report {
    Report {
        id: row.id,
        user_id: UserId(row.user_id),
        chat_id: row.chat_id.map(ChatId),
        message_id: row.message_id.map(MessageId),
        reason: row.reason,
        state: row.state,
        created_at: Timestamp(row.created_at),
    }
}

/// Which reports of the queue are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// Those that nobody works on.
    Nobody,
    /// Those that the asking moderator works on.
    Me,
}

impl TryFrom<String> for Claimed {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        match text.as_str() {
            "nobody" => Ok(Self::Nobody),
            "me" => Ok(Self::Me),
            _ => Err("must be nobody or me".to_owned()),
        }
    }
}

/// Returns a page of reports, newest first.
pub async fn reports(
    context: &AppContext,
    by: &Moderator,
    state: ReportState,
    claimed: Option<Claimed>,
    before: Option<i64>,
    limit: u64,
) -> Result<Numbered<AdminReport>> {
    let claimed = claimed.map(|it| match it {
        Claimed::Nobody => report::Column::ClaimedBy.is_null(),
        Claimed::Me => report::Column::ClaimedBy.eq(by.id().0),
    });
    // Those about themselves are for others.
    let own = (!by.is_admin()).then(|| report::Column::UserId.ne(by.id().0));
    let rows = report::Entity::find()
        .filter(Condition::all().add_option(claimed).add_option(own))
        .filter(report::Column::State.eq(state))
        .filter(report::Column::Id.lt(before.unwrap_or(i64::MAX)))
        .order_by_desc(report::Column::Id)
        .limit(limit + 1)
        .all(context.db.read())
        .await?;
    let page = Numbered::cut(rows, limit, |row| row.id);
    let next = page.next;
    Ok(Numbered { items: show(context.db.read(), page.items).await?, next })
}

/// A change of a report by a moderator.
pub enum ReportChange {
    /// Claims it, or gives it back.
    Claim(ClaimReport),
    /// Replaces its note.
    Note(NoteReport),
    /// Records how it was resolved. A report that is already resolved stays unchanged.
    Resolve(ResolveReport),
}

impl ReportChange {
    /// Applies the change to a row. Returns what the audit log records, or `None` if nothing changes.
    fn apply(
        &self,
        row: &report::Model,
        by: UserId,
        now: i64,
    ) -> Result<Option<(report::ActiveModel, &'static str, Value)>> {
        let mut changed = row.clone().into_active_model();
        let is_resolved = row.state == ReportState::Resolved;
        let (action, details) = match self {
            Self::Claim(request) if request.claimed == Some(false) => {
                if row.claimed_by.is_none() || is_resolved {
                    return Ok(None);
                }
                if row.claimed_by != Some(by.0) && request.take_over != Some(true) {
                    return Err(claimed_by_other());
                }
                changed.claimed_by = Set(None);
                changed.claimed_at = Set(None);
                ("report.release", json!({"from": row.claimed_by}))
            }
            Self::Claim(request) => {
                if row.claimed_by == Some(by.0) || is_resolved {
                    return Ok(None);
                }
                if row.claimed_by.is_some() && request.take_over != Some(true) {
                    return Err(claimed_by_other());
                }
                changed.claimed_by = Set(Some(by.0));
                changed.claimed_at = Set(Some(now));
                ("report.claim", json!({"from": row.claimed_by}))
            }
            Self::Note(request) => {
                let note = Some(request.note.trim().to_owned()).filter(|it| !it.is_empty());
                if row.note == note {
                    return Ok(None);
                }
                changed.note = Set(note.clone());
                ("report.note", json!({"note": note}))
            }
            Self::Resolve(_) if is_resolved => return Ok(None),
            Self::Resolve(request) => {
                let resolution = request.resolution.trim().to_owned();
                changed.state = Set(ReportState::Resolved);
                changed.resolved_at = Set(Some(now));
                changed.resolved_by = Set(Some(by.0));
                changed.resolution = Set(Some(resolution.clone()));
                ("report.resolve", json!({"resolution": resolution}))
            }
        };
        Ok(Some((changed, action, details)))
    }
}

fn claimed_by_other() -> Error {
    let problem = "another moderator has claimed the report; send take_over to take it over";
    Error::forbidden(problem)
}

/// Changes a report, and records that in the audit log.
pub async fn change(
    context: &AppContext,
    by: &Moderator,
    id: i64,
    change: ReportChange,
) -> Result<AdminReport> {
    retry(|| change_once(context, by, id, &change)).await
}

async fn change_once(
    context: &AppContext,
    by: &Moderator,
    id: i64,
    change: &ReportChange,
) -> Result<AdminReport> {
    let absent = || Error::not_found("report");
    let tx = context.db.begin().await?;
    Locked::read(context, &tx, by, Role::Moderator, by.id()).await?;
    let row = report::Entity::find_by_id(id).lock_exclusive().one(tx.conn()).await?.ok_or_else(absent)?;
    if row.user_id == by.id().0 && !by.is_admin() {
        return Err(absent());
    }
    let Some((changed, action, details)) = change.apply(&row, by.id(), context.clock.now())? else {
        let shown = show(tx.conn(), vec![row]).await?.pop().ok_or_else(absent)?;
        tx.roll_back().await?;
        return Ok(shown);
    };
    let row = changed.update(tx.conn()).await?;
    let act =
        Act { actor: Some(by.id()), action, target: Target::Report(id), details, address: by.address() };
    audit::record(context, &tx, act).await?;
    let shown = show(tx.conn(), vec![row]).await?.pop().ok_or_else(absent)?;
    Ok(context.publish(tx.commit(shown).await?).await)
}

async fn show(conn: &impl ConnectionTrait, rows: Vec<report::Model>) -> Result<Vec<AdminReport>> {
    let mut people: Vec<i64> = Vec::new();
    for row in &rows {
        people.push(row.user_id);
        people.extend(row.reporter_id.into_iter().chain(row.claimed_by));
    }
    let authors: HashMap<i64, Author> = users::authors(conn, people).await?;
    let author = |id: i64| {
        authors.get(&id).cloned().ok_or_else(|| Error::internal("a report names a user who does not exist"))
    };
    rows.into_iter()
        .map(|row| {
            Ok(AdminReport {
                reporter: row.reporter_id.map(author).transpose()?,
                user: author(row.user_id)?,
                content: row.content.clone(),
                resolved_at: row.resolved_at.map(Timestamp),
                resolved_by: row.resolved_by.map(UserId),
                resolution: row.resolution.clone(),
                claimed_by: row.claimed_by.map(author).transpose()?,
                claimed_at: row.claimed_at.map(Timestamp),
                note: row.note.clone(),
                report: show_own(row),
            })
        })
        .collect()
}

//! The audit log and the mail log for admins, newest first.

use crate::protocol::moderation::MailState;
use entity::{audit, mail};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::Value;

use super::Numbered;
use super::moderators::Admin;
use crate::clock::Timestamp;
use crate::domain::AppContext;
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::protocol::moderation::{AuditEntry, MailEntry};

/// A filter of the audit log.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Actions by this user.
    pub actor: Option<i64>,
    /// Actions on this user.
    pub user: Option<i64>,
    /// Actions of this name, such as `user.ban`.
    pub action: Option<String>,
}

/// Returns a page of privileged actions.
pub async fn audit(
    context: &AppContext,
    _: &Admin,
    filter: &AuditFilter,
    before: Option<i64>,
    limit: u64,
) -> Result<Numbered<AuditEntry>> {
    let mut select = audit::Entity::find().filter(audit::Column::Id.lt(before.unwrap_or(i64::MAX)));
    if let Some(actor) = filter.actor {
        select = select.filter(audit::Column::ActorId.eq(actor));
    }
    if let Some(user) = filter.user {
        select = select.filter(audit::Column::TargetKind.eq("user")).filter(audit::Column::TargetId.eq(user));
    }
    if let Some(action) = &filter.action {
        if action.contains('\0') {
            return Err(Error::invalid("action", "must not contain NUL characters"));
        }
        select = select.filter(audit::Column::Action.eq(action.as_str()));
    }
    let rows = select.order_by_desc(audit::Column::Id).limit(limit + 1).all(context.db.read()).await?;
    Ok(Numbered::cut(rows, limit, |row| row.id).map(|row| AuditEntry {
        id: row.id,
        actor_id: row.actor_id.map(UserId),
        action: row.action,
        target_kind: row.target_kind,
        target_id: row.target_id,
        details: serde_json::from_str(&row.details).unwrap_or(Value::Null),
        address: row.address,
        created_at: Timestamp(row.created_at),
    }))
}

/// Returns a page of mails and their states; their contents are not kept.
pub async fn mails(
    context: &AppContext,
    _: &Admin,
    state: Option<MailState>,
    before: Option<i64>,
    limit: u64,
) -> Result<Numbered<MailEntry>> {
    let mut select = mail::Entity::find().filter(mail::Column::Id.lt(before.unwrap_or(i64::MAX)));
    if let Some(state) = state {
        select = select.filter(mail::Column::State.eq(state));
    }
    let rows = select.order_by_desc(mail::Column::Id).limit(limit + 1).all(context.db.read()).await?;
    Ok(Numbered::cut(rows, limit, |row| row.id).map(|row| MailEntry {
        id: row.id,
        user_id: row.user_id.map(UserId),
        template: row.template,
        recipient: row.recipient,
        subject: row.subject,
        state: row.state,
        attempts: row.attempts,
        created_at: Timestamp(row.created_at),
        next_attempt_at: row.next_attempt_at.map(Timestamp),
        finished_at: row.finished_at.map(Timestamp),
        last_error: row.last_error,
    }))
}

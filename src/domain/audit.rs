//! The audit log: every privileged action is recorded in the transaction that performs it. Rows are only added.

use entity::audit;
use sea_orm::ActiveValue::Set;
use sea_orm::EntityTrait;
use serde_json::Value;

use super::AppContext;
use crate::error::Result;
use crate::ids::UserId;
use crate::platform::db::Tx;

/// What an action was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// An account.
    User(UserId),
    /// A message.
    Message(crate::ids::MessageId),
    /// A chat.
    Chat(crate::ids::ChatId),
    /// A mail.
    Mail(i64),
    /// A report.
    Report(i64),
    /// The server as a whole.
    Server,
}

impl Target {
    fn columns(self) -> (Option<&'static str>, Option<i64>) {
        match self {
            Self::User(id) => (Some("user"), Some(id.0)),
            Self::Message(id) => (Some("message"), Some(id.0)),
            Self::Chat(id) => (Some("chat"), Some(id.0)),
            Self::Mail(id) => (Some("mail"), Some(id)),
            Self::Report(id) => (Some("report"), Some(id)),
            Self::Server => (None, None),
        }
    }
}

/// A privileged action to record.
pub struct Act<'a> {
    /// The user who acted; `None` for the command line.
    pub actor: Option<UserId>,
    /// The action, such as `user.ban`.
    pub action: &'static str,
    /// What the action was about.
    pub target: Target,
    /// Further details: a JSON object without secrets.
    pub details: Value,
    /// The address that the request came from.
    pub address: Option<&'a str>,
}

/// Records an action; the row is kept if the transaction commits.
pub async fn record(context: &AppContext, tx: &Tx, act: Act<'_>) -> Result<()> {
    let (kind, id) = act.target.columns();
    let actor = act.actor.map(|id| id.0);
    // A retried transaction logs this line again; the table has what really happened.
    tracing::info!(actor, action = act.action, target_kind = kind, target_id = id, "a privileged act");
    audit::Entity::insert(audit::ActiveModel {
        actor_id: Set(act.actor.map(|id| id.0)),
        action: Set(act.action.to_owned()),
        target_kind: Set(kind.map(str::to_owned)),
        target_id: Set(id),
        details: Set(act.details.to_string()),
        address: Set(act.address.map(str::to_owned)),
        created_at: Set(context.clock.now()),
        ..Default::default()
    })
    .exec_without_returning(tx.conn())
    .await?;
    Ok(())
}

//! What moderators and admins ask and are shown, and what anybody reports to them. REST only: the contract's
//! table of socket commands stays as it is.

pub use entity::enums::{MailState, MailTemplate, ReportState, Role};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::parse::{Check, Limits, Problems};
use super::users::Author;
use crate::clock::Timestamp;
use crate::ids::{ChatId, MessageId, UserId};

/// `user_banned`: why the connection is closed, and for how long no other is taken.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserBanned {
    /// A sentence for a person.
    pub message: String,
    /// Why, in the moderator's words.
    pub reason: String,
    /// When the ban ends; none: when it is lifted.
    pub until: Option<Timestamp>,
}

/// A ban that holds.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Ban {
    /// Since.
    pub since: Timestamp,
    /// Ends by itself; none: when it is lifted.
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: String,
}

/// Where a person can be reached; for admins.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Reach {
    /// Digits with an optional leading `+`.
    pub phone: Option<String>,
    /// As typed.
    pub email: Option<String>,
    /// Whether a mailed token came back.
    pub email_verified: bool,
}

/// A person as moderators and admins see them.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AdminUser {
    /// Never used again.
    pub id: UserId,
    /// Login name, if chosen.
    pub username: Option<String>,
    /// Display name.
    pub name: Option<String>,
    /// Bare name for `/static/{photo}/…`.
    pub photo: String,
    /// `user`, `moderator` or `admin`.
    pub role: Role,
    /// Whether any device is connected.
    pub online: bool,
    /// When the last device went.
    pub last_seen_at: Option<Timestamp>,
    /// Registration.
    pub created_at: Timestamp,
    /// The account is gone; its messages stay.
    pub deleted: bool,
    /// The ban that holds now, if any.
    pub ban: Option<Ban>,
    /// For admins; `null` for moderators.
    pub reach: Option<Reach>,
}

/// The same with what else is known.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AdminUserDetails {
    /// The person.
    #[serde(flatten)]
    pub user: AdminUser,
    /// Logins that hold.
    pub sessions: i64,
    /// Chats they are in.
    pub chats: i64,
    /// Reports against them that wait for a moderator.
    pub open_reports: i64,
    /// Reports against them, ever.
    pub reports: i64,
}

/// `POST /admin/user/{id}/ban`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct BanUser {
    /// Why; the user is told. 1 to 500 characters.
    pub reason: String,
    /// When it ends by itself (RFC 3339); left out or `null`: when it is lifted.
    #[serde(default)]
    pub until: Option<String>,
}

impl Check for BanUser {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        problems.check_length("reason", Some(self.reason.trim()), 1, 500);
        let fits = self.until.as_deref().is_none_or(|text| Timestamp::from_rfc3339(text).is_some());
        problems.check("until", fits, "takes a moment such as 2026-11-20T09:30:00Z");
    }
}

/// `PUT /admin/user/{id}/role`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SetRole {
    /// The service-wide role that the user is to have.
    pub role: Role,
}

impl Check for SetRole {
    fn check(&self, _: &Limits, _: &mut Problems) {}
}

/// `POST /report`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewReport {
    /// What it is about: a message of a chat that one is in. This or `user_id`, one of them.
    #[serde(default)]
    pub message_id: Option<MessageId>,
    /// What it is about: a user. This or `message_id`, one of them.
    #[serde(default)]
    pub user_id: Option<UserId>,
    /// Why; 1 to 1000 characters.
    pub reason: String,
}

impl Check for NewReport {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        problems.check_length("reason", Some(self.reason.trim()), 1, 1_000);
        let one = self.message_id.is_some() != self.user_id.is_some();
        problems.check("message_id", one, "give message_id or user_id, one of them");
    }
}

/// A report as whoever made it sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Report {
    /// Its number.
    pub id: i64,
    /// Whom it is about: the author of a reported message.
    pub user_id: UserId,
    /// Where the message is.
    pub chat_id: Option<ChatId>,
    /// Which message; none: the user as such.
    pub message_id: Option<MessageId>,
    /// Why.
    pub reason: String,
    /// Whether somebody has looked after it.
    pub state: ReportState,
    /// When.
    pub created_at: Timestamp,
}

/// A report as moderators see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AdminReport {
    /// The report.
    #[serde(flatten)]
    pub report: Report,
    /// Who made it.
    pub reporter: Author,
    /// Whom it is about.
    pub user: Author,
    /// The message as it was when it was reported.
    pub content: Option<String>,
    /// When it was resolved.
    pub resolved_at: Option<Timestamp>,
    /// By whom.
    pub resolved_by: Option<UserId>,
    /// What was done.
    pub resolution: Option<String>,
}

/// `POST /admin/report/{id}/resolve`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ResolveReport {
    /// What was done; 1 to 1000 characters.
    pub resolution: String,
}

impl Check for ResolveReport {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        problems.check_length("resolution", Some(self.resolution.trim()), 1, 1_000);
    }
}

/// One privileged act.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuditEntry {
    /// Its number.
    pub id: i64,
    /// Who; none: the command line.
    pub actor_id: Option<UserId>,
    /// What, such as `user.ban`.
    pub action: String,
    /// `user`, `message` or `report`.
    pub target_kind: Option<String>,
    /// Which.
    pub target_id: Option<i64>,
    /// What else is worth knowing.
    #[schema(value_type = std::collections::HashMap<String, Value>)]
    pub details: Value,
    /// Where the request came from.
    pub address: Option<String>,
    /// When.
    pub created_at: Timestamp,
}

/// One mail and its fate.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MailEntry {
    /// Its number.
    pub id: i64,
    /// Whom it is about.
    pub user_id: Option<UserId>,
    /// Which mail it is.
    pub template: MailTemplate,
    /// The address; empty once its user is deleted.
    pub recipient: String,
    /// Its subject.
    pub subject: String,
    /// What became of it.
    pub state: MailState,
    /// Attempts so far.
    pub attempts: i32,
    /// Queued.
    pub created_at: Timestamp,
    /// Not before.
    pub next_attempt_at: Option<Timestamp>,
    /// Sent, or given up.
    pub finished_at: Option<Timestamp>,
    /// What the latest attempt failed on.
    pub last_error: Option<String>,
}

/// How much there is of everything; counted anew every ten seconds at most.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Statistics {
    /// Accounts that exist.
    pub users: i64,
    /// Of them, seen or logged in within 24 hours.
    pub users_active_24h: i64,
    /// Of them, banned.
    pub users_banned: i64,
    /// Tombstones of accounts that are gone.
    pub users_deleted: i64,
    /// Chats that exist, groups included.
    pub chats: i64,
    /// Groups.
    pub groups: i64,
    /// Messages; above a million, by the number of the newest.
    pub messages: i64,
    /// Of them, sent within 24 hours; counted to a million.
    pub messages_24h: i64,
    /// Users who are connected to this node.
    pub online: i64,
    /// Connections to this node.
    pub sockets: i64,
    /// Mails that wait.
    pub mails_queued: i64,
    /// Mails that were given up.
    pub mails_failed: i64,
    /// Reports that wait for a moderator.
    pub open_reports: i64,
    /// When this was counted.
    pub counted_at: Timestamp,
}

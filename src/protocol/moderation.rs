//! Moderation: what moderators and admins request and see, and reports to them.

pub use entity::enums::{MailState, MailTemplate, ReportState, Role};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::messages::MessageRef;
use super::parse::{Check, Envelope, Limits, Problems};
use super::users::{Author, UserRef};
use crate::clock::Timestamp;
use crate::ids::{ChatId, MessageId, UserId};

/// `user_banned`: why the connection is closed, and until when the ban lasts.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserBanned {
    /// A human-readable explanation.
    pub message: String,
    /// The reason, in the moderator's words.
    pub reason: String,
    /// When the ban ends; `null` if it has no end.
    pub until: Option<Timestamp>,
}

/// A ban that is in force.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Ban {
    /// When it began.
    pub since: Timestamp,
    /// When it ends; `null` if it has no end.
    pub until: Option<Timestamp>,
    /// The reason.
    pub reason: String,
}

/// How a user can be reached; for admins.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Reach {
    /// Digits, optionally with a leading `+`.
    pub phone: Option<String>,
    /// As it was entered.
    pub email: Option<String>,
    /// Whether the address is confirmed.
    pub email_verified: bool,
}

/// A user, as moderators and admins see them.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AdminUser {
    /// Unique; never reused.
    pub id: UserId,
    /// Login name, if the user has one.
    pub username: Option<String>,
    /// Display name.
    pub name: Option<String>,
    /// Name for `/static/{photo}/…`.
    pub photo: String,
    /// Their role in the whole service.
    pub role: Role,
    /// Whether any device is connected.
    pub online: bool,
    /// When the last device disconnected.
    pub last_seen_at: Option<Timestamp>,
    /// When the user registered.
    pub created_at: Timestamp,
    /// The account was deleted; its messages stay.
    pub deleted: bool,
    /// The current ban, if any.
    pub ban: Option<Ban>,
    /// For admins; `null` for moderators.
    pub reach: Option<Reach>,
}

/// A user with details, as moderators and admins see them.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AdminUserDetails {
    /// The user.
    #[serde(flatten)]
    pub user: AdminUser,
    /// Number of live sessions.
    pub sessions: i64,
    /// Number of chats that they belong to.
    pub chats: i64,
    /// Open reports about them.
    pub open_reports: i64,
    /// All reports about them.
    pub reports: i64,
}

/// `POST /admin/user/{id}/ban`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct BanUser {
    /// The reason, which the user sees; 1 to 500 characters.
    pub reason: String,
    /// When it ends (RFC 3339); without it the ban has no end.
    #[serde(default)]
    pub until: Option<String>,
}

impl Check for BanUser {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        problems.check_length("reason", Some(self.reason.trim()), 1, 500);
        let fits = self.until.as_deref().is_none_or(|text| Timestamp::from_rfc3339(text).is_some());
        problems.check("until", fits, "must be a time such as 2026-11-20T09:30:00Z");
    }
}

/// `PUT /admin/user/{id}/role`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SetRole {
    /// The new role in the whole service.
    pub role: Role,
}

impl Check for SetRole {
    fn check(&self, _: &Limits, _: &mut Problems) {}
}

/// `POST /report`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewReport {
    /// The reported message, of a chat that the user belongs to. Either this or `user_id`.
    #[serde(default)]
    pub message_id: Option<MessageId>,
    /// The reported user. Either this or `message_id`.
    #[serde(default)]
    pub user_id: Option<UserId>,
    /// The reason; 1 to 1000 characters.
    pub reason: String,
}

impl Check for NewReport {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        problems.check_length("reason", Some(self.reason.trim()), 1, 1_000);
        let one = self.message_id.is_some() != self.user_id.is_some();
        problems.check("message_id", one, "give message_id or user_id, one of them");
    }
}

/// `report`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ReportSubject {
    /// The reported message, of a chat that the user belongs to. Either this or `user`.
    #[serde(default)]
    #[schema(value_type = Option<MessageRef>)]
    pub message: Option<Envelope<MessageRef>>,
    /// The reported user. Either this or `message`.
    #[serde(default)]
    #[schema(value_type = Option<UserRef>)]
    pub user: Option<Envelope<UserRef>>,
    /// The reason; 1 to 1000 characters.
    pub reason: String,
}

impl Check for ReportSubject {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        problems.check_length("reason", Some(self.reason.trim()), 1, 1_000);
        let one = self.message.is_some() != self.user.is_some();
        problems.check("message", one, "give message or user, one of them");
    }
}

/// The reply to `report`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReportReply {
    /// The report.
    pub report: Report,
    /// It was already reported, and that report is still open.
    pub duplicate: bool,
}

/// A report, as its reporter sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Report {
    /// Its number.
    pub id: i64,
    /// The reported user, or the author of the reported message.
    pub user_id: UserId,
    /// The chat of the message.
    pub chat_id: Option<ChatId>,
    /// The reported message; `null` if the user was reported.
    pub message_id: Option<MessageId>,
    /// The reason.
    pub reason: String,
    /// Whether it is resolved.
    pub state: ReportState,
    /// When it happened.
    pub created_at: Timestamp,
}

/// A report, as moderators see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AdminReport {
    /// The report.
    #[serde(flatten)]
    pub report: Report,
    /// The reporter; `null` for the word filter.
    pub reporter: Option<Author>,
    /// The user concerned.
    pub user: Author,
    /// The content of the message when it was reported.
    pub content: Option<String>,
    /// When it was resolved.
    pub resolved_at: Option<Timestamp>,
    /// Who resolved it.
    pub resolved_by: Option<UserId>,
    /// What was done.
    pub resolution: Option<String>,
    /// The moderator who works on it.
    pub claimed_by: Option<Author>,
    /// Since when.
    pub claimed_at: Option<Timestamp>,
    /// A note of the moderators; reporters do not see it.
    pub note: Option<String>,
}

/// `POST /admin/report/{id}/claim`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ClaimReport {
    /// `false` gives the report back. Default: `true`.
    #[serde(default)]
    pub claimed: Option<bool>,
    /// Whether to take it over if another moderator has claimed it. Default: `false`.
    #[serde(default)]
    pub take_over: Option<bool>,
}

impl Check for ClaimReport {
    fn check(&self, _: &Limits, _: &mut Problems) {}
}

/// `PUT /admin/report/{id}/note`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NoteReport {
    /// The new note, which replaces the one before; up to 2000 characters.
    pub note: String,
}

impl Check for NoteReport {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        problems.check_length("note", Some(self.note.trim()), 0, 2_000);
    }
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

/// A privileged action.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuditEntry {
    /// Its number.
    pub id: i64,
    /// The user who did it; `null` for the command line.
    pub actor_id: Option<UserId>,
    /// The action, such as `user.ban`.
    pub action: String,
    /// Kind of the target: `user`, `message` or `report`.
    pub target_kind: Option<String>,
    /// Id of the target.
    pub target_id: Option<i64>,
    /// Details.
    #[schema(value_type = std::collections::HashMap<String, Value>)]
    pub details: Value,
    /// The client's address.
    pub address: Option<String>,
    /// When it happened.
    pub created_at: Timestamp,
}

/// A mail and its state.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MailEntry {
    /// Its number.
    pub id: i64,
    /// The user concerned.
    pub user_id: Option<UserId>,
    /// Which mail it is.
    pub template: MailTemplate,
    /// The recipient's address; empty once the user is deleted.
    pub recipient: String,
    /// Its subject.
    pub subject: String,
    /// Its state.
    pub state: MailState,
    /// Attempts so far.
    pub attempts: i32,
    /// When it was queued.
    pub created_at: Timestamp,
    /// The earliest time of the next attempt.
    pub next_attempt_at: Option<Timestamp>,
    /// When it was sent or given up.
    pub finished_at: Option<Timestamp>,
    /// The error of the latest attempt.
    pub last_error: Option<String>,
}

/// Counts of everything, at most ten seconds old.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Statistics {
    /// Accounts.
    pub users: i64,
    /// Accounts that were seen within 24 hours.
    pub users_active_24h: i64,
    /// Banned accounts.
    pub users_banned: i64,
    /// Deleted accounts.
    pub users_deleted: i64,
    /// Chats, including groups.
    pub chats: i64,
    /// Groups.
    pub groups: i64,
    /// Messages; above a million estimated from the newest id.
    pub messages: i64,
    /// Messages of the last 24 hours; counted up to a million.
    pub messages_24h: i64,
    /// Connected users.
    pub online: i64,
    /// Connections.
    pub sockets: i64,
    /// Queued mails.
    pub mails_queued: i64,
    /// Failed mails.
    pub mails_failed: i64,
    /// Open reports.
    pub open_reports: i64,
    /// When this was counted.
    pub counted_at: Timestamp,
}

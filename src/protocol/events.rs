//! What the server sends by itself.

use serde::Serialize;
use utoipa::ToSchema;

use super::objects::{Chat, Member, Message, User};
use crate::clock::Timestamp;
use crate::error::{Error, FieldErrors};
use crate::ids::{ChatId, MessageId, SessionId, UserId};

/// What every event of a change in a chat says.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Change {
    /// Where.
    pub chat: ChatId,
    /// The counter's value that the change took.
    pub rev: i64,
    /// The counter's value before it: there is a hole where this is above what one knows.
    pub prev: i64,
    /// Who did it.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
}

impl Change {
    /// Takes a place's three numbers, who, and when (milliseconds).
    pub fn new(chat: ChatId, rev: i64, prev: i64, by: UserId, at: i64) -> Self {
        Self { chat, rev, prev, by, at: Timestamp(at) }
    }
}

/// `ready`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ready {
    /// Who one is.
    pub user_id: UserId,
    /// The session of the token.
    pub session_id: SessionId,
    /// Which history this database has.
    pub epoch: String,
    /// Now.
    pub server_time: Timestamp,
}

/// `chat_created`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChatCreated {
    /// Where, when, by whom.
    #[serde(flatten)]
    pub change: Change,
    /// The chat, without `my`.
    pub details: Chat,
}

/// `member_added`, `member_removed`.
#[derive(Debug, Serialize, ToSchema)]
pub struct MemberChange {
    /// Where, when, by whom.
    #[serde(flatten)]
    pub change: Change,
    /// Who it is about.
    pub member: Member,
    /// Members now.
    pub member_count: i32,
}

/// `chat_muted`, `chat_unmuted`: goes to one's own devices.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnChatMuted {
    /// Where, and one's own counter.
    #[serde(flatten)]
    pub change: OwnChatChange,
    /// No notice before; none where it is not muted.
    pub muted_until: Option<Timestamp>,
}

/// `chat_pinned`, `chat_unpinned` and the like: goes to one's own devices.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnChatChange {
    /// Where.
    pub chat: ChatId,
    /// One's own counter.
    pub user_rev: i64,
    /// When.
    pub at: Timestamp,
}

/// `new_message`: a Message's fields at top level, with `rev` and `prev`.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewMessage<'a> {
    /// The message, without `my`.
    #[serde(flatten)]
    pub message: &'a Message,
    /// The counter's value before it.
    pub prev: i64,
    /// Who sent it.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
}

/// `message_edited`, `message_deleted`.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageChanged<'a> {
    /// Where, when, by whom.
    #[serde(flatten)]
    pub change: Change,
    /// As it is now, without `my`.
    pub message: &'a Message,
}

/// `chat_updated`, `chat_approved`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChatChanged {
    /// Where, when, by whom.
    #[serde(flatten)]
    pub change: Change,
    /// The chat, without `my`.
    pub details: Chat,
}

/// `chat_deleted`, `chat_declined`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChatDeleted {
    /// Where, when, by whom.
    #[serde(flatten)]
    pub change: Change,
}

/// `chat_read`: takes no value of the chat's counter.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChatRead {
    /// Where.
    pub chat: ChatId,
    /// The chat's counter as it stands.
    pub rev: i64,
    /// Who.
    pub user_id: UserId,
    /// Has read up to this `seq`.
    pub seq: i64,
    /// One's own counter; only to one's own devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_rev: Option<i64>,
}

/// `typing`.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct TypingChanged {
    /// Where.
    pub chat: ChatId,
    /// Who.
    pub user_id: UserId,
    /// Or no longer.
    pub is_typing: bool,
}

/// `presence`.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct PresenceChanged {
    /// Who.
    pub user_id: UserId,
    /// Any device is connected.
    pub online: bool,
    /// When the last one went.
    pub last_seen_at: Option<Timestamp>,
}

/// `sync_hint`.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct SyncHint {
    /// Where.
    pub chat: ChatId,
    /// The chat's counter as it stands.
    pub rev: i64,
}

/// `message_liked`.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageLiked {
    /// Where, when, by whom.
    #[serde(flatten)]
    pub change: Change,
    /// Which.
    pub message_id: MessageId,
    /// Whether `by` likes it now.
    pub liked: bool,
    /// Number of likes now.
    pub likes: i32,
}

/// `user_updated`.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserUpdated {
    /// As they are now.
    pub user: User,
}

/// `followed`, `unfollowed`, `blocked`, `unblocked`: goes to one's own devices; `followed` also to who is followed.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct ContactChanged {
    /// About whom.
    pub user_id: UserId,
    /// Who decided.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
    /// One's own counter; only to the devices of who decided, and not where a group made it so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_rev: Option<i64>,
}

/// `token_expiring`.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenExpiring {
    /// When it ends.
    pub expires_at: Timestamp,
}

/// `token_expired`, `session_ended`: why the connection is closed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Farewell {
    /// A sentence for a person.
    pub message: String,
}

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

/// `server_shutdown`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServerShutdown {
    /// Come back after this many milliseconds; spread so that not all come at once.
    pub retry_after_ms: u64,
}

/// A failure as sockets are told of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorObject {
    /// Stable name.
    pub code: &'static str,
    /// A sentence for a person.
    pub message: String,
    /// Field path to what is wrong with it.
    #[serde(skip_serializing_if = "FieldErrors::is_empty")]
    pub errors: FieldErrors,
    /// When to come back, milliseconds; with `rate_limited`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl From<&Error> for ErrorObject {
    fn from(error: &Error) -> Self {
        Self {
            code: error.code.as_str(),
            message: error.message.clone(),
            errors: error.errors.clone(),
            retry_after_ms: error.retry_after_ms,
        }
    }
}

/// The ack of a command that failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Failure {
    /// Always false.
    pub ok: bool,
    /// Why.
    pub error: ErrorObject,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self { ok: false, error: ErrorObject::from(error) }
    }
}

/// `exception`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Exception {
    /// The command that failed.
    pub event: String,
    /// Why.
    pub error: ErrorObject,
}

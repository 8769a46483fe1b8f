//! Read marks.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::chats::ChatRef;
use super::parse::{Check, Envelope, Limits, Problems};
use super::users::Author;
use crate::ids::{ChatId, MessageId, UserId, whole_or_none};

/// `mark_read`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct MarkRead {
    /// The chat.
    #[schema(value_type = ChatRef)]
    pub chat: Envelope<ChatRef>,
    /// Read up to this message.
    #[serde(default)]
    pub last_read_message_id: Option<MessageId>,
    /// Read up to this `seq`. Without either: everything.
    #[serde(default, deserialize_with = "whole_or_none")]
    pub seq: Option<i64>,
}

impl Check for MarkRead {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        problems.check("seq", self.seq.is_none_or(|it| it >= 0), "must not be negative");
        let both = self.seq.is_some() && self.last_read_message_id.is_some();
        problems.check("seq", !both, "give seq or last_read_message_id, not both");
    }
}

/// The reply to `mark_read`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReadReply {
    /// Unread messages of others; counted up to 1000.
    pub unread: i64,
    /// The read mark after the command.
    pub seq: i64,
}

/// A member who has read a message.
#[derive(Debug, Serialize, ToSchema)]
pub struct Reader {
    /// The member.
    pub user: Author,
    /// The member has read up to this `seq`.
    pub last_read_seq: i64,
}

/// `chat_read`: does not change the chat's counter.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChatRead {
    /// The chat.
    pub chat: ChatId,
    /// The current value of the chat's counter.
    pub rev: i64,
    /// The user.
    pub user_id: UserId,
    /// The user has read up to this `seq`.
    pub seq: i64,
    /// The value of the user's own counter; only on the user's own devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_rev: Option<i64>,
}

//! Read marks.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::chats::ChatRef;
use super::parse::{Check, Envelope, Limits, Problems};
use crate::ids::{ChatId, MessageId, UserId, whole_or_none};

/// `mark_read`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct MarkRead {
    /// Where.
    #[schema(value_type = ChatRef)]
    pub chat: Envelope<ChatRef>,
    /// Read up to this message.
    #[serde(default)]
    pub last_read_message_id: Option<MessageId>,
    /// Or up to this `seq`. With neither: everything.
    #[serde(default, deserialize_with = "whole_or_none")]
    pub seq: Option<i64>,
}

impl Check for MarkRead {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        problems.check("seq", self.seq.is_none_or(|it| it >= 0), "takes 0 or more");
        let both = self.seq.is_some() && self.last_read_message_id.is_some();
        problems.check("seq", !both, "give seq or last_read_message_id, not both");
    }
}

/// Answer to `mark_read`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReadReply {
    /// Messages of others beyond the mark, counted to 1000.
    pub unread: i64,
    /// Where the mark stands now.
    pub seq: i64,
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

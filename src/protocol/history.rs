//! Pages of a chat's messages.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::chats::ChatRef;
use super::messages::Message;
use super::parse::{Check, Envelope, Limits, Problems};
use crate::clock::Timestamp;
use crate::ids::whole_or_none;

/// `history`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct History {
    /// The chat.
    #[schema(value_type = ChatRef)]
    pub chat: Envelope<ChatRef>,
    /// Messages with a lower `seq`.
    #[serde(default, deserialize_with = "whole_or_none")]
    pub before: Option<i64>,
    /// The next messages with a higher `seq`.
    #[serde(default, deserialize_with = "whole_or_none")]
    pub after: Option<i64>,
    /// Messages on both sides of this `seq`, itself included.
    #[serde(default, deserialize_with = "whole_or_none")]
    pub around: Option<i64>,
    /// Messages on both sides of the first one that is not older than this time.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub date: Option<String>,
    /// 1 to 200, default 50.
    #[serde(default, deserialize_with = "whole_or_none")]
    pub limit: Option<i64>,
}

impl Check for History {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        let anchors = [self.before, self.after, self.around, self.date()];
        check_page(&anchors, self.limit, problems);
        problems.check("date", self.date.is_none() || self.date().is_some(), NO_TIME);
    }
}

/// What is wrong with a text that is neither a time nor a date.
pub const NO_TIME: &str = "must be a time such as 2026-05-31T12:00:00Z, or a date such as 2026-05-31";

impl History {
    /// Returns `date` in milliseconds since the Unix epoch. A date without a time begins at midnight UTC.
    pub fn date(&self) -> Option<i64> {
        Timestamp::of_text(self.date.as_deref()?, false).map(|it| it.0)
    }
}

/// Checks that there is at most one anchor, and a limit of 1 to 200.
pub fn check_page(anchors: &[Option<i64>], limit: Option<i64>, problems: &mut Problems) {
    let anchors = anchors.iter().flatten().count();
    problems.check("before", anchors <= 1, "give one of before, after, around and date");
    problems.check("limit", limit.is_none_or(|it| (1..=200).contains(&it)), "must be between 1 and 200");
}

/// A page of messages, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct HistoryReply {
    /// Newest first.
    pub messages: Vec<Message>,
    /// There are more messages in the requested direction.
    pub has_more: bool,
}

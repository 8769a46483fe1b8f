//! Pages of a chat's messages.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::chats::ChatRef;
use super::messages::Message;
use super::parse::{Check, Envelope, Limits, Problems};
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
    /// 1 to 200, default 50.
    #[serde(default, deserialize_with = "whole_or_none")]
    pub limit: Option<i64>,
}

impl Check for History {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        check_page(self.before, self.after, self.around, self.limit, problems);
    }
}

/// Checks that there is at most one anchor, and a limit of 1 to 200.
pub fn check_page(
    before: Option<i64>,
    after: Option<i64>,
    around: Option<i64>,
    limit: Option<i64>,
    problems: &mut Problems,
) {
    let anchors = [before, after, around].iter().flatten().count();
    problems.check("before", anchors <= 1, "give one of before, after and around");
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

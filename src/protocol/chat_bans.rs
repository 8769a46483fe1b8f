//! Bans of users from a group.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::chats::ChatRef;
use super::parse::{Check, Envelope, Limits, Problems};
use super::users::{Author, UserRef};
use crate::clock::Timestamp;
use crate::ids::{UserId, whole_or_none};

/// `ban_member`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct BanMember {
    /// The group.
    #[schema(value_type = ChatRef)]
    pub chat: Envelope<ChatRef>,
    /// The user, a member or not.
    #[schema(value_type = UserRef)]
    pub user: Envelope<UserRef>,
    /// The reason, up to 500 characters; for the owner and admins.
    #[serde(default)]
    pub reason: Option<String>,
    /// Duration, seconds: 60 to 31536000. Without it, the ban has no end.
    #[serde(default, deserialize_with = "whole_or_none")]
    pub seconds: Option<i64>,
}

impl Check for BanMember {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        problems.check_length("reason", self.reason.as_deref(), 0, 500);
        let fits = self.seconds.is_none_or(|it| (60..=31_536_000).contains(&it));
        problems.check("seconds", fits, "must be between 60 and 31536000");
    }
}

/// `unban_member`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct UnbanMember {
    /// The group.
    #[schema(value_type = ChatRef)]
    pub chat: Envelope<ChatRef>,
    /// The user.
    #[schema(value_type = UserRef)]
    pub user: Envelope<UserRef>,
}

impl Check for UnbanMember {
    fn check(&self, _: &Limits, _: &mut Problems) {}
}

/// A user who is banned from a group.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChatBan {
    /// The user.
    pub user: Author,
    /// Who banned them.
    pub banned_by: UserId,
    /// The reason.
    pub reason: Option<String>,
    /// When the ban ends; `null` if it has no end.
    pub until: Option<Timestamp>,
    /// When it began.
    pub created_at: Timestamp,
}

/// The reply to `ban_member`.
#[derive(Debug, Serialize, ToSchema)]
pub struct BanReply {
    /// The ban.
    pub ban: ChatBan,
}

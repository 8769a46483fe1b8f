//! Invite links of groups, and requests to join by one that needs approval.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::chats::{Chat, ChatRef};
use super::parse::{Check, Envelope, Limits, Problems};
use super::users::{Author, UserRef};
use crate::clock::Timestamp;
use crate::ids::{ChatId, UserId, whole_or_none};

/// `POST /chat/{id}/invite`.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct NewInvite {
    /// How long it may be used, seconds: 60 to 31536000. Without it, until it is revoked.
    #[serde(default, deserialize_with = "whole_or_none")]
    pub expires_in_secs: Option<i64>,
    /// How many users may join with it, 1 to 10000. Without it, any number.
    #[serde(default, deserialize_with = "whole_or_none")]
    pub max_uses: Option<i64>,
    /// Whether the owner or an admin has to approve each user.
    #[serde(default)]
    pub approval: bool,
}

impl Check for NewInvite {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        let fits = self.expires_in_secs.is_none_or(|it| (60..=31_536_000).contains(&it));
        problems.check("expires_in_secs", fits, "must be between 60 and 31536000");
        let fits = self.max_uses.is_none_or(|it| (1..=10_000).contains(&it));
        problems.check("max_uses", fits, "must be between 1 and 10000");
    }
}

/// An invite link, as the group's owner and admins see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Invite {
    /// Never reused.
    pub id: i64,
    /// The group.
    pub chat_id: ChatId,
    /// The secret part of the link.
    pub token: String,
    /// The link.
    pub url: String,
    /// Who created it.
    pub created_by: UserId,
    /// Whether the owner or an admin has to approve each user.
    pub approval: bool,
    /// How many users may join with it; `null` for any number.
    pub max_uses: Option<i32>,
    /// How many users have joined with it.
    pub uses: i32,
    /// Until when it may be used; `null` if it does not expire.
    pub expires_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// What an invite link shows before one joins.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InvitePreview {
    /// The group.
    pub chat_id: ChatId,
    /// Its name.
    pub name: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// Name for `/static/{photo}/…`.
    pub photo: Option<String>,
    /// Number of members.
    pub member_count: i32,
    /// Whether the owner or an admin has to approve.
    pub approval: bool,
    /// Whether the user is a member already.
    pub is_member: bool,
    /// Whether the user has asked to join already.
    pub is_requested: bool,
}

/// `accept_invite`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct AcceptInvite {
    /// The invite.
    #[schema(value_type = InviteRef)]
    pub invite: Envelope<InviteRef>,
}

/// Names an invite link by its token.
#[derive(Debug, Deserialize, ToSchema)]
pub struct InviteRef {
    /// The secret part of the link.
    pub token: String,
}

impl Check for AcceptInvite {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        problems.check_length("invite.token", Some(&self.invite.0.token), 1, 100);
    }
}

/// The reply to `accept_invite`.
#[derive(Debug, Serialize, ToSchema)]
pub struct AcceptReply {
    /// The group; `null` while the request waits for approval.
    pub chat: Option<Chat>,
    /// Whether the request waits for approval.
    pub requested: bool,
}

/// `approve_join`: lets a user join who has asked for it.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ApproveJoin {
    /// The group.
    #[schema(value_type = ChatRef)]
    pub chat: Envelope<ChatRef>,
    /// The user.
    #[schema(value_type = UserRef)]
    pub user: Envelope<UserRef>,
}

impl Check for ApproveJoin {
    fn check(&self, _: &Limits, _: &mut Problems) {}
}

/// `decline_join`: removes a request to join.
#[derive(Debug, Deserialize, ToSchema)]
pub struct DeclineJoin {
    /// The group.
    #[schema(value_type = ChatRef)]
    pub chat: Envelope<ChatRef>,
    /// The user.
    #[schema(value_type = UserRef)]
    pub user: Envelope<UserRef>,
}

impl Check for DeclineJoin {
    fn check(&self, _: &Limits, _: &mut Problems) {}
}

/// A user who asks to join.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JoinRequest {
    /// The user.
    pub user: Author,
    /// When they asked.
    pub created_at: Timestamp,
}

/// `join_requested`: sent to the group's owner and admins.
#[derive(Debug, Serialize, ToSchema)]
pub struct JoinRequested {
    /// The group.
    pub chat: ChatId,
    /// Who asks to join.
    pub user: Author,
    /// When they asked.
    pub at: Timestamp,
}

/// `join_declined`: sent to the user who asked, and to the group's owner and admins.
#[derive(Debug, Serialize, ToSchema)]
pub struct JoinDeclined {
    /// The group.
    pub chat: ChatId,
    /// Who asked to join.
    pub user_id: UserId,
    /// When it was declined.
    pub at: Timestamp,
}

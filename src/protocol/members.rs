//! Members of a group: adding and removing them, their roles, leaving.

pub use entity::enums::ChatRole;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::change::Change;
use super::chats::ChatRef;
use super::parse::{Check, Envelope, Limits, Problems};
use super::users::{Author, UserRef};
use crate::clock::Timestamp;

/// `add_member`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct AddMember {
    /// The chat.
    #[schema(value_type = ChatRef)]
    pub chat: Envelope<ChatRef>,
    /// The user.
    #[schema(value_type = UserRef)]
    pub user: Envelope<UserRef>,
    /// `member` (default), or `admin` if the caller is the owner.
    #[serde(default)]
    pub role: Option<ChatRole>,
}

impl Check for AddMember {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        problems.check("role", self.role != Some(ChatRole::Owner), "must be one of member, admin");
    }
}

/// `remove_member`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct RemoveMember {
    /// The chat.
    #[schema(value_type = ChatRef)]
    pub chat: Envelope<ChatRef>,
    /// The user.
    #[schema(value_type = UserRef)]
    pub user: Envelope<UserRef>,
}

impl Check for RemoveMember {
    fn check(&self, _: &Limits, _: &mut Problems) {}
}

/// A reply with a member.
#[derive(Debug, Serialize, ToSchema)]
pub struct MemberReply {
    /// The member; after a removal, the last state.
    pub member: Member,
}

/// `leave_chat`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct LeaveChat {
    /// The chat.
    #[schema(value_type = ChatRef)]
    pub chat: Envelope<ChatRef>,
}

impl Check for LeaveChat {
    fn check(&self, _: &Limits, _: &mut Problems) {}
}

/// `set_member_role`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SetMemberRole {
    /// The chat.
    #[schema(value_type = ChatRef)]
    pub chat: Envelope<ChatRef>,
    /// The user.
    #[schema(value_type = UserRef)]
    pub user: Envelope<UserRef>,
    /// `member`, `admin`, or `owner`: the caller then becomes an admin.
    pub role: ChatRole,
}

impl Check for SetMemberRole {
    fn check(&self, _: &Limits, _: &mut Problems) {}
}

/// `member_added`, `member_removed`, `member_role_changed`.
#[derive(Debug, Serialize, ToSchema)]
pub struct MemberChange {
    /// Which change it is.
    #[serde(flatten)]
    pub change: Change,
    /// The member concerned.
    pub member: Member,
    /// Number of members after the change.
    pub member_count: i32,
}

/// A member of a chat.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Member {
    /// The user.
    pub user: Author,
    /// The role; both users of a direct chat are a `member`.
    pub role: ChatRole,
    /// When the user last joined.
    pub joined_at: Timestamp,
    /// The user has read up to this `seq`.
    pub last_read_seq: i64,
}

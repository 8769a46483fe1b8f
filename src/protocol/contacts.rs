//! Following and blocking, and approving the direct chats of strangers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::chats::ChatRef;
use super::parse::{Check, Envelope, Limits, Problems};
use super::users::UserRef;
use crate::clock::Timestamp;
use crate::ids::UserId;

/// `follow`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Follow {
    /// Whom.
    #[schema(value_type = UserRef)]
    pub user: Envelope<UserRef>,
}

/// `unfollow`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Unfollow {
    /// Whom.
    #[schema(value_type = UserRef)]
    pub user: Envelope<UserRef>,
}

/// `block`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Block {
    /// Whom.
    #[schema(value_type = UserRef)]
    pub user: Envelope<UserRef>,
}

/// `unblock`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Unblock {
    /// Whom.
    #[schema(value_type = UserRef)]
    pub user: Envelope<UserRef>,
}

/// `approve_chat`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ApproveChat {
    /// Which.
    #[schema(value_type = ChatRef)]
    pub chat: Envelope<ChatRef>,
}

/// `decline_chat`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct DeclineChat {
    /// Which.
    #[schema(value_type = ChatRef)]
    pub chat: Envelope<ChatRef>,
}

macro_rules! nothing_to_check {
    ($($command:ident),*) => {
        $(impl Check for $command {
            fn check(&self, _: &Limits, _: &mut Problems) {}
        })*
    };
}
nothing_to_check!(Follow, Unfollow, Block, Unblock, ApproveChat, DeclineChat);

/// Answer that carries a contact.
#[derive(Debug, Serialize, ToSchema)]
pub struct ContactReply {
    /// What the other is to one now.
    pub contact: Contact,
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

/// What somebody is to one, as one has decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Contact {
    /// Who.
    pub user_id: UserId,
    /// One follows them.
    pub following: bool,
    /// One blocks them.
    pub blocked: bool,
}

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
    /// The user.
    #[schema(value_type = UserRef)]
    pub user: Envelope<UserRef>,
}

/// `unfollow`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Unfollow {
    /// The user.
    #[schema(value_type = UserRef)]
    pub user: Envelope<UserRef>,
}

/// `block`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Block {
    /// The user.
    #[schema(value_type = UserRef)]
    pub user: Envelope<UserRef>,
}

/// `unblock`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Unblock {
    /// The user.
    #[schema(value_type = UserRef)]
    pub user: Envelope<UserRef>,
}

/// `approve_chat`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ApproveChat {
    /// The chat.
    #[schema(value_type = ChatRef)]
    pub chat: Envelope<ChatRef>,
}

/// `decline_chat`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct DeclineChat {
    /// The chat.
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

/// A reply with a contact.
#[derive(Debug, Serialize, ToSchema)]
pub struct ContactReply {
    /// The relation after the command.
    pub contact: Contact,
}

/// `followed`, `unfollowed`, `blocked`, `unblocked`: sent to the user's devices; `followed` also to the user who is followed.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct ContactChanged {
    /// The other user.
    pub user_id: UserId,
    /// The user who follows, blocks and so on.
    pub by: UserId,
    /// When it happened.
    pub at: Timestamp,
    /// The value of the user's own counter; only on the user's own devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_rev: Option<i64>,
}

/// The user's relation to another user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Contact {
    /// The other user.
    pub user_id: UserId,
    /// The user follows them.
    pub following: bool,
    /// The user blocks them.
    pub blocked: bool,
}

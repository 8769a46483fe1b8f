//! Commands between two people: following, blocking, and letting a stranger's direct chat in or not.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::chats::{ChatRef, UserRef};
use crate::protocol::objects::Contact;
use crate::protocol::parse::{Check, Envelope, Limits, Problems};

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

//! Commands between two people: following, blocking, and letting a stranger's direct chat in or not.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::chats::{ChatRef, UserRef};
use crate::protocol::objects::Contact;
use crate::protocol::parse::{Check, Limits, Object, Problems};

/// `follow`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Follow {
    /// Whom.
    pub user: Object<UserRef>,
}

/// `unfollow`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Unfollow {
    /// Whom.
    pub user: Object<UserRef>,
}

/// `block`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Block {
    /// Whom.
    pub user: Object<UserRef>,
}

/// `unblock`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Unblock {
    /// Whom.
    pub user: Object<UserRef>,
}

/// `approve_chat`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ApproveChat {
    /// Which.
    pub chat: Object<ChatRef>,
}

/// `decline_chat`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct DeclineChat {
    /// Which.
    pub chat: Object<ChatRef>,
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

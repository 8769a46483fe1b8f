//! Who is online and who is typing.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::chats::ChatRef;
use super::parse::{Check, Envelope, Limits, Problems};
use crate::clock::Timestamp;
use crate::ids::{ChatId, UserId};

/// Most users that a connection may watch.
pub const MAX_WATCHED: usize = 500;

/// `watch_presence`: replaces what the connection watched before.
#[derive(Debug, Deserialize, ToSchema)]
pub struct WatchPresence {
    /// Ids of users who share a chat with the user; others are ignored.
    pub users: Vec<UserId>,
}

impl Check for WatchPresence {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        problems.check("users", self.users.len() <= MAX_WATCHED, "must have at most 500 users");
    }
}

/// The reply to `watch_presence`.
#[derive(Debug, Serialize, ToSchema)]
pub struct PresenceReply {
    /// The current presence of the watched users.
    pub presence: Vec<PresenceChanged>,
}

/// `typing`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Typing {
    /// The chat.
    #[schema(value_type = ChatRef)]
    pub chat: Envelope<ChatRef>,
    /// True while typing; ends by itself after 6 seconds.
    pub is_typing: bool,
}

impl Check for Typing {
    fn check(&self, _: &Limits, _: &mut Problems) {}
}

/// `typing`.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct TypingChanged {
    /// The chat.
    pub chat: ChatId,
    /// The user.
    pub user_id: UserId,
    /// False when the user has stopped.
    pub is_typing: bool,
}

/// `presence`.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct PresenceChanged {
    /// The user.
    pub user_id: UserId,
    /// Whether any device is connected.
    pub online: bool,
    /// When the last device disconnected.
    pub last_seen_at: Option<Timestamp>,
}

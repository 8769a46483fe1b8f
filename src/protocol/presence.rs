//! Who is online and who is typing.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::chats::ChatRef;
use super::parse::{Check, Envelope, Limits, Problems};
use crate::clock::Timestamp;
use crate::ids::{ChatId, UserId};

/// People one connection may watch.
pub const MAX_WATCHED: usize = 500;

/// `watch_presence`: takes the place of what the connection watched before.
#[derive(Debug, Deserialize, ToSchema)]
pub struct WatchPresence {
    /// People who share a chat with one; others are passed over.
    pub users: Vec<UserId>,
}

impl Check for WatchPresence {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        problems.check("users", self.users.len() <= MAX_WATCHED, "takes at most 500 users");
    }
}

/// Answer to `watch_presence`.
#[derive(Debug, Serialize, ToSchema)]
pub struct PresenceReply {
    /// As it is now, of those that are watched.
    pub presence: Vec<PresenceChanged>,
}

/// `typing`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Typing {
    /// Where.
    #[schema(value_type = ChatRef)]
    pub chat: Envelope<ChatRef>,
    /// Ends by itself after 6 seconds.
    pub is_typing: bool,
}

impl Check for Typing {
    fn check(&self, _: &Limits, _: &mut Problems) {}
}

/// `typing`.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct TypingChanged {
    /// Where.
    pub chat: ChatId,
    /// Who.
    pub user_id: UserId,
    /// Or no longer.
    pub is_typing: bool,
}

/// `presence`.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct PresenceChanged {
    /// Who.
    pub user_id: UserId,
    /// Any device is connected.
    pub online: bool,
    /// When the last one went.
    pub last_seen_at: Option<Timestamp>,
}

//! Watching who is online.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::UserId;
use crate::protocol::events::PresenceChanged;
use crate::protocol::parse::{Check, Limits, Problems};

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

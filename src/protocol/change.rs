//! What all changes in chats share.

use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::Timestamp;
use crate::ids::{ChatId, UserId};

/// A reply that adds nothing to `ok`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Done {}

/// The fields that all events about changes in a chat share.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Change {
    /// The chat.
    pub chat: ChatId,
    /// The chat's counter after the change.
    pub rev: i64,
    /// The chat's counter before the change. If it is above what the client has, the client has missed something.
    pub prev: i64,
    /// The user who made the change.
    pub by: UserId,
    /// When it happened.
    pub at: Timestamp,
}

impl Change {
    /// Creates a change at this position, by this user, at this time (milliseconds).
    pub fn new(chat: ChatId, rev: i64, prev: i64, by: UserId, at: i64) -> Self {
        Self { chat, rev, prev, by, at: Timestamp(at) }
    }
}

//! What all changes in chats have in common.

use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::Timestamp;
use crate::ids::{ChatId, UserId};

/// An answer that adds nothing.
#[derive(Debug, Serialize, ToSchema)]
pub struct Done {}

/// What every event of a change in a chat says.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Change {
    /// Where.
    pub chat: ChatId,
    /// The counter's value that the change took.
    pub rev: i64,
    /// The counter's value before it: there is a hole where this is above what one knows.
    pub prev: i64,
    /// Who did it.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
}

impl Change {
    /// Takes a place's three numbers, who, and when (milliseconds).
    pub fn new(chat: ChatId, rev: i64, prev: i64, by: UserId, at: i64) -> Self {
        Self { chat, rev, prev, by, at: Timestamp(at) }
    }
}

//! What a user sets for a chat in their own list: pinned, muted, archived.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::parse::{Check, Envelope, Limits, Problems};
use crate::clock::Timestamp;
use crate::ids::{ChatId, whole_or_none};

/// `toggle_chat_pin`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ToggleChatPin {
    /// The chat, and the new state.
    #[schema(value_type = PinnedChat)]
    pub chat: Envelope<PinnedChat>,
}

/// A chat, and whether to pin it.
#[derive(Debug, Deserialize, ToSchema)]
pub struct PinnedChat {
    /// The chat's id.
    pub id: ChatId,
    /// Without it, the state is switched.
    #[serde(default)]
    pub pinned: Option<bool>,
}

impl Check for ToggleChatPin {
    fn check(&self, _: &Limits, _: &mut Problems) {}
}

/// The reply to `toggle_chat_pin`.
#[derive(Debug, Serialize, ToSchema)]
pub struct PinReply {
    /// The state after the command.
    pub pinned: bool,
}

/// `toggle_chat_mute`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ToggleChatMute {
    /// The chat, and the new state.
    #[schema(value_type = MutedChat)]
    pub chat: Envelope<MutedChat>,
}

/// A chat, and whether to mute it.
#[derive(Debug, Deserialize, ToSchema)]
pub struct MutedChat {
    /// The chat's id.
    pub id: ChatId,
    /// Without it, the state is switched.
    #[serde(default)]
    pub muted: Option<bool>,
    /// Duration, seconds; without it the chat stays muted until it is unmuted.
    #[serde(default, deserialize_with = "whole_or_none")]
    pub seconds: Option<i64>,
}

impl Check for ToggleChatMute {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        let fits = self.chat.0.seconds.is_none_or(|it| (1..=31_536_000).contains(&it));
        problems.check("chat.seconds", fits, "must be between 1 and 31536000");
    }
}

/// The reply to `toggle_chat_mute`.
#[derive(Debug, Serialize, ToSchema)]
pub struct MuteReply {
    /// The state after the command.
    pub muted: bool,
    /// Until when it is muted.
    pub muted_until: Option<Timestamp>,
}

/// `toggle_chat_archive`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ToggleChatArchive {
    /// The chat, and the new state.
    #[schema(value_type = ArchivedChat)]
    pub chat: Envelope<ArchivedChat>,
}

/// A chat, and whether to archive it.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ArchivedChat {
    /// The chat's id.
    pub id: ChatId,
    /// Without it, the state is switched.
    #[serde(default)]
    pub archived: Option<bool>,
}

impl Check for ToggleChatArchive {
    fn check(&self, _: &Limits, _: &mut Problems) {}
}

/// The reply to `toggle_chat_archive`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ArchiveReply {
    /// The state after the command.
    pub archived: bool,
}

/// `chat_muted`, `chat_unmuted`: sent to the user's own devices.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnChatMuted {
    /// Which chat, and the user's own counter.
    #[serde(flatten)]
    pub change: OwnChatChange,
    /// Until when it is muted; `null` if it is not.
    pub muted_until: Option<Timestamp>,
}

/// `chat_pinned`, `chat_unpinned`, `chat_archived`, `chat_unarchived`: sent to the user's own devices.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnChatChange {
    /// The chat.
    pub chat: ChatId,
    /// The value of the user's own counter.
    pub user_rev: i64,
    /// When it happened.
    pub at: Timestamp,
}

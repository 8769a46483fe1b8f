//! What a user sets for a chat in their own list: pinned, muted, archived.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::parse::{Check, Envelope, Limits, Problems};
use crate::clock::Timestamp;
use crate::ids::{ChatId, whole_or_none};

/// `toggle_chat_pin`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ToggleChatPin {
    /// Which, and how.
    #[schema(value_type = PinnedChat)]
    pub chat: Envelope<PinnedChat>,
}

/// A chat and whether it is to be pinned.
#[derive(Debug, Deserialize, ToSchema)]
pub struct PinnedChat {
    /// Which.
    pub id: ChatId,
    /// Left out: the other way round from now.
    #[serde(default)]
    pub pinned: Option<bool>,
}

impl Check for ToggleChatPin {
    fn check(&self, _: &Limits, _: &mut Problems) {}
}

/// Answer to `toggle_chat_pin`.
#[derive(Debug, Serialize, ToSchema)]
pub struct PinReply {
    /// As it is now.
    pub pinned: bool,
}

/// `toggle_chat_mute`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ToggleChatMute {
    /// Which, and how.
    #[schema(value_type = MutedChat)]
    pub chat: Envelope<MutedChat>,
}

/// A chat and whether it is to be muted.
#[derive(Debug, Deserialize, ToSchema)]
pub struct MutedChat {
    /// Which.
    pub id: ChatId,
    /// Left out: the other way round from now.
    #[serde(default)]
    pub muted: Option<bool>,
    /// For how long, seconds; left out: until it is taken back.
    #[serde(default, deserialize_with = "whole_or_none")]
    pub seconds: Option<i64>,
}

impl Check for ToggleChatMute {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        let fits = self.chat.0.seconds.is_none_or(|it| (1..=31_536_000).contains(&it));
        problems.check("chat.seconds", fits, "takes 1 to 31536000");
    }
}

/// Answer to `toggle_chat_mute`.
#[derive(Debug, Serialize, ToSchema)]
pub struct MuteReply {
    /// As it is now.
    pub muted: bool,
    /// Until when.
    pub muted_until: Option<Timestamp>,
}

/// `toggle_chat_archive`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ToggleChatArchive {
    /// Which, and how.
    #[schema(value_type = ArchivedChat)]
    pub chat: Envelope<ArchivedChat>,
}

/// A chat and whether it is to be put away.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ArchivedChat {
    /// Which.
    pub id: ChatId,
    /// Left out: the other way round from now.
    #[serde(default)]
    pub archived: Option<bool>,
}

impl Check for ToggleChatArchive {
    fn check(&self, _: &Limits, _: &mut Problems) {}
}

/// Answer to `toggle_chat_archive`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ArchiveReply {
    /// As it is now.
    pub archived: bool,
}

/// `chat_muted`, `chat_unmuted`: goes to one's own devices.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnChatMuted {
    /// Where, and one's own counter.
    #[serde(flatten)]
    pub change: OwnChatChange,
    /// No notice before; none where it is not muted.
    pub muted_until: Option<Timestamp>,
}

/// `chat_pinned`, `chat_unpinned` and the like: goes to one's own devices.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnChatChange {
    /// Where.
    pub chat: ChatId,
    /// One's own counter.
    pub user_rev: i64,
    /// When.
    pub at: Timestamp,
}

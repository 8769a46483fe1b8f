//! Commands on a chat as a whole: changing, deleting and leaving it, roles, and what is one's own in it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::chats::{ChatRef, UserRef};
use crate::clock::Timestamp;
use crate::ids::{ChatId, MessageId, whole_or_none};
use crate::protocol::parse::{Check, Envelope, Limits, Problems, given};

/// `update_chat`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct UpdateChat {
    /// Which, and how.
    #[schema(value_type = ChatPatch)]
    pub chat: Envelope<ChatPatch>,
}

/// A field that is left out stays; `null` clears it.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ChatPatch {
    /// Which.
    pub id: ChatId,
    /// 1 to 100 characters; a group always has one.
    #[serde(default)]
    pub name: Option<String>,
    /// Up to 1,000 characters.
    #[serde(default, deserialize_with = "given")]
    pub description: Option<Option<String>>,
    /// Base64 of a JPEG, PNG, WebP or GIF, bare or as a data URL.
    #[serde(default, deserialize_with = "given")]
    pub photo: Option<Option<String>>,
}

impl Check for UpdateChat {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        let Envelope(chat) = &self.chat;
        problems.check_name("chat.name", chat.name.as_deref(), 1);
        let description = chat.description.as_ref().and_then(Option::as_deref);
        problems.check_length("chat.description", description, 0, 1_000);
    }
}

/// `delete_chat`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct DeleteChat {
    /// Which.
    #[schema(value_type = ChatRef)]
    pub chat: Envelope<ChatRef>,
}

impl Check for DeleteChat {
    fn check(&self, _: &Limits, _: &mut Problems) {}
}

/// `leave_chat`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct LeaveChat {
    /// Which.
    #[schema(value_type = ChatRef)]
    pub chat: Envelope<ChatRef>,
}

impl Check for LeaveChat {
    fn check(&self, _: &Limits, _: &mut Problems) {}
}

/// An answer that adds nothing.
#[derive(Debug, Serialize, ToSchema)]
pub struct Done {}

/// `set_member_role`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SetMemberRole {
    /// Where.
    #[schema(value_type = ChatRef)]
    pub chat: Envelope<ChatRef>,
    /// Who.
    #[schema(value_type = UserRef)]
    pub user: Envelope<UserRef>,
    /// `member`, `admin`, or `owner`: the caller then becomes an admin.
    pub role: String,
}

impl Check for SetMemberRole {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        let fine = matches!(self.role.as_str(), "member" | "admin" | "owner");
        problems.check("role", fine, "takes member, admin or owner");
    }
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

/// `mark_read`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct MarkRead {
    /// Where.
    #[schema(value_type = ChatRef)]
    pub chat: Envelope<ChatRef>,
    /// Read up to this message.
    #[serde(default)]
    pub last_read_message_id: Option<MessageId>,
    /// Or up to this `seq`. With neither: everything.
    #[serde(default, deserialize_with = "whole_or_none")]
    pub seq: Option<i64>,
}

impl Check for MarkRead {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        problems.check("seq", self.seq.is_none_or(|it| it >= 0), "takes 0 or more");
        let both = self.seq.is_some() && self.last_read_message_id.is_some();
        problems.check("seq", !both, "give seq or last_read_message_id, not both");
    }
}

/// Answer to `mark_read`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReadReply {
    /// Messages of others beyond the mark, counted to 1000.
    pub unread: i64,
    /// Where the mark stands now.
    pub seq: i64,
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

//! Commands on chats and their members.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::messages::{check_client_id, check_content, plain_text};
use crate::ids::{ChatId, UserId};
use crate::protocol::message_type::MessageType;
use crate::protocol::objects::{Chat, Member};
use crate::protocol::parse::{Check, Envelope, Limits, Problems};

/// `create_chat`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateChat {
    /// The chat wished for.
    #[schema(value_type = NewChat)]
    pub chat: Envelope<NewChat>,
    /// A first message.
    #[serde(default)]
    #[schema(value_type = Option<FirstMessage>)]
    pub message: Option<Envelope<FirstMessage>>,
}

/// A chat to be.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewChat {
    /// A group needs one; a direct chat has none of its own.
    #[serde(default)]
    pub name: Option<String>,
    /// False: a direct chat of exactly two.
    pub is_group: bool,
    /// User ids; the creator may be among them or not.
    pub members_array: Vec<UserId>,
    /// Groups only.
    #[serde(default)]
    pub description: Option<String>,
    /// Makes a retry answer the chat made first.
    #[serde(default)]
    pub client_id: Option<String>,
}

/// The first message of a new chat.
#[derive(Debug, Deserialize, ToSchema)]
pub struct FirstMessage {
    /// As it is to be stored.
    #[serde(deserialize_with = "plain_text")]
    pub content: String,
    /// Kind of content.
    pub message_type: MessageType,
    /// As in `send_message`.
    #[serde(default)]
    pub client_id: Option<String>,
}

impl Check for CreateChat {
    fn check(&self, limits: &Limits, problems: &mut Problems) {
        let Envelope(chat) = &self.chat;
        if chat.is_group {
            problems.check("chat.name", chat.name.is_some(), "is missing, a group needs one");
            problems.check_name("chat.name", chat.name.as_deref(), 1);
        }
        problems.check_length("chat.description", chat.description.as_deref(), 0, 1_000);
        check_client_id("chat.client_id", chat.client_id.as_deref(), problems);
        problems.check(
            "chat.members_array",
            chat.members_array.len() <= limits.max_group_members,
            &format!("takes at most {} members", limits.max_group_members),
        );
        if let Some(Envelope(message)) = &self.message {
            check_content(&message.content, Some(message.message_type), limits, problems);
            check_client_id("message.client_id", message.client_id.as_deref(), problems);
        }
    }
}

/// Answer that carries a chat.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChatReply {
    /// The chat.
    pub chat: Chat,
}

/// A chat by its id.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ChatRef {
    /// Which.
    pub id: ChatId,
}

/// A user by their id.
#[derive(Debug, Deserialize, ToSchema)]
pub struct UserRef {
    /// Who.
    pub id: UserId,
}

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

/// `add_member`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct AddMember {
    /// Where.
    #[schema(value_type = ChatRef)]
    pub chat: Envelope<ChatRef>,
    /// Who.
    #[schema(value_type = UserRef)]
    pub user: Envelope<UserRef>,
    /// `member` (default), or `admin` if the caller is the owner.
    #[serde(default)]
    pub role: Option<String>,
}

impl Check for AddMember {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        let fine = self.role.as_deref().is_none_or(|role| matches!(role, "member" | "admin"));
        problems.check("role", fine, "takes member or admin");
    }
}

/// `remove_member`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct RemoveMember {
    /// Where.
    #[schema(value_type = ChatRef)]
    pub chat: Envelope<ChatRef>,
    /// Who.
    #[schema(value_type = UserRef)]
    pub user: Envelope<UserRef>,
}

impl Check for RemoveMember {
    fn check(&self, _: &Limits, _: &mut Problems) {}
}

/// Answer that carries a member.
#[derive(Debug, Serialize, ToSchema)]
pub struct MemberReply {
    /// The member, as they are or were.
    pub member: Member,
}

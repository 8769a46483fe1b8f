//! Chats: creating, changing and deleting them, and how they are shown.

use super::members::ChatRole;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::change::Change;
use super::drafts::SavedDraft;
use super::members::Member;
use super::message_type::MessageType;
use super::messages::{Message, check_client_id, check_content, plain_text};
use super::parse::{Check, Envelope, Limits, Problems, given};
use crate::clock::Timestamp;
use crate::ids::{ChatId, UserId, whole_or_none};

/// `create_chat`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateChat {
    /// The chat to create.
    #[schema(value_type = NewChat)]
    pub chat: Envelope<NewChat>,
    /// Its first message.
    #[serde(default)]
    #[schema(value_type = Option<FirstMessage>)]
    pub message: Option<Envelope<FirstMessage>>,
}

/// A chat to create.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewChat {
    /// Required for a group, 1 to 100 characters; ignored for a direct chat.
    #[serde(default)]
    pub name: Option<String>,
    /// False for a direct chat, which has exactly two members.
    pub is_group: bool,
    /// User ids, with or without the creator's.
    pub members_array: Vec<UserId>,
    /// Only groups have one.
    #[serde(default)]
    pub description: Option<String>,
    /// Makes a retry return the group that was created first; 1 to 64 characters.
    #[serde(default)]
    pub client_id: Option<String>,
}

/// The first message of a new chat.
#[derive(Debug, Deserialize, ToSchema)]
pub struct FirstMessage {
    /// The text to store.
    #[serde(deserialize_with = "plain_text")]
    pub content: String,
    /// Type of the content.
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
            &format!("must have at most {} members", limits.max_group_members),
        );
        if let Some(Envelope(message)) = &self.message {
            check_content(&message.content, Some(message.message_type), limits, problems);
            check_client_id("message.client_id", message.client_id.as_deref(), problems);
        }
    }
}

/// A reply with a chat.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChatReply {
    /// The chat.
    pub chat: Chat,
}

/// Names a chat by its id.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ChatRef {
    /// The chat's id.
    pub id: ChatId,
}

/// `update_chat`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct UpdateChat {
    /// The chat, and what to change.
    #[schema(value_type = ChatPatch)]
    pub chat: Envelope<ChatPatch>,
}

/// Fields that are left out stay; `null` clears a field.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ChatPatch {
    /// The chat's id.
    pub id: ChatId,
    /// 1 to 100 characters; cannot be cleared.
    #[serde(default)]
    pub name: Option<String>,
    /// Up to 1,000 characters.
    #[serde(default, deserialize_with = "given")]
    pub description: Option<Option<String>>,
    /// Base64 of a JPEG, PNG, WebP or GIF, bare or as a data URL.
    #[serde(default, deserialize_with = "given")]
    pub photo: Option<Option<String>>,
    /// Seconds that a member has to wait between two messages, 0 to 3600; 0 for none.
    #[serde(default, deserialize_with = "whole_or_none")]
    pub slow_mode_secs: Option<i64>,
}

impl Check for UpdateChat {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        let Envelope(chat) = &self.chat;
        problems.check_name("chat.name", chat.name.as_deref(), 1);
        let description = chat.description.as_ref().and_then(Option::as_deref);
        problems.check_length("chat.description", description, 0, 1_000);
        let fits = chat.slow_mode_secs.is_none_or(|it| (0..=3_600).contains(&it));
        problems.check("chat.slow_mode_secs", fits, "must be between 0 and 3600");
    }
}

/// `delete_chat`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct DeleteChat {
    /// The chat's id.
    #[schema(value_type = ChatRef)]
    pub chat: Envelope<ChatRef>,
}

impl Check for DeleteChat {
    fn check(&self, _: &Limits, _: &mut Problems) {}
}

/// `chat_created`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChatCreated {
    /// Which change it is.
    #[serde(flatten)]
    pub change: Change,
    /// The chat, without `my`.
    pub details: Chat,
}

/// `chat_updated`, `chat_approved`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChatChanged {
    /// Which change it is.
    #[serde(flatten)]
    pub change: Change,
    /// The chat, without `my`.
    pub details: Chat,
}

/// `chat_deleted`, `chat_declined`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChatDeleted {
    /// Which change it is.
    #[serde(flatten)]
    pub change: Change,
}

/// The user's own state in a chat.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MyChat {
    /// The user's role.
    pub role: ChatRole,
    /// Pinned in the user's own list.
    pub pinned: bool,
    /// Muted until then; `null` if it is not muted.
    pub muted_until: Option<Timestamp>,
    /// Archived in the user's own list.
    pub archived: bool,
    /// Unread messages of others; counted up to 1000.
    pub unread: i64,
    /// Unread messages of others that mention the user; counted up to 1000.
    pub mentions: i64,
    /// The user has read up to this `seq`.
    pub last_read_seq: i64,
    /// What the user has begun to write.
    pub draft: Option<SavedDraft>,
}

/// A conversation.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Chat {
    /// Unique; never reused.
    pub id: ChatId,
    /// Only groups have one.
    pub name: Option<String>,
    /// False for a direct chat.
    pub is_group: bool,
    /// Only groups have one.
    pub description: Option<String>,
    /// Name for `/static/{photo}/…`.
    pub photo: Option<String>,
    /// The owner of a group, the creator of a direct chat, the first member of the lobby.
    pub owner_id: UserId,
    /// False while a direct chat waits for its recipient's approval.
    pub approved: bool,
    /// False while a direct chat has no message; then only its creator sees it in lists.
    pub visible: bool,
    /// Seconds that a member of a group has to wait between two messages; 0 for none.
    pub slow_mode_secs: i32,
    /// When it was created.
    pub created_at: Timestamp,
    /// The chat's counter.
    pub rev: i64,
    /// `seq` of its newest message; 0 if there is none.
    pub last_seq: i64,
    /// Number of members.
    pub member_count: i32,
    /// The first 50 members.
    pub members: Vec<Member>,
    /// Its newest message.
    #[schema(schema_with = nullable_message)]
    pub last_message: Option<Message>,
    /// The user's own state; only in replies to the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub my: Option<MyChat>,
}

fn nullable_message() -> utoipa::openapi::schema::Schema {
    utoipa::openapi::schema::Schema::OneOf(
        utoipa::openapi::OneOfBuilder::new()
            .item(utoipa::openapi::ObjectBuilder::new().schema_type(utoipa::openapi::schema::Type::Null))
            .item(utoipa::openapi::Ref::from_schema_name("Message"))
            .build(),
    )
}

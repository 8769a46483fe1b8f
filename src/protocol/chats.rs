//! Chats: creating, changing and deleting them, and how they are shown.

use super::members::ChatRole;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::change::Change;
use super::members::Member;
use super::message_type::MessageType;
use super::messages::{Message, check_client_id, check_content, plain_text};
use super::parse::{Check, Envelope, Limits, Problems, given};
use crate::clock::Timestamp;
use crate::ids::{ChatId, UserId};

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

/// `chat_created`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChatCreated {
    /// Where, when, by whom.
    #[serde(flatten)]
    pub change: Change,
    /// The chat, without `my`.
    pub details: Chat,
}

/// `chat_updated`, `chat_approved`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChatChanged {
    /// Where, when, by whom.
    #[serde(flatten)]
    pub change: Change,
    /// The chat, without `my`.
    pub details: Chat,
}

/// `chat_deleted`, `chat_declined`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChatDeleted {
    /// Where, when, by whom.
    #[serde(flatten)]
    pub change: Change,
}

/// What is one's own in a chat.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MyChat {
    /// `owner`, `admin` or `member`.
    pub role: ChatRole,
    /// Pinned in one's own list.
    pub pinned: bool,
    /// No notice before.
    pub muted_until: Option<Timestamp>,
    /// Put away.
    pub archived: bool,
    /// Messages of others not yet read, counted to 1000.
    pub unread: i64,
    /// Has read up to this `seq`.
    pub last_read_seq: i64,
}

/// A conversation.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Chat {
    /// Never used again.
    pub id: ChatId,
    /// Groups only.
    pub name: Option<String>,
    /// False for a direct chat of two.
    pub is_group: bool,
    /// Groups only.
    pub description: Option<String>,
    /// Bare name for `/static/{photo}/…`.
    pub photo: Option<String>,
    /// Owner of a group, opener of a direct chat, first member of the lobby.
    pub owner_id: UserId,
    /// Whether the other side lets the opener write on.
    pub approved: bool,
    /// Whether it shows in everybody's list.
    pub visible: bool,
    /// Creation.
    pub created_at: Timestamp,
    /// Counter value of its latest change.
    pub rev: i64,
    /// `seq` of its newest message, 0 without one.
    pub last_seq: i64,
    /// Present members.
    pub member_count: i32,
    /// The first 50 of them.
    pub members: Vec<Member>,
    /// Its newest message.
    #[schema(schema_with = nullable_message)]
    pub last_message: Option<Message>,
    /// What is one's own; only in answers to oneself.
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

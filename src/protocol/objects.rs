//! The objects of the contract's section 2, as clients see them. Every key is always present, unset is
//! `null`; only `my` is left out of what several people are told.

use serde::Serialize;
use utoipa::ToSchema;

use super::message_type::MessageType;
use crate::clock::Timestamp;
use crate::ids::{ChatId, MessageId, SessionId, UserId};

/// A person as others see them.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct User {
    /// Never used again.
    pub id: UserId,
    /// Login name, if chosen.
    pub username: Option<String>,
    /// Display name.
    pub name: Option<String>,
    /// Bare name for `/static/{photo}/…`.
    pub photo: String,
    /// A line about oneself.
    pub description: Option<String>,
    /// `user`, `moderator` or `admin`.
    pub role: String,
    /// Whether any device is connected.
    pub online: bool,
    /// When the last device went.
    pub last_seen_at: Option<Timestamp>,
    /// Registration.
    pub created_at: Timestamp,
    /// The account is gone; its messages stay.
    pub deleted: bool,
}

/// A person as they see themselves.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Me {
    /// What others see too.
    #[serde(flatten)]
    pub user: User,
    /// Digits with an optional leading `+`.
    pub phone: Option<String>,
    /// As typed.
    pub email: Option<String>,
    /// Whether a mailed token came back.
    pub email_verified: bool,
}

/// A person as the author of something.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Author {
    /// Who.
    pub id: UserId,
    /// Login name, if chosen.
    pub username: Option<String>,
    /// Display name.
    pub name: Option<String>,
    /// Bare name for `/static/{photo}/…`.
    pub photo: String,
    /// `user`, `moderator` or `admin`.
    pub role: String,
}

/// One member of a chat.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Member {
    /// Who.
    pub user: Author,
    /// `owner`, `admin` or `member`.
    pub role: String,
    /// Latest joining.
    pub joined_at: Timestamp,
    /// Has read up to this `seq`.
    pub last_read_seq: i64,
}

/// What is one's own in a chat.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MyChat {
    /// `owner`, `admin` or `member`.
    pub role: String,
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

/// One's own marks on a message.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct MyMessage {
    /// One likes it.
    pub liked: bool,
    /// Emoji one reacted with.
    pub reactions: Vec<String>,
}

/// How often an emoji was given.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Reaction {
    /// The emoji.
    pub emoji: String,
    /// By how many.
    pub count: i64,
}

/// A message. A deleted one keeps its place with empty content.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Message {
    /// Never used again.
    pub id: MessageId,
    /// Its chat.
    pub chat_id: ChatId,
    /// Its chat, by Mango's name.
    pub chat: ChatId,
    /// Its place in the chat, for good; rising, not contiguous.
    pub seq: i64,
    /// Counter value of its latest change.
    pub rev: i64,
    /// As it came.
    pub content: String,
    /// Kind of content.
    pub message_type: MessageType,
    /// Who wrote it.
    pub user: Author,
    /// The author's mark of the request.
    pub client_id: Option<String>,
    /// The message it answers.
    pub reply_to: Option<MessageId>,
    /// Ids of attachments.
    pub attachments: Vec<i64>,
    /// Number of likes.
    pub likes: i32,
    /// Reactions by emoji.
    pub reactions: Vec<Reaction>,
    /// Pinned in the chat.
    pub pinned: bool,
    /// Latest edit.
    pub edited_at: Option<Timestamp>,
    /// Deletion.
    pub deleted_at: Option<Timestamp>,
    /// Arrival.
    pub created_at: Timestamp,
    /// One's own marks; only in answers to oneself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub my: Option<MyMessage>,
}

/// One login, as its user sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Session {
    /// For `DELETE /auth/session/{id}`.
    pub id: SessionId,
    /// What the client called itself.
    pub user_agent: Option<String>,
    /// Where the login came from.
    pub address: Option<String>,
    /// Login.
    pub created_at: Timestamp,
    /// Last login or refresh.
    pub last_used_at: Timestamp,
    /// Ends by itself at.
    pub expires_at: Timestamp,
    /// The one that asks.
    pub current: bool,
}

/// What somebody is to one, as one has decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Contact {
    /// Who.
    pub user_id: UserId,
    /// One follows them.
    pub following: bool,
    /// One blocks them.
    pub blocked: bool,
}

/// A kind of content.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MessageTypeInfo {
    /// 1 to 25.
    pub id: i16,
    /// On the wire.
    pub name: String,
    /// Media type.
    pub mime: String,
    /// A person can read it.
    pub text: bool,
}

fn nullable_message() -> utoipa::openapi::schema::Schema {
    utoipa::openapi::schema::Schema::OneOf(
        utoipa::openapi::OneOfBuilder::new()
            .item(utoipa::openapi::ObjectBuilder::new().schema_type(utoipa::openapi::schema::Type::Null))
            .item(utoipa::openapi::Ref::from_schema_name("Message"))
            .build(),
    )
}

//! Messages: sending, editing, deleting and liking them, and how they are shown.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::change::Change;
use super::message_type::MessageType;
use super::parse::{Check, Envelope, Limits, Problems};
use super::users::Author;
use crate::clock::Timestamp;
use crate::ids::{ChatId, MessageId, UserId};

/// A `client_id` takes 1 to 64 characters.
pub fn check_client_id(field: &str, client_id: Option<&str>, problems: &mut Problems) {
    problems.check_length(field, client_id, 1, 64);
}

/// `send_message`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SendMessage {
    /// The message wished for.
    #[schema(value_type = OutgoingMessage)]
    pub message: Envelope<OutgoingMessage>,
}

/// A message to be.
#[derive(Debug, Deserialize, ToSchema)]
pub struct OutgoingMessage {
    /// Where.
    pub chat_id: ChatId,
    /// Stored and sent as it comes.
    #[serde(deserialize_with = "plain_text")]
    pub content: String,
    /// Kind of content.
    pub message_type: MessageType,
    /// 1 to 64 characters, unique per user for ever: makes a retry answer the message sent first.
    #[serde(default)]
    pub client_id: Option<String>,
    /// A message of the same chat.
    #[serde(default)]
    pub reply_to: Option<MessageId>,
    /// Ids of uploaded attachments; not taken by this version.
    #[serde(default)]
    pub attachments: Vec<i64>,
}

/// Text, with a clear word for the binary that stands where text belongs.
pub fn plain_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct Text;
    impl<'de> serde::de::Visitor<'de> for Text {
        type Value = String;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a text")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }

        fn visit_string<E: serde::de::Error>(self, text: String) -> Result<String, E> {
            Ok(text)
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<String, A::Error> {
            use serde::de::Error;
            let first: Option<(String, serde::de::IgnoredAny)> = map.next_entry()?;
            match first {
                Some((key, _)) if key == "_placeholder" => {
                    Err(A::Error::custom("binary content is not taken yet, send text"))
                }
                _ => Err(A::Error::custom("takes a text, got an object")),
            }
        }
    }
    deserializer.deserialize_any(Text)
}

impl Check for SendMessage {
    fn check(&self, limits: &Limits, problems: &mut Problems) {
        let Envelope(message) = &self.message;
        check_content(&message.content, Some(message.message_type), limits, problems);
        check_client_id("message.client_id", message.client_id.as_deref(), problems);
        problems.check(
            "message.attachments",
            message.attachments.is_empty(),
            "attachments are not taken yet",
        );
    }
}

/// What is wrong with a text of white space.
pub const BLANK: &str = "is white space alone";

/// What the content of a message takes; of one that is edited the type is not known here.
pub fn check_content(
    content: &str,
    message_type: Option<MessageType>,
    limits: &Limits,
    problems: &mut Problems,
) {
    problems.check("message.content", !content.is_empty(), "is empty");
    let is_blank = !content.is_empty() && message_type.is_some_and(|kind| kind.is_blank(content));
    problems.check("message.content", !is_blank, BLANK);
    problems.check("message.content", !content.contains('\0'), "takes no NUL characters");
    problems.check("message.content", !is_data_url(content), "data URLs are not taken yet, send text");
    problems.check_size("message.content", content.len(), limits.max_message_bytes);
}

/// `data:…;base64,…`, which stands for a file.
fn is_data_url(content: &str) -> bool {
    content
        .strip_prefix("data:")
        .and_then(|rest| rest.split_once(','))
        .is_some_and(|(head, _)| head.ends_with(";base64") && !head.contains(char::is_whitespace))
}

/// Answer to `send_message`.
#[derive(Debug, Serialize, ToSchema)]
pub struct SendReply {
    /// The message as it is stored.
    pub message: Message,
    /// It had been sent before under this `client_id`.
    pub duplicate: bool,
}

/// `edit_message`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct EditMessage {
    /// Which, and how.
    #[schema(value_type = EditedMessage)]
    pub message: Envelope<EditedMessage>,
}

/// A message and its new content.
#[derive(Debug, Deserialize, ToSchema)]
pub struct EditedMessage {
    /// Which.
    pub id: MessageId,
    /// As it is to be stored.
    #[serde(deserialize_with = "plain_text")]
    pub content: String,
}

impl Check for EditMessage {
    fn check(&self, limits: &Limits, problems: &mut Problems) {
        check_content(&self.message.0.content, None, limits, problems);
    }
}

/// `delete_message`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct DeleteMessage {
    /// Which.
    #[schema(value_type = MessageRef)]
    pub message: Envelope<MessageRef>,
}

/// A message by its id.
#[derive(Debug, Deserialize, ToSchema)]
pub struct MessageRef {
    /// Which.
    pub id: MessageId,
}

impl Check for DeleteMessage {
    fn check(&self, _: &Limits, _: &mut Problems) {}
}

/// Answer that carries a message.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageReply {
    /// As it is now.
    pub message: Message,
}

/// `toggle_like_message`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ToggleLikeMessage {
    /// Which, and how.
    #[schema(value_type = LikedMessage)]
    pub message: Envelope<LikedMessage>,
}

/// A message and whether one is to like it.
#[derive(Debug, Deserialize, ToSchema)]
pub struct LikedMessage {
    /// Which.
    pub id: MessageId,
    /// Left out: the other way round from now.
    #[serde(default)]
    pub liked: Option<bool>,
}

impl Check for ToggleLikeMessage {
    fn check(&self, _: &Limits, _: &mut Problems) {}
}

/// Answer to `toggle_like_message`.
#[derive(Debug, Serialize, ToSchema)]
pub struct LikeReply {
    /// As it is now.
    pub liked: bool,
    /// Number of likes now.
    pub likes: i32,
}

/// `new_message`: a Message's fields at top level, with `rev` and `prev`.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewMessage<'a> {
    /// The message, without `my`.
    #[serde(flatten)]
    pub message: &'a Message,
    /// The counter's value before it.
    pub prev: i64,
    /// Who sent it.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
}

/// `message_edited`, `message_deleted`.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageChanged<'a> {
    /// Where, when, by whom.
    #[serde(flatten)]
    pub change: Change,
    /// As it is now, without `my`.
    pub message: &'a Message,
}

/// `message_liked`.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageLiked {
    /// Where, when, by whom.
    #[serde(flatten)]
    pub change: Change,
    /// Which.
    pub message_id: MessageId,
    /// Whether `by` likes it now.
    pub liked: bool,
    /// Number of likes now.
    pub likes: i32,
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

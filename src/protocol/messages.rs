//! Messages: sending, editing, deleting and liking them, and how they are shown.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::attachments::Attachment;
use super::change::Change;
use super::forwarding::ForwardedFrom;
use super::message_type::MessageType;
use super::parse::{Check, Envelope, Limits, Problems};
use super::reactions::Reaction;
use super::users::Author;
use crate::clock::Timestamp;
use crate::ids::{ChatId, MessageId, UserId};

/// Attachments of one message.
pub const MAX_FILES: usize = 10;

/// Checks that a `client_id` has 1 to 64 characters.
pub fn check_client_id(field: &str, client_id: Option<&str>, problems: &mut Problems) {
    problems.check_length(field, client_id, 1, 64);
}

/// `send_message`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SendMessage {
    /// The message to send.
    #[schema(value_type = OutgoingMessage)]
    pub message: Envelope<OutgoingMessage>,
}

/// A message to send.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct OutgoingMessage {
    /// The chat.
    pub chat_id: ChatId,
    /// Stored and sent unchanged. A `data:` URL in base64, and binary data of Socket.IO, become an attachment. It may be empty
    /// if there are attachments.
    #[serde(deserialize_with = "plain_text")]
    pub content: String,
    /// Type of the content.
    pub message_type: MessageType,
    /// Makes a retry return the message that was sent first; 1 to 64 characters, unique per user, forever.
    #[serde(default)]
    pub client_id: Option<String>,
    /// The message that this one answers; of the same chat.
    #[serde(default)]
    pub reply_to: Option<MessageId>,
    /// Ids of files that the user has uploaded to the chat, at most 10.
    #[serde(default)]
    pub attachments: Vec<i64>,
}

/// Reads a text, and fails with a clear error for binary content.
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
                    Err(A::Error::custom("names binary data that was not sent"))
                }
                _ => Err(A::Error::custom("must be a text, got an object")),
            }
        }
    }
    deserializer.deserialize_any(Text)
}

impl Check for SendMessage {
    fn check(&self, limits: &Limits, problems: &mut Problems) {
        let Envelope(message) = &self.message;
        let attachments = &message.attachments;
        if is_data_url(&message.content) {
            let alone = attachments.is_empty();
            problems.check("message.attachments", alone, "must be empty if the content is a file itself");
        } else if attachments.is_empty() || !message.content.trim().is_empty() {
            check_content(&message.content, Some(message.message_type), limits, problems);
        } else {
            problems.check_size("message.content", message.content.len(), limits.max_message_bytes);
        }
        check_client_id("message.client_id", message.client_id.as_deref(), problems);
        let fits = attachments.len() <= MAX_FILES;
        problems.check("message.attachments", fits, &format!("must have at most {MAX_FILES} ids"));
        let mut distinct = attachments.clone();
        distinct.sort_unstable();
        distinct.dedup();
        problems.check("message.attachments", distinct.len() == attachments.len(), "must not repeat an id");
    }
}

/// The error for a text without visible characters.
pub const BLANK: &str = "must not be only white space";

/// Checks the content of a message; `message_type` is `None` for an edit, because it is not known here.
pub fn check_content(
    content: &str,
    message_type: Option<MessageType>,
    limits: &Limits,
    problems: &mut Problems,
) {
    problems.check("message.content", !content.is_empty(), "is empty");
    let is_blank = !content.is_empty() && message_type.is_some_and(|kind| kind.is_blank(content));
    problems.check("message.content", !is_blank, BLANK);
    problems.check("message.content", !content.contains('\0'), "must not contain NUL characters");
    problems.check("message.content", !is_data_url(content), "must be a text; send a file with send_message");
    problems.check_size("message.content", content.len(), limits.max_message_bytes);
}

/// Returns whether the content is a base64 data URL, which represents a file.
pub fn is_data_url(content: &str) -> bool {
    data_of(content).is_some()
}

/// Returns the base64 text of a data URL.
pub fn data_of(content: &str) -> Option<&str> {
    let (head, data) = content.strip_prefix("data:")?.split_once(',')?;
    (head.ends_with(";base64") && !head.contains(char::is_whitespace)).then_some(data)
}

/// The reply to `send_message`.
#[derive(Debug, Serialize, ToSchema)]
pub struct SendReply {
    /// The stored message.
    pub message: Message,
    /// It was already sent with this `client_id`.
    pub duplicate: bool,
}

/// `edit_message`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct EditMessage {
    /// The message, and what to change.
    #[schema(value_type = EditedMessage)]
    pub message: Envelope<EditedMessage>,
}

/// A message and its new content.
#[derive(Debug, Deserialize, ToSchema)]
pub struct EditedMessage {
    /// The message's id.
    pub id: MessageId,
    /// The new text.
    #[serde(deserialize_with = "plain_text")]
    pub content: String,
}

impl Check for EditMessage {
    fn check(&self, limits: &Limits, problems: &mut Problems) {
        check_content(&self.message.0.content, None, limits, problems);
    }
}

/// An earlier version of a message.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageVersion {
    /// The content before the edit.
    pub content: String,
    /// Type of the content.
    pub message_type: MessageType,
    /// When the edit replaced it.
    pub replaced_at: Timestamp,
}

/// `delete_message`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct DeleteMessage {
    /// The message's id.
    #[schema(value_type = MessageRef)]
    pub message: Envelope<MessageRef>,
}

/// Names a message by its id.
#[derive(Debug, Deserialize, ToSchema)]
pub struct MessageRef {
    /// The message's id.
    pub id: MessageId,
}

impl Check for DeleteMessage {
    fn check(&self, _: &Limits, _: &mut Problems) {}
}

/// A reply with a message.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageReply {
    /// The message after the command.
    pub message: Message,
}

/// `toggle_like_message`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ToggleLikeMessage {
    /// The message, and what to change.
    #[schema(value_type = LikedMessage)]
    pub message: Envelope<LikedMessage>,
}

/// A message, and whether to like it.
#[derive(Debug, Deserialize, ToSchema)]
pub struct LikedMessage {
    /// The message's id.
    pub id: MessageId,
    /// Without it, the state is switched.
    #[serde(default)]
    pub liked: Option<bool>,
}

impl Check for ToggleLikeMessage {
    fn check(&self, _: &Limits, _: &mut Problems) {}
}

/// The reply to `toggle_like_message`.
#[derive(Debug, Serialize, ToSchema)]
pub struct LikeReply {
    /// The message after the command.
    pub liked: bool,
    /// Number of likes after the change.
    pub likes: i32,
}

/// `new_message`: the fields of the message at top level, with `prev`.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewMessage<'a> {
    /// The message, without `my`.
    #[serde(flatten)]
    pub message: &'a Message,
    /// The chat's counter before the change.
    pub prev: i64,
    /// The sender.
    pub by: UserId,
    /// When it happened.
    pub at: Timestamp,
}

/// `message_edited`, `message_deleted`, `message_pinned`, `message_unpinned`.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageChanged<'a> {
    /// Which change it is.
    #[serde(flatten)]
    pub change: Change,
    /// The message after the change, without `my`.
    pub message: &'a Message,
}

/// `message_liked`.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageLiked {
    /// Which change it is.
    #[serde(flatten)]
    pub change: Change,
    /// The message's id.
    pub message_id: MessageId,
    /// Whether `by` likes it.
    pub liked: bool,
    /// Number of likes after the change.
    pub likes: i32,
}

/// The user's own state of a message.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct MyMessage {
    /// The user likes it.
    pub liked: bool,
    /// Emoji that the user reacted with.
    pub reactions: Vec<String>,
    /// The message mentions the user, or all members.
    pub mentioned: bool,
}

/// The message that another one answers, as it is now.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Reply {
    /// The message's id.
    pub id: MessageId,
    /// Its position in the chat.
    pub seq: i64,
    /// Its author.
    pub user: Author,
    /// Type of its content.
    pub message_type: MessageType,
    /// The first 200 characters of its content; empty if it is deleted.
    pub excerpt: String,
    /// Whether it is deleted.
    pub deleted: bool,
}

/// A message. A deleted message keeps its place, with empty content.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Message {
    /// Unique; never reused.
    pub id: MessageId,
    /// The chat.
    pub chat_id: ChatId,
    /// The chat, under Mango's name.
    pub chat: ChatId,
    /// Its permanent position in the chat; rising, not contiguous.
    pub seq: i64,
    /// The chat's counter at its latest change.
    pub rev: i64,
    /// The text, as it was sent.
    pub content: String,
    /// Type of the content.
    pub message_type: MessageType,
    /// Its author.
    pub user: Author,
    /// The `client_id` that it was sent with.
    pub client_id: Option<String>,
    /// The message it answers.
    pub reply_to: Option<MessageId>,
    /// What is shown of the message it answers. Changes of that message arrive as its own events.
    pub reply: Option<Reply>,
    /// The origin of a forwarded message.
    pub forwarded_from: Option<ForwardedFrom>,
    /// Members who are mentioned as `@username`. They keep their mention if they are renamed.
    pub mentions: Vec<UserId>,
    /// Whether `@all` mentions all members.
    pub mentions_all: bool,
    /// Files, in the order in which they were sent.
    pub attachments: Vec<Attachment>,
    /// Number of likes.
    pub likes: i32,
    /// Reactions by emoji.
    pub reactions: Vec<Reaction>,
    /// Pinned in the chat.
    pub pinned: bool,
    /// When it was last edited.
    pub edited_at: Option<Timestamp>,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
    /// When it was stored.
    pub created_at: Timestamp,
    /// The user's own state; only in replies to the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub my: Option<MyMessage>,
}

/// A message type.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MessageTypeInfo {
    /// 1 to 25.
    pub id: i16,
    /// Its name.
    pub name: String,
    /// Media type.
    pub mime: String,
    /// Whether it is human-readable text.
    pub text: bool,
}

//! Commands on messages.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::chats::ChatRef;
use crate::ids::{ChatId, MessageId, whole_or_none};
use crate::protocol::message_type::MessageType;
use crate::protocol::objects::Message;
use crate::protocol::parse::{Check, Envelope, Limits, Problems};

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

/// `history`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct History {
    /// Where.
    #[schema(value_type = ChatRef)]
    pub chat: Envelope<ChatRef>,
    /// Only messages with a lower `seq`.
    #[serde(default, deserialize_with = "whole_or_none")]
    pub before: Option<i64>,
    /// The next messages with a higher `seq`.
    #[serde(default, deserialize_with = "whole_or_none")]
    pub after: Option<i64>,
    /// Messages on both sides of this `seq`, itself included.
    #[serde(default, deserialize_with = "whole_or_none")]
    pub around: Option<i64>,
    /// 1 to 200, default 50.
    #[serde(default, deserialize_with = "whole_or_none")]
    pub limit: Option<i64>,
}

impl Check for History {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        check_page(self.before, self.after, self.around, self.limit, problems);
    }
}

/// At most one anchor, and a limit of 1 to 200.
pub fn check_page(
    before: Option<i64>,
    after: Option<i64>,
    around: Option<i64>,
    limit: Option<i64>,
    problems: &mut Problems,
) {
    let anchors = [before, after, around].iter().flatten().count();
    problems.check("before", anchors <= 1, "give one of before, after and around");
    problems.check("limit", limit.is_none_or(|it| (1..=200).contains(&it)), "takes 1 to 200");
}

/// A page of messages, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct HistoryReply {
    /// Newest first.
    pub messages: Vec<Message>,
    /// There are more in the direction asked for.
    pub has_more: bool,
}

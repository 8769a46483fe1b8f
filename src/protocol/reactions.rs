//! Reactions to messages: any emoji of the Unicode list.

use std::borrow::Cow;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use utoipa::{PartialSchema, ToSchema};

use super::change::Change;
use super::parse::{Check, Envelope, Limits, Problems};
use super::users::Author;
use crate::clock::Timestamp;
use crate::ids::MessageId;

/// An emoji of the Unicode list in its fully qualified form, flags and skin tones included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Emoji(&'static str);

impl Emoji {
    /// Returns the emoji that a text consists of. The variation selector may be missing.
    pub fn parse(text: &str) -> Option<Self> {
        emojis::get(text).map(|emoji| Self(emoji.as_str()))
    }

    /// Returns the emoji as text.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl<'de> Deserialize<'de> for Emoji {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("must be one emoji, such as \"👍\""))
    }
}

impl PartialSchema for Emoji {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        String::schema()
    }
}

impl ToSchema for Emoji {}

/// `toggle_reaction`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ToggleReaction {
    /// The message, and the emoji.
    #[schema(value_type = ReactedMessage)]
    pub message: Envelope<ReactedMessage>,
    /// Whether to react; without it, the state is switched.
    #[serde(default)]
    pub on: Option<bool>,
}

/// A message, and the emoji to react with.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ReactedMessage {
    /// The message's id.
    pub id: MessageId,
    /// One emoji.
    #[schema(value_type = String)]
    pub emoji: Emoji,
}

impl Check for ToggleReaction {
    fn check(&self, _: &Limits, _: &mut Problems) {}
}

/// How many users reacted with an emoji.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reaction {
    /// The emoji.
    pub emoji: String,
    /// Number of users.
    pub count: i64,
}

/// One reaction of one user.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserReaction {
    /// The user.
    pub user: Author,
    /// The emoji.
    pub emoji: String,
    /// When the user reacted.
    pub created_at: Timestamp,
}

/// The reply to `toggle_reaction`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReactionReply {
    /// The emoji in its fully qualified form.
    #[schema(value_type = String)]
    pub emoji: Emoji,
    /// Whether the user reacts with the emoji after the command.
    pub on: bool,
    /// The message's reactions after the command, in the order in which the emoji were first used.
    pub reactions: Vec<Reaction>,
}

/// `message_reacted`.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageReacted {
    /// Which change it is.
    #[serde(flatten)]
    pub change: Change,
    /// The message's id.
    pub message_id: MessageId,
    /// The emoji.
    #[schema(value_type = String)]
    pub emoji: Emoji,
    /// Whether `by` reacts with it.
    pub on: bool,
    /// The message's reactions after the change.
    pub reactions: Vec<Reaction>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emoji_is_one_of_the_unicode_list_and_has_one_form() {
        for (text, form) in [
            ("👍", "👍"),
            ("👍🏽", "👍🏽"),
            ("❤", "❤️"),
            ("❤️", "❤️"),
            ("🇨🇭", "🇨🇭"),
            ("🏴󠁧󠁢󠁳󠁣󠁴󠁿", "🏴󠁧󠁢󠁳󠁣󠁴󠁿"),
            ("👩‍💻", "👩‍💻"),
            ("1️⃣", "1️⃣"),
        ] {
            assert_eq!(Emoji::parse(text).map(Emoji::as_str), Some(form), "{text}");
        }
        for text in ["", "a", "1", "👍👍", "👍 ", ":thumbsup:", "🏽", "🇨", "\u{200d}", "<b>"] {
            assert_eq!(Emoji::parse(text), None, "{text}");
        }
    }
}

//! Drafts: what a user has begun to write in a chat, on all of their devices.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::chats::ChatRef;
use super::messages::plain_text;
use super::own_state::OwnChatChange;
use super::parse::{Check, Envelope, Limits, Problems};
use crate::clock::Timestamp;
use crate::ids::MessageId;

/// Longest draft, bytes. `sync` sends all drafts of a user.
pub const MAX_DRAFT_BYTES: usize = 8_192;

/// `save_draft`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SaveDraft {
    /// The chat.
    #[schema(value_type = ChatRef)]
    pub chat: Envelope<ChatRef>,
    /// The text; empty to remove the draft.
    #[serde(deserialize_with = "plain_text")]
    pub content: String,
    /// The message that it will reply to.
    #[serde(default)]
    pub reply_to: Option<MessageId>,
}

impl Check for SaveDraft {
    fn check(&self, limits: &Limits, problems: &mut Problems) {
        problems.check("content", !self.content.contains('\0'), "must not contain NUL characters");
        problems.check_size("content", self.content.len(), limits.max_message_bytes.min(MAX_DRAFT_BYTES));
    }
}

/// A text that the user has begun to write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SavedDraft {
    /// The text.
    pub content: String,
    /// The message that it will reply to.
    pub reply_to: Option<MessageId>,
    /// When it was saved.
    pub saved_at: Timestamp,
}

/// The reply to `save_draft`.
#[derive(Debug, Serialize, ToSchema)]
pub struct DraftReply {
    /// The draft after the command; `null` if there is none.
    pub draft: Option<SavedDraft>,
}

/// `draft_saved`: sent to the user's own devices.
#[derive(Debug, Serialize, ToSchema)]
pub struct DraftSaved {
    /// Which chat, and the user's own counter.
    #[serde(flatten)]
    pub change: OwnChatChange,
    /// The draft; `null` if it was removed.
    pub draft: Option<SavedDraft>,
}

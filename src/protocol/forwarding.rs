//! Forwarding a message to another chat.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::chats::ChatRef;
use super::messages::check_client_id;
use super::parse::{Check, Envelope, Limits, Problems};
use super::users::Author;
use crate::clock::Timestamp;
use crate::ids::MessageId;

/// `forward_message`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ForwardMessage {
    /// The message to forward, of a chat that the user belongs to.
    #[schema(value_type = ForwardedMessage)]
    pub message: Envelope<ForwardedMessage>,
    /// The chat that gets it.
    #[schema(value_type = ChatRef)]
    pub chat: Envelope<ChatRef>,
}

/// A message to forward.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ForwardedMessage {
    /// The message's id.
    pub id: MessageId,
    /// Makes a retry return the message that was sent first, as in `send_message`.
    #[serde(default)]
    pub client_id: Option<String>,
}

impl Check for ForwardMessage {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        check_client_id("message.client_id", self.message.0.client_id.as_deref(), problems);
    }
}

/// The origin of a forwarded message.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ForwardedFrom {
    /// The author of the original.
    pub user: Author,
    /// When the original was sent.
    pub created_at: Timestamp,
}

//! Messages that are pinned in their chat.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::parse::{Check, Envelope, Limits, Problems};
use crate::ids::MessageId;

/// `toggle_message_pin`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ToggleMessagePin {
    /// The message, and the new state.
    #[schema(value_type = PinnedMessage)]
    pub message: Envelope<PinnedMessage>,
}

/// A message, and whether to pin it.
#[derive(Debug, Deserialize, ToSchema)]
pub struct PinnedMessage {
    /// The message's id.
    pub id: MessageId,
    /// Without it, the state is switched.
    #[serde(default)]
    pub pinned: Option<bool>,
}

impl Check for ToggleMessagePin {
    fn check(&self, _: &Limits, _: &mut Problems) {}
}

/// The reply to `toggle_message_pin`.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessagePinReply {
    /// The state after the command.
    pub pinned: bool,
}

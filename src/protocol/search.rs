//! Search for messages.

use serde::Serialize;
use utoipa::ToSchema;

use super::messages::Message;

/// A message that was found.
#[derive(Debug, Serialize, ToSchema)]
pub struct SearchHit {
    /// The message.
    pub message: Message,
    /// The part of its content, or of a file's name, that was found, up to 200 characters long.
    pub snippet: Vec<SnippetPart>,
    /// How well the message fits, from 0 to 1.
    pub rank: f64,
}

/// A part of a snippet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SnippetPart {
    /// Plain text.
    pub text: String,
    /// Whether it is a word that was searched for.
    pub hit: bool,
}

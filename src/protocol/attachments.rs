//! Files of messages.

use serde::Serialize;
use utoipa::ToSchema;

/// A file of a message.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Attachment {
    /// Never reused.
    pub id: i64,
    /// The file's name.
    pub name: String,
    /// Bytes.
    pub size: i64,
    /// Media type, found by the content.
    pub mime: String,
    /// Width of a picture, pixels.
    pub width: Option<i32>,
    /// Height of a picture, pixels.
    pub height: Option<i32>,
    /// Length of audio or video, seconds; `null`, because this version does not measure it.
    pub duration: Option<f64>,
    /// Placeholder of a picture (<https://blurha.sh>).
    pub blurhash: Option<String>,
    /// Where the file is; valid for an hour, and longer with a bearer token of a member.
    pub url: String,
    /// Where a small version of a picture is, as WebP; at most 480 pixels on the longer side.
    pub thumbnail_url: Option<String>,
}

//! Settings for size limits.

use super::reader::{BadSetting, Reader};

/// Limits on photos.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Photos {
    /// Maximum size of a photo in bytes.
    pub max_bytes: usize,
    /// Maximum number of pixels of a photo.
    pub max_pixels: u64,
    /// Maximum size of an attachment in bytes.
    pub max_attachment_bytes: usize,
}

/// Limits on chats and messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chats {
    /// Maximum size of a message's content in bytes.
    pub max_message_bytes: usize,
    /// Maximum number of members of a group.
    pub max_group_members: usize,
}

pub(super) fn read_photos(r: &mut Reader<'_>) -> Result<Photos, BadSetting> {
    Ok(Photos {
        max_bytes: r.number("MAX_PHOTO_BYTES", 8_388_608, "largest photo, bytes", 1_024, 134_217_728)?,
        max_pixels: r.number(
            "MAX_PHOTO_PIXELS",
            50_000_000,
            "largest photo, pixels; checked before decoding",
            1,
            400_000_000,
        )?,
        max_attachment_bytes: r.number(
            "MAX_ATTACHMENT_BYTES",
            26_214_400,
            "largest attachment, bytes",
            1_024,
            2_147_483_648,
        )?,
    })
}

pub(super) fn read_chats(r: &mut Reader<'_>) -> Result<Chats, BadSetting> {
    Ok(Chats {
        max_message_bytes: r.number(
            "MAX_MESSAGE_BYTES",
            65_536,
            "largest content of a message, bytes",
            1,
            16_777_216,
        )?,
        max_group_members: r.number("MAX_GROUP_MEMBERS", 10_000, "most members of a group", 2, 30_000)?,
    })
}

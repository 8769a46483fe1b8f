//! Turns uploaded bytes into the four pictures that are served.
//!
//! Uploads are not trusted: the format is determined from the content, the size from the picture's header before a
//! pixel is decoded, and nothing but the colours reaches the output. Rendering needs a lot of CPU, so [`ImageWorker`]
//! keeps it off the async threads and refuses work when its queue is full. This module stores nothing and knows no
//! users, status codes or file names.

mod base64_text;
mod colour;
mod container;
mod decode;
mod encode;
mod preview;
mod worker;

#[cfg(test)]
mod tests;

use base64_text::from_base64;
pub use container::is_picture;
pub use encode::Rendered;
pub use preview::Preview;
pub use worker::{ImageWorker, RenderError};

/// Maximum length of a picture's side in pixels. Originals are stored as JPEG, which supports no more.
pub const MAX_SIDE: u32 = 65_535;

/// Limits on an upload. Both are checked before the memory is allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum size of the encoded picture in bytes.
    pub max_bytes: usize,
    /// Maximum number of pixels (width times height) of the decoded picture. Decoding takes up to about 12 bytes per
    /// pixel (16-bit PNG with alpha), 9 for a progressive JPEG, 3 for an ordinary one, 6 with a colour profile.
    pub max_pixels: u64,
}

impl Limits {
    fn check_bytes(&self, bytes: usize) -> Result<(), ImageError> {
        if bytes > self.max_bytes {
            return Err(ImageError::TooManyBytes { max: self.max_bytes });
        }
        Ok(())
    }

    fn check_size(&self, (width, height): (u32, u32)) -> Result<(), ImageError> {
        if u64::from(width) * u64::from(height) > self.max_pixels {
            return Err(ImageError::TooManyPixels { max: self.max_pixels });
        }
        if width > MAX_SIDE || height > MAX_SIDE {
            return Err(ImageError::SideTooLong { max: MAX_SIDE });
        }
        Ok(())
    }
}

/// Why an upload was rejected. The texts are messages for the person who uploaded it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// The text is neither base64 nor a base64 data URL.
    #[error("The image must be base64 text, either bare or as a data URL.")]
    NotBase64,
    /// The encoded picture is larger than [`Limits::max_bytes`].
    #[error("The image is too large: at most {max} bytes are allowed.")]
    TooManyBytes {
        /// The limit in bytes.
        max: usize,
    },
    /// The picture's width times height is larger than [`Limits::max_pixels`].
    #[error("The image has too many pixels: at most {max} are allowed, width times height.")]
    TooManyPixels {
        /// The limit in pixels.
        max: u64,
    },
    /// One side is longer than [`MAX_SIDE`], although the number of pixels is within the limit.
    #[error("The image is too long: at most {max} pixels are allowed on each side.")]
    SideTooLong {
        /// The limit in pixels.
        max: u32,
    },
    /// The content is a picture in a format that is not accepted.
    #[error("{format} pictures are not accepted: send a JPEG, PNG, WebP or GIF.")]
    WrongFormat {
        /// The format's usual name.
        format: &'static str,
    },
    /// The content is not a picture.
    #[error("The file is not a picture: send a JPEG, PNG, WebP or GIF.")]
    NotAnImage,
    /// The picture is truncated, corrupt or of an unusual kind. The text says what was found.
    #[error("The image is damaged, incomplete or of an unsupported kind: {0}.")]
    Broken(String),
}

impl ImageError {
    /// Creates an [`ImageError::Broken`] from an error of a decoder or an encoder.
    fn broken(reason: impl Into<Box<dyn std::error::Error>>) -> Self {
        let reason = reason.into().to_string();
        Self::Broken(reason.trim_end_matches(['.', '\n']).to_owned())
    }
}

/// Decodes an upload and renders the four pictures. Blocks for about 200 ms for 12 megapixels; on an async thread use
/// [`ImageWorker::render`].
///
/// Colours are converted from the embedded profile to sRGB; the profile is removed with all other metadata.
///
/// # Errors
/// Every [`ImageError`] except `NotBase64`. A decoder that panics on hostile input is reported as `Broken`.
pub fn render(bytes: &[u8], limits: &Limits) -> Result<Rendered, ImageError> {
    limits.check_bytes(bytes.len())?;
    let work = || encode::render(decode::decode(bytes, limits)?);
    std::panic::catch_unwind(work).unwrap_or_else(|_| Err(ImageError::broken("the decoder gave up")))
}

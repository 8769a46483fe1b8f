//! Turns the bytes somebody uploads into the four pictures the product serves.
//!
//! An upload is hostile until proven otherwise: its kind is read from its content, its size from its own header
//! before a pixel is decoded, and nothing of it but the colours reaches the outputs. Pictures are work for the
//! processor, so [`ImageWorker`] keeps them off the async threads and refuses what it could only queue up.
//! This module stores nothing and knows no user, no status code and no file name.

mod base64_text;
mod colour;
mod container;
mod decode;
mod encode;
mod worker;

#[cfg(test)]
mod tests;

pub use base64_text::from_base64;
pub use encode::Rendered;
pub use worker::{ImageWorker, RenderError};

/// The longest side in pixels a picture may have: JPEG, the form the original is kept in, counts no further.
pub const MAX_SIDE: u32 = 65_535;

/// What an upload may weigh. Both bounds are checked before the memory they are about is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes the encoded picture may have.
    pub max_bytes: usize,
    /// The most pixels, width times height, the decoded picture may have. Decoding takes up to about 12 bytes
    /// for each of them (16-bit PNG with alpha), 9 for a progressive JPEG, 3 for an ordinary one, 6 with a colour
    /// profile.
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

/// Why an upload did not become a picture. The texts are sentences for the person who uploaded it.
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
    /// One side is longer than [`MAX_SIDE`] although the picture as a whole is small enough.
    #[error("The image is too long: at most {max} pixels are allowed on each side.")]
    SideTooLong {
        /// The limit in pixels.
        max: u32,
    },
    /// The content is a picture in a format that is not taken.
    #[error("{format} pictures are not accepted: send a JPEG, PNG, WebP or GIF.")]
    WrongFormat {
        /// The format's usual name.
        format: &'static str,
    },
    /// The content is no picture.
    #[error("The file is not a picture: send a JPEG, PNG, WebP or GIF.")]
    NotAnImage,
    /// It begins as a picture but is truncated, corrupt or of an exotic kind. The text says what was found.
    #[error("The image is damaged, incomplete or of an unsupported kind: {0}.")]
    Broken(String),
}

impl ImageError {
    /// A [`ImageError::Broken`] from whatever a decoder or an encoder has to say.
    fn broken(reason: impl Into<Box<dyn std::error::Error>>) -> Self {
        let reason = reason.into().to_string();
        Self::Broken(reason.trim_end_matches(['.', '\n']).to_owned())
    }
}

/// Decodes an upload and renders the four pictures from it. Blocks for as long as that takes, about 200 ms for
/// 12 megapixels; on an async thread use [`ImageWorker::render`].
///
/// Colours are converted from the embedded profile to sRGB; the profile goes away with all other metadata.
///
/// # Errors
/// Every [`ImageError`] except `NotBase64`. A decoder that panics on hostile input is reported as `Broken`.
pub fn render(bytes: &[u8], limits: &Limits) -> Result<Rendered, ImageError> {
    limits.check_bytes(bytes.len())?;
    let work = || encode::render(&decode::decode(bytes, limits)?);
    std::panic::catch_unwind(work).unwrap_or_else(|_| Err(ImageError::broken("the decoder gave up")))
}

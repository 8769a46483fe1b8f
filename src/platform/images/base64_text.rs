//! Decodes pictures that clients send as base64 text.
//!
//! Clients differ: some send a data URL, some wrap lines, some omit the padding or use the URL-safe alphabet. All of
//! these are accepted. The media type in the text is not trusted; the content decides later.

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::{ImageError, Limits};

const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Decodes bare base64 or a `data:…;base64,…` URL. ASCII white space is ignored, padding is optional, and both the
/// standard and the URL-safe alphabet are accepted (RFC 4648, sections 4 and 5; RFC 2397).
///
/// # Errors
/// `NotBase64` for any other text and for empty text; `TooManyBytes` if the result would exceed the limit, which is
/// determined from the length of the text before anything is allocated.
pub fn from_base64(text: &str, limits: &Limits) -> Result<Vec<u8>, ImageError> {
    let payload = payload(text)?;
    let mut digits = payload.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=').count();
    limits.check_bytes(digits / 4 * 3 + digits % 4 * 3 / 4)?;
    digits += 2; // the padding
    let mut compact = Vec::with_capacity(digits);
    compact.extend(payload.bytes().filter(|byte| !byte.is_ascii_whitespace()).map(|byte| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    }));
    let bytes = ENGINE.decode(compact).map_err(|_| ImageError::NotBase64)?;
    if bytes.is_empty() { Err(ImageError::NotBase64) } else { Ok(bytes) }
}

/// Returns the part after the comma of a data URL, or the whole text if it is not a data URL.
fn payload(text: &str) -> Result<&str, ImageError> {
    let text = text.trim_start();
    let is_url = text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
    if !is_url {
        return Ok(text);
    }
    let (header, payload) = text.split_once(',').ok_or(ImageError::NotBase64)?;
    let encoding = header.rsplit(';').next().unwrap_or_default();
    if encoding.trim().eq_ignore_ascii_case("base64") { Ok(payload) } else { Err(ImageError::NotBase64) }
}

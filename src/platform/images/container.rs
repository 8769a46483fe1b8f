//! Reads just enough of each format to know how large a picture claims to be and whether all of it is there.
//!
//! The decoders cannot be asked either question safely. They forgive a truncated JPEG and paint the missing part
//! grey; the WebP decoder allocates what a chunk claims to hold before it looks whether the bytes exist, and the
//! size of a nested frame before it compares it with the canvas. So the sizes are read here, from plain slices,
//! with no more memory than a copy of the input. Nothing here decodes a pixel.

use super::{ImageError, Limits};

/// The three formats an upload may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Jpeg,
    Png,
    WebP,
}

/// Recognises a format by its first bytes; names and media types are not asked.
pub(super) fn sniff(bytes: &[u8]) -> Result<Kind, ImageError> {
    if bytes.starts_with(&[0xFF, 0xD8, 0xFF]) {
        Ok(Kind::Jpeg)
    } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        Ok(Kind::Png)
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        Ok(Kind::WebP)
    } else {
        Err(ImageError::NotAnImage)
    }
}

/// Zeros that take the place of a JPEG's end marker. The decoder reads at most eight bytes ahead.
const PADDING: [u8; 12] = [0; 12];

/// A JPEG reduced to what decoding needs (ITU-T T.81, annex B).
pub(super) struct Jpeg {
    /// Width and height as stored, before any rotation.
    pub(super) size: (u32, u32),
    /// The picture without stray bytes, comments, profiles and previews; of metadata only EXIF is left.
    pub(super) clean: Vec<u8>,
}

/// Walks a JPEG from marker to marker up to its end-of-image.
///
/// A picture of a single scan comes back with zeros in place of the end marker: on meeting that marker too early
/// the decoder would invent the missing part, on running out of data it reports it.
///
/// # Errors
/// `TooManyPixels` or `SideTooLong` by the frame header, `Broken` when the picture does not reach its end.
pub(super) fn jpeg(bytes: &[u8], limits: &Limits) -> Result<Jpeg, ImageError> {
    let truncated = || ImageError::broken("the JPEG ends too early");
    let mut clean = Vec::with_capacity(bytes.len() + PADDING.len());
    clean.extend_from_slice(&[0xFF, 0xD8]);
    let mut at = 2;
    let mut frame = None;
    let mut scans = 0;
    let mut in_scan = false;
    loop {
        let (marker, code) = next_marker(bytes, at).ok_or_else(truncated)?;
        if in_scan {
            clean.extend_from_slice(bytes.get(at..marker).unwrap_or_default());
        }
        if code == 0xD9 {
            break;
        }
        let length = big_endian_16(bytes, marker + 2).filter(|length| *length >= 2).ok_or_else(truncated)?;
        at = marker + 2 + length as usize;
        let segment = bytes.get(marker..at).ok_or_else(truncated)?;
        let wanted = match code {
            0xE1 => segment.get(4..).is_some_and(|body| body.starts_with(b"Exif\0\0")),
            // JFIF, and Adobe's word on which colours are meant.
            0xE0 | 0xEE => true,
            0xE2..=0xEF | 0xFE => false,
            _ => true,
        };
        if wanted {
            clean.extend_from_slice(segment);
        }
        if matches!(code, 0xC0..=0xCF) && !matches!(code, 0xC4 | 0xC8 | 0xCC) {
            let size = (big_endian_16(segment, 7), big_endian_16(segment, 5));
            let (Some(width), Some(height)) = size else {
                return Err(truncated());
            };
            limits.check_size((width, height))?;
            if frame.replace((width, height, code == 0xC2)).is_some() {
                return Err(ImageError::broken("the JPEG has more than one frame"));
            }
        }
        in_scan = code == 0xDA;
        scans += usize::from(in_scan);
    }
    let (width, height, progressive) =
        frame.ok_or_else(|| ImageError::broken("the JPEG has no picture in it"))?;
    match (progressive, scans) {
        // A progressive picture never fits into one scan: here the file was cut and an end marker glued on.
        (_, 0) | (true, 1) => return Err(truncated()),
        (false, 1) => clean.extend_from_slice(&PADDING),
        _ => clean.extend_from_slice(&[0xFF, 0xD9]),
    }
    Ok(Jpeg { size: (width, height), clean })
}

/// The position of the next marker's last FF, and its code. In compressed data FF 00 is a stuffed byte and FF D0
/// to FF D7 are restart points; elsewhere neither has a meaning, and any number of FF may precede the code.
fn next_marker(bytes: &[u8], mut at: usize) -> Option<(usize, u8)> {
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == 0xFF)? + 1;
        match *bytes.get(at)? {
            0xFF => {}
            0x00 | 0x01 | 0xD0..=0xD7 => at += 1,
            code => return Some((at - 1, code)),
        }
    }
}

/// Width and height of a PNG, from the header chunk that has to come first (PNG specification, section 11.2.1).
///
/// # Errors
/// `TooManyPixels` or `SideTooLong`, `Broken` when there is no such chunk.
pub(super) fn png(bytes: &[u8], limits: &Limits) -> Result<(u32, u32), ImageError> {
    let header = bytes.get(12..24).filter(|header| header.starts_with(b"IHDR"));
    let size = header.and_then(|header| Some((big_endian_32(header, 4)?, big_endian_32(header, 8)?)));
    let size = size.filter(|(width, height)| *width > 0 && *height > 0);
    let size = size.ok_or_else(|| ImageError::broken("the PNG has no valid header"))?;
    limits.check_size(size)?;
    Ok(size)
}

/// Walks the chunks of a WebP, checks every size in it, and returns the picture without what may follow it
/// (RFC 9649, section 2).
///
/// # Errors
/// `TooManyPixels` or `SideTooLong` when the canvas or any frame is too large, `Broken` when a chunk is cut off.
pub(super) fn webp<'a>(bytes: &'a [u8], limits: &Limits) -> Result<&'a [u8], ImageError> {
    let end = little_endian_32(bytes, 4).map_or(usize::MAX, |length| (length as usize).saturating_add(8));
    // The padding byte of the last chunk is forgotten by some writers, hence the one byte of patience.
    if end > bytes.len() + 1 {
        return Err(ImageError::broken("the WebP ends too early"));
    }
    let picture = bytes.get(..end).unwrap_or(bytes);
    let chunks = picture.get(12..).unwrap_or_default();
    webp_chunks(chunks, limits, true)?;
    Ok(picture)
}

/// Checks one sequence of chunks: the whole file, or the inside of an animation frame.
fn webp_chunks(mut rest: &[u8], limits: &Limits, outermost: bool) -> Result<(), ImageError> {
    while rest.len() >= 8 {
        let (header, body) = rest.split_at(8);
        let length = little_endian_32(header, 4).map_or(usize::MAX, |length| length as usize);
        let chunk = body.get(..length).ok_or_else(|| ImageError::broken("a part of the WebP is cut off"))?;
        let size = match header.get(..4) {
            Some(b"VP8X") if outermost => size_24(chunk, 4),
            Some(b"ANMF") if outermost => {
                webp_chunks(chunk.get(16..).unwrap_or_default(), limits, false)?;
                size_24(chunk, 6)
            }
            Some(b"VP8 ") => little_endian_32(chunk, 6).map(|sides| (sides & 0x3FFF, sides >> 16 & 0x3FFF)),
            Some(b"VP8L") => {
                little_endian_32(chunk, 1).map(|sides| ((sides & 0x3FFF) + 1, (sides >> 14 & 0x3FFF) + 1))
            }
            _ => Some((0, 0)),
        };
        limits.check_size(size.ok_or_else(|| ImageError::broken("a part of the WebP is too short"))?)?;
        rest = body.get(length + length % 2..).unwrap_or_default();
    }
    Ok(())
}

/// Two 24-bit numbers, each stored less one.
fn size_24(bytes: &[u8], at: usize) -> Option<(u32, u32)> {
    let (sides, _) = bytes.get(at..)?.as_chunks::<3>();
    let side = |[low, middle, high]: [u8; 3]| u32::from_le_bytes([low, middle, high, 0]) + 1;
    Some((side(*sides.first()?), side(*sides.get(1)?)))
}

fn big_endian_16(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|pair| u32::from(u16::from_be_bytes(*pair)))
}

fn big_endian_32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_be_bytes(*word))
}

fn little_endian_32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

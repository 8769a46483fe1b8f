//! Parses just enough of each format to know the dimensions that a picture claims and whether all of it is there.
//!
//! The decoders cannot answer either question safely. They accept a truncated JPEG and paint the missing part grey. The
//! WebP decoder allocates the size that a chunk claims before it checks that the bytes exist, and the size of a nested
//! frame before it compares it with the canvas. So this module reads the sizes from plain slices, with no more memory
//! than a copy of the input. It does not decode pixels.

use super::{ImageError, Limits};

/// The accepted upload formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Jpeg,
    Png,
    WebP,
    Gif,
}

/// Recognises a format by its first bytes; file names and media types are ignored.
pub(super) fn sniff(bytes: &[u8]) -> Result<Kind, ImageError> {
    if bytes.starts_with(&[0xFF, 0xD8, 0xFF]) {
        Ok(Kind::Jpeg)
    } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        Ok(Kind::Png)
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        Ok(Kind::WebP)
    } else if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
        Ok(Kind::Gif)
    } else {
        Err(refused_format(bytes).map_or(ImageError::NotAnImage, |format| ImageError::WrongFormat { format }))
    }
}

/// Whether these bytes begin a picture of an accepted format.
pub fn is_picture(bytes: &[u8]) -> bool {
    sniff(bytes).is_ok()
}

/// Returns the name of a common picture format that is not accepted.
fn refused_format(bytes: &[u8]) -> Option<&'static str> {
    // HEIC and AVIF share a container: it starts with a box of brands (ISO/IEC 14496-12, section 4.3).
    if bytes.get(4..8) == Some(b"ftyp") {
        let length = big_endian_32(bytes, 0).map_or(0, |length| length as usize).clamp(16, 256);
        let (brands, _) = bytes.get(8..length.min(bytes.len()))?.as_chunks::<4>();
        let names = |wanted: &[&[u8; 4]]| brands.iter().any(|brand| wanted.contains(&brand));
        return if names(&[b"avif", b"avis"]) {
            Some("AVIF")
        } else if names(&[b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"]) {
            Some("HEIC")
        } else {
            None
        };
    }
    let starts: [(&[u8], &str); 6] = [
        (b"BM", "BMP"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
        (&[0xFF, 0x0A], "JPEG XL"),
        (b"\0\0\0\x0CJXL ", "JPEG XL"),
        (b"\0\0\x01\0", "ICO"),
    ];
    if let Some((_, format)) = starts.iter().find(|(start, _)| bytes.starts_with(start)) {
        return Some(format);
    }
    let head = String::from_utf8_lossy(bytes.get(..1024).unwrap_or(bytes));
    let text = head.trim_start_matches('\u{FEFF}').trim_start();
    (text.starts_with('<') && text.contains("<svg")).then_some("SVG")
}

/// Appended to the compressed data of the last scan: ones, which are not a code in any JPEG (ITU-T T.81, section C.2),
/// so that a decoder that runs out of data reports it; at an end marker it would continue with zeros. The decoder reads
/// at most eight bytes ahead.
const PADDING: [u8; 24] = {
    let mut padding = [0; 24];
    let mut at = 0;
    while at < padding.len() {
        padding[at] = 0xFF;
        at += 2;
    }
    padding
};

/// A JPEG reduced to what decoding needs (ITU-T T.81, annex B).
pub(super) struct Jpeg {
    /// Width and height as stored, before rotation.
    pub(super) size: (u32, u32),
    /// The picture without stray bytes, comments and previews. Of the metadata, only EXIF and the colour profile are
    /// kept.
    pub(super) clean: Vec<u8>,
    /// Whether there is an end marker, and not more scans than a decoder has to read.
    is_regular: bool,
}

/// Walks a JPEG from marker to marker up to its end marker. If that is missing, as in files of some phones, the picture
/// ends with the compressed data; the decoder finds out whether there is enough of it.
///
/// # Errors
/// `TooManyPixels` or `SideTooLong` according to the frame header; `Broken` if the picture ends outside of compressed
/// data.
pub(super) fn jpeg(bytes: &[u8], limits: &Limits) -> Result<Jpeg, ImageError> {
    let truncated = || ImageError::broken("the JPEG ends too early");
    let mut clean = Vec::with_capacity(bytes.len() + 2 * PADDING.len());
    clean.extend_from_slice(&[0xFF, 0xD8]);
    let mut at = 2;
    let mut frame = None;
    let mut scans = 0;
    let mut in_scan = false;
    let mut has_end = false;
    loop {
        let found = next_marker(bytes, at);
        // In a scan, bytes that do not form a segment were appended to a picture that has no end marker.
        let segment = found.and_then(|(marker, code)| {
            if code == 0xD9 {
                return Some((bytes.get(marker..marker)?, code));
            }
            let length = big_endian_16(bytes, marker + 2).filter(|length| *length >= 2)? as usize;
            Some((bytes.get(marker..marker + 2 + length)?, code))
        });
        if in_scan {
            let end = found.map_or(bytes.len(), |(marker, _)| marker);
            let data = bytes.get(at..end).unwrap_or_default();
            // Remove half an end marker.
            clean.extend_from_slice(if found.is_none() {
                data.strip_suffix(&[0xFF]).unwrap_or(data)
            } else {
                data
            });
        }
        let (segment, code) = match segment {
            Some(segment) => segment,
            None if in_scan => break,
            None => return Err(truncated()),
        };
        if code == 0xD9 {
            has_end = true;
            break;
        }
        at = found.map_or(at, |(marker, _)| marker + segment.len());
        let body = segment.get(4..).unwrap_or_default();
        let wanted = match code {
            0xE1 => body.starts_with(b"Exif\0\0"),
            0xE2 => body.starts_with(b"ICC_PROFILE\0"),
            // JFIF, and Adobe's segment with the colour transform.
            0xE0 | 0xEE => true,
            0xE3..=0xEF | 0xFE => false,
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
    // A progressive picture always has several scans: this file was truncated and an end marker was appended.
    if scans == 0 || (progressive && scans == 1) {
        return Err(truncated());
    }
    clean.extend_from_slice(&PADDING);
    clean.extend_from_slice(&[0xFF, 0xD9]);
    Ok(Jpeg { size: (width, height), clean, is_regular: has_end && (progressive || scans == 1) })
}

impl Jpeg {
    /// Returns the picture without any metadata, and with its compressed data unchanged. `None` if decoders may disagree about
    /// it, or if it contains a segment whose meaning is unknown or that may hide something. Bytes that follow the last block
    /// within the compressed data stay; no program shows them.
    pub(super) fn without_metadata(&self) -> Option<Vec<u8>> {
        if !self.is_regular {
            return None;
        }
        let compressed = self.clean.strip_suffix(&[0xFF, 0xD9])?.strip_suffix(&PADDING)?;
        let mut bare = Vec::with_capacity(compressed.len() + 2);
        bare.extend_from_slice(&[0xFF, 0xD8]);
        let mut at = 2;
        while at < compressed.len() {
            let length = usize::from(big_endian_16(compressed, at + 2)? as u16);
            let segment = compressed.get(at..at + 2 + length)?;
            at += segment.len();
            match (*segment.get(1)?, segment.get(4..)?) {
                // Frames, tables of both kinds, and the interval of restarts.
                (0xC0..=0xC2 | 0xC4 | 0xDB | 0xDD, _) => {
                    bare.extend_from_slice(segment);
                }
                // JFIF without a preview (ITU-T T.871, section 10.1), and Adobe's segment.
                (0xE0, body) if body.starts_with(b"JFIF\0") && length == 16 => {
                    bare.extend_from_slice(segment);
                }
                (0xEE, body) if body.starts_with(b"Adobe") && length == 14 => {
                    bare.extend_from_slice(segment);
                }
                (0xE1, _) => {}
                (0xDA, _) => {
                    let end = next_marker(compressed, at).map_or(compressed.len(), |(marker, _)| marker);
                    bare.extend_from_slice(segment);
                    bare.extend_from_slice(compressed.get(at..end)?);
                    at = end;
                }
                _ => return None,
            }
        }
        bare.extend_from_slice(&[0xFF, 0xD9]);
        Some(bare)
    }
}

/// Returns the position of the next marker's last FF, and its code. In compressed data, FF 00 is a stuffed byte and FF
/// D0 to FF D7 are restart markers; elsewhere neither has a meaning. Any number of FF may precede the code.
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

/// Returns width and height of a PNG from its header chunk, which must come first (PNG specification, section 11.2.1).
///
/// # Errors
/// `TooManyPixels` or `SideTooLong`; `Broken` if there is no such chunk.
pub(super) fn png(bytes: &[u8], limits: &Limits) -> Result<(u32, u32), ImageError> {
    let header = bytes.get(12..24).filter(|header| header.starts_with(b"IHDR"));
    let size = header.and_then(|header| Some((big_endian_32(header, 4)?, big_endian_32(header, 8)?)));
    let size = size.filter(|(width, height)| *width > 0 && *height > 0);
    let size = size.ok_or_else(|| ImageError::broken("the PNG has no valid header"))?;
    limits.check_size(size)?;
    Ok(size)
}

/// Chunks of a PNG that change how it looks: its data, its colours and its animation.
const SHOWN_CHUNKS: [&[u8; 4]; 16] = [
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP",
    b"bKGD", b"pHYs", b"acTL", b"fcTL", b"fdAT",
];

/// Returns a PNG without texts, times and EXIF; its compressed data is unchanged.
pub(super) fn png_without_metadata(bytes: &[u8]) -> Vec<u8> {
    let (signature, mut rest) = bytes.split_at(bytes.len().min(8));
    let mut clean = signature.to_vec();
    while let Some(length) = big_endian_32(rest, 0) {
        let whole = (length as usize).saturating_add(12);
        let Some(chunk) = rest.get(..whole) else { break };
        if chunk.get(4..8).is_some_and(|kind| SHOWN_CHUNKS.iter().any(|it| kind == *it)) {
            clean.extend_from_slice(chunk);
        }
        if chunk.get(4..8) == Some(b"IEND") {
            break;
        }
        rest = rest.get(whole..).unwrap_or_default();
    }
    clean
}

/// Extensions of a GIF that change how it looks: its delays and transparency, its texts in the picture, and how often it
/// repeats.
const GIF_CONTROL: u8 = 0xF9;
const GIF_PLAIN_TEXT: u8 = 0x01;
const GIF_APPLICATION: u8 = 0xFF;
const GIF_LOOPS: [&[u8; 11]; 2] = [b"NETSCAPE2.0", b"ANIMEXTS1.0"];

/// Returns a GIF without comments, XMP and trailing data; its compressed data is unchanged. A broken GIF ends where it
/// breaks (specification of version 89a).
pub(super) fn gif_without_metadata(bytes: &[u8]) -> Vec<u8> {
    let table = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let head = 13 + bytes.get(10).map_or(0, |flags| table(*flags));
    let (header, mut rest) = bytes.split_at(head.min(bytes.len()));
    let mut clean = header.to_vec();
    while let Some(kind) = rest.first() {
        let (fixed, is_kept) = match kind {
            0x2C => (rest.get(9).map_or(usize::MAX, |flags| 11 + table(*flags)), true),
            0x21 => {
                let is_loop = || rest.get(3..14).is_some_and(|name| GIF_LOOPS.iter().any(|it| name == *it));
                let is_kept = match rest.get(1) {
                    Some(&(GIF_CONTROL | GIF_PLAIN_TEXT)) => true,
                    Some(&GIF_APPLICATION) => is_loop(),
                    _ => false,
                };
                (2, is_kept)
            }
            _ => break,
        };
        let length = fixed.saturating_add(sub_blocks(rest.get(fixed..).unwrap_or_default()));
        let Some(block) = rest.get(..length) else { break };
        if is_kept {
            clean.extend_from_slice(block);
            // A block that the end cuts off needs an end of its own.
            if length == rest.len() && block.last() != Some(&0) {
                clean.push(0);
            }
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    clean.push(0x3B);
    clean
}

/// Returns the length of the data blocks at the beginning, with the empty one that ends them.
fn sub_blocks(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(length) = bytes.get(at) {
        at += 1 + usize::from(*length);
        if *length == 0 {
            break;
        }
    }
    at
}

/// Returns a WebP with the chunks that change how it looks, so without EXIF, XMP and unknown ones; its compressed data is unchanged.
pub(super) fn webp_without_metadata(bytes: &[u8]) -> Vec<u8> {
    let (header, mut rest) = bytes.split_at(bytes.len().min(12));
    let mut clean = header.to_vec();
    while let Some(length) = little_endian_32(rest, 4) {
        let whole = (length as usize).saturating_add(8 + length as usize % 2).min(rest.len());
        let (chunk, after) = rest.split_at(whole);
        match chunk.get(..4) {
            Some(b"VP8X") => {
                let at = clean.len() + 8;
                clean.extend_from_slice(chunk);
                // The flags of both (RFC 9649, section 2.7.1).
                if let Some(flags) = clean.get_mut(at) {
                    *flags &= !0x0C;
                }
            }
            Some(b"VP8 " | b"VP8L" | b"ALPH" | b"ANIM" | b"ANMF" | b"ICCP") => clean.extend_from_slice(chunk),
            _ => {}
        }
        rest = after;
    }
    let size = u32::try_from(clean.len().saturating_sub(8)).unwrap_or(u32::MAX).to_le_bytes();
    if let Some(length) = clean.get_mut(4..8) {
        length.copy_from_slice(&size);
    }
    clean
}

/// Returns width and height of a GIF's canvas (specification of version 89a, section 18).
///
/// # Errors
/// `TooManyPixels`; `Broken` if the canvas has no pixels.
pub(super) fn gif(bytes: &[u8], limits: &Limits) -> Result<(u32, u32), ImageError> {
    let sides = little_endian_32(bytes, 6).map(|sides| (sides & 0xFFFF, sides >> 16));
    let size = sides.filter(|(width, height)| *width > 0 && *height > 0);
    let size = size.ok_or_else(|| ImageError::broken("the GIF has no valid header"))?;
    limits.check_size(size)?;
    Ok(size)
}

/// Walks the chunks of a WebP, checks every size in it, and returns the picture without trailing data (RFC 9649,
/// section 2).
///
/// # Errors
/// `TooManyPixels` or `SideTooLong` if the canvas or a frame is too large; `Broken` if a chunk is truncated.
pub(super) fn webp<'a>(bytes: &'a [u8], limits: &Limits) -> Result<&'a [u8], ImageError> {
    let end = little_endian_32(bytes, 4).map_or(usize::MAX, |length| (length as usize).saturating_add(8));
    // Some encoders omit the padding byte of the last chunk, so one byte may be missing.
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

/// Reads two 24-bit numbers, each stored minus one.
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

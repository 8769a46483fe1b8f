//! The frames that a server writes to a WebSocket (RFC 6455, section 5.2): unmasked and never fragmented.

use bytes::Bytes;

/// The first byte of a text frame.
const TEXT: u8 = 0x81;
/// The first byte of a close frame.
const CLOSE: u8 = 0x88;
/// The first byte of a ping.
const PING: u8 = 0x89;

/// Encodes a text frame whose payload is these parts in a row.
pub fn text_frame(parts: &[&[u8]]) -> Bytes {
    frame(TEXT, parts)
}

/// Encodes a close frame with this code.
pub fn close_frame(code: u16) -> Bytes {
    frame(CLOSE, &[&code.to_be_bytes()])
}

/// Encodes a ping without data.
pub fn ping_frame() -> Bytes {
    frame(PING, &[])
}

fn frame(first: u8, parts: &[&[u8]]) -> Bytes {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut frame = Vec::with_capacity(length + 10);
    frame.push(first);
    match length {
        0..126 => frame.push(length as u8),
        126..65_536 => {
            frame.push(126);
            frame.extend((length as u16).to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    for part in parts {
        frame.extend_from_slice(part);
    }
    frame.into()
}

/// Returns the lengths of a frame's header and payload.
fn lengths(bytes: &[u8]) -> Option<(usize, usize)> {
    let long = |count: usize| {
        let digits = bytes.get(2..2 + count)?;
        Some((2 + count, digits.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))))
    };
    match bytes.get(1)? & 0x7f {
        126 => long(2),
        127 => long(8),
        short => Some((2, usize::from(short))),
    }
}

/// Splits bytes into frames. What is no whole frame comes last.
pub fn split(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let end = lengths(bytes).map_or(bytes.len(), |(head, payload)| bytes.len().min(head + payload));
        let (frame, rest) = bytes.split_at(end);
        bytes = rest;
        (!frame.is_empty()).then_some(frame)
    })
}

/// Returns the payload of a text frame; empty for other frames.
pub fn text(frame: &[u8]) -> &[u8] {
    let head = lengths(frame).filter(|_| frame.first() == Some(&TEXT)).map(|(head, _)| head);
    head.and_then(|head| frame.get(head..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_length_are_split_where_they_end() {
        let texts: Vec<Vec<u8>> =
            [0, 1, 125, 126, 300, 65_535, 65_536, 70_000, 3].map(|length| vec![0x81; length]).to_vec();
        let frames: Vec<Bytes> = texts.iter().map(|text| text_frame(&[text])).collect();
        let stream = frames.concat();
        let found: Vec<&[u8]> = split(&stream).collect();
        assert_eq!(found, frames);
        assert_eq!(found.iter().map(|frame| text(frame)).collect::<Vec<_>>(), texts);
        assert_eq!(
            split(&stream[..stream.len() - 1]).last(),
            Some(&stream[stream.len() - 5..stream.len() - 1])
        );
    }

    #[test]
    fn parts_are_joined_and_control_frames_have_no_text() {
        assert_eq!(&text_frame(&[b"42", b"[]"])[..], b"\x81\x0442[]");
        assert_eq!(&close_frame(1_000)[..], b"\x88\x02\x03\xe8");
        assert_eq!(text(&close_frame(1_000)), b"");
        assert_eq!(&ping_frame()[..], b"\x89\x00");
    }
}

//! The frames that a server writes to a WebSocket (RFC 6455, section 5.2): unmasked and never fragmented.

use bytes::Bytes;

/// The first byte of a text frame.
const TEXT: u8 = 0x81;
/// The first byte of a close frame.
const CLOSE: u8 = 0x88;
/// The first byte of a ping.
const PING: u8 = 0x89;
/// The first byte of a pong.
const PONG: u8 = 0x8a;

/// Encodes a text frame whose payload is these parts in a row.
pub fn text_frame(parts: &[&[u8]]) -> Bytes {
    frame(TEXT, parts)
}

/// Encodes a close frame with this code.
pub fn close_frame(code: u16) -> Bytes {
    frame(CLOSE, &[&code.to_be_bytes()])
}

/// Encodes a close frame with this code and reason.
pub fn close_frame_with(code: u16, reason: &str) -> Bytes {
    frame(CLOSE, &[&code.to_be_bytes(), reason.as_bytes()])
}

/// Encodes the answer to a client's close frame with this payload: its code, or nothing if it has none.
pub fn close_answer(payload: &[u8]) -> Bytes {
    frame(CLOSE, &[payload.get(..2).unwrap_or_default()])
}

/// Encodes a ping without data.
pub fn ping_frame() -> Bytes {
    frame(PING, &[])
}

/// Encodes the answer to a ping with this payload.
pub fn pong_frame(payload: &[u8]) -> Bytes {
    frame(PONG, &[payload])
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

/// Returns the payload of a text frame; empty for other frames.
pub fn text(frame: &[u8]) -> &[u8] {
    let head = lengths(frame).filter(|_| frame.first() == Some(&TEXT)).map(|(head, _)| head);
    head.and_then(|head| frame.get(head..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_frame_of_every_length_is_found() {
        for length in [0, 1, 125, 126, 300, 65_535, 65_536, 70_000] {
            let content = vec![0x81; length];
            assert_eq!(text(&text_frame(&[&content])), content);
        }
    }

    #[test]
    fn parts_are_joined_and_control_frames_have_no_text() {
        assert_eq!(&text_frame(&[b"42", b"[]"])[..], b"\x81\x0442[]");
        assert_eq!(&close_frame(1_000)[..], b"\x88\x02\x03\xe8");
        assert_eq!(text(&close_frame(1_000)), b"");
        assert_eq!(&ping_frame()[..], b"\x89\x00");
        assert_eq!(&pong_frame(b"x")[..], b"\x8a\x01x");
        assert_eq!(&close_frame_with(1_000, "x")[..], b"\x88\x03\x03\xe8x");
        assert_eq!(&close_answer(b"\x03\xe8bye")[..], b"\x88\x02\x03\xe8");
        assert_eq!(&close_answer(b"")[..], b"\x88\x00");
    }
}

//! WebSocket frames as a client needs them: reads unmasked frames from the server and writes masked ones (RFC 6455,
//! section 5). No extensions and no fragments, which none of the measured servers sends.

use crate::Result;

/// Opcode of a text frame.
pub const TEXT: u8 = 1;
/// Opcode of a close frame.
pub const CLOSE: u8 = 8;
/// Opcode of a ping.
pub const PING: u8 = 9;
/// Opcode of a pong.
pub const PONG: u8 = 10;

/// Clients have to mask what they send. A constant key suffices: there is no proxy to protect.
const MASK: [u8; 4] = [0x5a, 0xc3, 0x3c, 0xa5];

/// A frame at the beginning of a buffer.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    /// The opcode, such as [`TEXT`].
    pub opcode: u8,
    /// Where the payload starts.
    pub start: usize,
    /// Where the payload and the frame end.
    pub end: usize,
}

/// Returns the frame that `bytes` begin with, or `None` if it is incomplete.
pub fn parse(bytes: &[u8]) -> Result<Option<Frame>> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if first & 0xf0 != 0x80 {
        return Err(format!("a fragment or a frame with an extension: {first:#04x}").into());
    }
    if second & 0x80 != 0 {
        return Err("the server masked a frame".into());
    }
    let (length, start) = match *second {
        126 => match rest {
            [a, b, ..] => (u64::from(u16::from_be_bytes([*a, *b])), 4),
            _ => return Ok(None),
        },
        127 => match rest.first_chunk() {
            Some(length) => (u64::from_be_bytes(*length), 10),
            None => return Ok(None),
        },
        length => (u64::from(length), 2),
    };
    let end = usize::try_from(length).ok().and_then(|length| length.checked_add(start));
    let end = end.ok_or("the frame is longer than the address space")?;
    Ok((bytes.len() >= end).then_some(Frame { opcode: first & 0x0f, start, end }))
}

/// Appends a masked frame to `out`.
pub fn write(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(0x80 | opcode);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length), _) if length < 126 => out.push(0x80 | length),
        (_, Ok(length)) => {
            out.push(0xfe);
            out.extend(length.to_be_bytes());
        }
        _ => {
            out.push(0xff);
            out.extend((payload.len() as u64).to_be_bytes());
        }
    }
    out.extend(MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Builds a frame as a server sends it.
    fn from_server(opcode: u8, length: usize) -> Vec<u8> {
        let mut bytes = vec![0x80 | opcode];
        match length {
            0..126 => bytes.push(length as u8),
            126..0x1_0000 => {
                bytes.push(126);
                bytes.extend((length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(vec![b'x'; length]);
        bytes
    }

    #[test]
    fn frames_of_every_length_are_found_only_when_they_are_complete() {
        for (length, start) in [(0, 2), (125, 2), (126, 4), (0xffff, 4), (0x1_0000, 10)] {
            let mut bytes = from_server(TEXT, length);
            let end = bytes.len();
            for part in [0, 1, 2, 3, 9, end - 1] {
                assert_eq!(parse(&bytes[..part.min(end - 1)]).expect("valid"), None, "{part} of {end}");
            }
            bytes.extend(from_server(PING, 3));
            assert_eq!(parse(&bytes).expect("valid"), Some(Frame { opcode: TEXT, start, end }));
            assert_eq!(parse(&bytes[end..]).expect("valid").expect("a frame").opcode, PING);
        }
    }

    #[test]
    fn masked_frames_fragments_and_extensions_are_errors() {
        assert!(parse(&[0x81, 0x80, 0, 0, 0, 0]).is_err());
        assert!(parse(&[0x01, 0]).is_err());
        assert!(parse(&[0xc1, 0]).is_err());
        assert!(parse(&[0x81, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err());
    }

    #[test]
    fn written_frames_are_masked() {
        for length in [5, 125, 126, 0x1_0000] {
            let payload = vec![b'y'; length];
            let mut out = Vec::new();
            write(&mut out, TEXT, &payload);
            assert_eq!(out[1] & 0x80, 0x80);
            let head = out.len() - length;
            let key = &out[head - 4..head];
            let plain: Vec<u8> =
                out[head..].iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
            assert_eq!(plain, payload);
        }
    }
}

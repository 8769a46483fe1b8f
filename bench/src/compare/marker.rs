//! What the content of a message says about it, so that a delivery can be checked without decoding its JSON:
//! `b:<chat>:<number>:<microseconds>;` and padding.

use std::fmt::Write;

/// Bytes of a message's content.
const LENGTH: usize = 100;

/// What precedes a marker in a frame: the quotation mark that begins the content.
const BEGIN: &[u8] = b"\"b:";

/// What the content of a message says.
#[derive(Debug, PartialEq, Eq)]
pub struct Marker {
    /// The chat's index in the load generator; each chat has one sender.
    pub chat: usize,
    /// The number of the message in its chat, from 1.
    pub number: i64,
    /// When it was sent, in microseconds of the load generator's clock.
    pub micros: u64,
}

/// Finds markers in frames.
pub struct Finder(memchr::memmem::Finder<'static>);

impl Finder {
    /// Creates a finder.
    pub fn new() -> Self {
        Self(memchr::memmem::Finder::new(BEGIN))
    }

    /// Returns the marker in a frame, if there is one.
    pub fn find(&self, frame: &[u8]) -> Option<Marker> {
        let mut rest = frame.get(self.0.find(frame)? + BEGIN.len()..)?;
        let chat = number(&mut rest, b':')?;
        let count = number(&mut rest, b':')?;
        let micros = number(&mut rest, b';')?;
        Some(Marker { chat: usize::try_from(chat).ok()?, number: i64::try_from(count).ok()?, micros })
    }
}

/// Takes the digits before `end` from the front.
fn number(bytes: &mut &[u8], end: u8) -> Option<u64> {
    let mut value: u64 = 0;
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            b'0'..=b'9' => value = value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?,
            _ if *byte == end && index > 0 => {
                *bytes = bytes.get(index + 1..)?;
                return Some(value);
            }
            _ => return None,
        }
    }
    None
}

impl Marker {
    /// Appends the content, padded to 100 bytes.
    pub fn write(&self, text: &mut String) {
        let start = text.len();
        // Writing to a string cannot fail.
        let _ = write!(text, "b:{}:{}:{};", self.chat, self.number, self.micros);
        let padding = LENGTH.saturating_sub(text.len() - start);
        text.extend(std::iter::repeat_n('x', padding));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_found_in_the_frame_that_it_was_written_to() {
        let marker = Marker { chat: 7, number: 1_234, micros: 98_765_432 };
        let mut frame = String::from(r#"42["new_message",{"id":1,"a":{"b":"b"},"content":""#);
        let start = frame.len();
        marker.write(&mut frame);
        assert_eq!(frame.len() - start, 100);
        frame.push_str(r#"","message_type":"text"}]"#);
        assert_eq!(Finder::new().find(frame.as_bytes()), Some(marker));
    }

    #[test]
    fn frames_without_a_complete_marker_have_none() {
        for frame in
            ["", "3", r#""b:"#, r#""b:1:2:3"#, r#""b:1:2;3"#, r#""b::2:3;"#, r#""b:-1:2:3;"#, "b:1:2:3;"]
        {
            assert_eq!(Finder::new().find(frame.as_bytes()), None, "{frame}");
        }
        assert_eq!(Finder::new().find(br#""b:99999999999999999999:1:1;"#), None);
    }
}

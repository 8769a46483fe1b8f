//! Finds the ends of frames in what a server writes to a WebSocket (RFC 6455, section 5.2), because the next frame may
//! only begin there.

/// The end of the response that turns a request into a WebSocket.
const HEAD_END: &[u8; 4] = b"\r\n\r\n";

/// Maximum size of the header of a frame: two bytes, a length of eight, a mask of four.
const LONGEST_HEAD: usize = 14;

/// Tracks what is written, beginning with the response `101 Switching Protocols`.
#[derive(Clone, Default)]
pub struct Frames {
    /// Number of bytes of [`HEAD_END`] that were seen last; all of them once frames have begun.
    seen: usize,
    head: [u8; LONGEST_HEAD],
    /// Number of bytes of the header that were seen.
    in_head: usize,
    /// Number of bytes of the payload that are still to come.
    left: u64,
}

impl Frames {
    /// Returns whether the next byte begins a frame.
    pub fn is_between(&self) -> bool {
        self.seen == HEAD_END.len() && self.in_head == 0 && self.left == 0
    }

    /// Tracks bytes that were written, up to and including the first that ends a frame or the response. Returns how
    /// many bytes those are.
    pub fn follow(&mut self, bytes: &[u8]) -> usize {
        for (place, byte) in bytes.iter().enumerate() {
            if self.left > 0 {
                let skipped = self.left.min((bytes.len() - place) as u64);
                self.left -= skipped;
                let place = place + skipped as usize;
                return if self.left == 0 { place } else { bytes.len() };
            }
            self.take(*byte);
            if self.is_between() {
                return place + 1;
            }
        }
        bytes.len()
    }

    fn take(&mut self, byte: u8) {
        if self.seen < HEAD_END.len() {
            let goes_on = byte == HEAD_END[self.seen];
            self.seen = if goes_on { self.seen + 1 } else { usize::from(byte == HEAD_END[0]) };
            return;
        }
        self.head[self.in_head] = byte;
        self.in_head += 1;
        if self.in_head < 2 {
            return;
        }
        let (length_bytes, short) = match self.head[1] & 0x7f {
            127 => (8, None),
            126 => (2, None),
            short => (0, Some(u64::from(short))),
        };
        let mask_bytes = if self.head[1] & 0x80 == 0 { 0 } else { 4 };
        if self.in_head == 2 + length_bytes + mask_bytes {
            let long = self.head[2..2 + length_bytes].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            self.left = short.unwrap_or(long);
            self.in_head = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n";

    fn frame(length: usize) -> Vec<u8> {
        let mut frame = vec![0x81];
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
        frame.extend(std::iter::repeat_n(0x81, length));
        frame
    }

    #[test]
    fn every_end_of_a_frame_is_found_however_the_bytes_are_cut() {
        let mut stream = ANSWER.to_vec();
        let mut ends = vec![stream.len()];
        for length in [0, 1, 125, 126, 300, 65_535, 65_536, 70_000, 0, 3] {
            stream.extend(frame(length));
            ends.push(stream.len());
        }
        for piece in [1, 2, 3, 7, 100, 4_096, stream.len()] {
            let mut frames = Frames::default();
            let (mut place, mut found) = (0, Vec::new());
            while place < stream.len() {
                let upto = stream.len().min(place + piece);
                place += frames.follow(&stream[place..upto]);
                if frames.is_between() {
                    found.push(place);
                }
            }
            assert_eq!(found, ends, "pieces of {piece}");
        }
    }

    #[test]
    fn nothing_may_be_written_before_the_answer_is_whole() {
        let mut frames = Frames::default();
        assert!(!frames.is_between());
        assert_eq!(frames.follow(b"HTTP/1.1 101\r\n\r"), 15);
        assert!(!frames.is_between());
        assert_eq!(frames.follow(b"\n"), 1);
        assert!(frames.is_between());
    }
}

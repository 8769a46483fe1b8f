//! Reads the messages of a WebSocket client (RFC 6455, sections 5 to 7).
//!
//! An idle connection holds no buffer: memory is allocated when bytes can be read, and freed when the last message in it
//! has been taken.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::frames::pong_frame;
use super::listener::BackpressureStream;
use crate::error::{Error, Result};
use crate::realtime::write_queue::WriteQueue;

/// Space that is made for bytes of unknown number.
const READ_SOME: usize = 4 * 1_024;

/// Most space that is made at once for a message whose length is known: the length alone must not cost memory.
const READ_MOST: usize = 64 * 1_024;

/// Pings are not answered while more bytes than this wait to be written. A later ping may be (section 5.5.3).
const PONG_BACKLOG: usize = 64 * 1_024;

/// Largest payload of a control frame (section 5.5), bytes.
const CONTROL_MOST: usize = 125;

/// What a client has sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// A text message.
    Text(Utf8Bytes),
    /// A binary message.
    Binary(Bytes),
    /// A ping, which is answered already, or a pong.
    Alive,
    /// The client closes the connection, with the payload of its close frame.
    Close(Bytes),
}

/// Why nothing more can be read.
#[derive(Debug, PartialEq, Eq)]
pub enum Broken {
    /// A message is larger than allowed.
    TooBig,
    /// The client violates the protocol.
    Protocol,
    /// A text message is not UTF-8.
    NotText,
}

impl Broken {
    /// Returns the close code (section 7.4.1).
    pub fn code(&self) -> u16 {
        match self {
            Self::TooBig => 1009,
            Self::Protocol => 1002,
            Self::NotText => 1007,
        }
    }
}

/// The kinds of frames (section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn parse(number: u8) -> Result<Self, Broken> {
        Ok(match number {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return Err(Broken::Protocol),
        })
    }

    fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The header of a client's frame.
#[derive(Clone, Copy, Debug)]
struct Header {
    is_last: bool,
    opcode: Opcode,
    mask: [u8; 4],
    /// Bytes of the header itself.
    size: usize,
    /// Bytes of the payload.
    length: usize,
}

impl Header {
    /// Returns `None` if the header is incomplete.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, Broken> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let opcode = Opcode::parse(first & 0x0f)?;
        let (is_last, reserved, is_masked) = (first & 0x80 != 0, first & 0x70 != 0, second & 0x80 != 0);
        let short = usize::from(second & 0x7f);
        if reserved || !is_masked || (opcode.is_control() && !(is_last && short <= CONTROL_MOST)) {
            return Err(Broken::Protocol);
        }
        let digits = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let (Some(long), Some(mask)) = (rest.get(..digits), rest.get(digits..digits + 4)) else {
            return Ok(None);
        };
        let length = match digits {
            0 => short,
            _ => long.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte)),
        };
        let mask = mask.try_into().unwrap_or_default();
        Ok(Some(Self { is_last, opcode, mask, size: 2 + digits + 4, length }))
    }
}

/// A message whose last fragment has not arrived.
struct Fragments {
    is_text: bool,
    payload: Vec<u8>,
}

/// Reads the messages of one client.
pub struct FrameReader {
    stream: BackpressureStream,
    /// What was read and not taken.
    buffer: BytesMut,
    fragments: Option<Box<Fragments>>,
    /// Largest message, bytes.
    limit: usize,
}

impl FrameReader {
    /// Creates a reader of messages of at most `limit` bytes.
    pub fn new(stream: BackpressureStream, limit: usize) -> Self {
        Self { stream, buffer: BytesMut::new(), fragments: None, limit }
    }

    /// Waits for an accepted upgrade, and takes its stream.
    pub async fn from_upgrade(upgraded: OnUpgrade, limit: usize) -> Result<Self> {
        let upgraded = upgraded.await.map_err(Error::internal)?;
        Ok(Self::new(BackpressureStream::from_upgraded(upgraded)?, limit))
    }

    /// Returns the queue of the connection's outgoing frames.
    pub fn writes(&self) -> &Arc<WriteQueue> {
        self.stream.writes()
    }

    /// Returns the next message; `None` if the connection has ended. Loses nothing if it is dropped before it is ready.
    pub async fn next(&mut self) -> Option<Result<Received, Broken>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Reads and drops everything until the connection ends.
    pub async fn discard(&mut self) {
        self.fragments = None;
        loop {
            self.buffer.clear();
            let read = std::future::poll_fn(|cx| self.stream.poll_read_into(cx, &mut self.buffer, READ_SOME));
            if !matches!(read.await, Ok(1..)) {
                return;
            }
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Received, Broken>>> {
        loop {
            // Commands that are buffered wait as well while too many are in flight.
            if !self.buffer.is_empty() {
                ready!(self.stream.poll_resumed(cx));
                // What was read before the end must not take effect after it.
                if self.writes().backpressure().is_ended() {
                    return Poll::Ready(None);
                }
                match self.take() {
                    Ok(Some(received)) => return Poll::Ready(Some(Ok(received))),
                    Ok(None) => {}
                    Err(broken) => return Poll::Ready(Some(Err(broken))),
                }
            }
            let space = self.missing().clamp(READ_SOME, READ_MOST);
            let read: Poll<io::Result<usize>> = self.stream.poll_read_into(cx, &mut self.buffer, space);
            if self.buffer.is_empty() {
                self.buffer = BytesMut::new();
            }
            if !matches!(ready!(read), Ok(1..)) {
                return Poll::Ready(None);
            }
        }
    }

    /// Returns how many bytes the first frame lacks; 0 if that is unknown.
    fn missing(&self) -> usize {
        match Header::parse(&self.buffer) {
            Ok(Some(header)) => (header.size + header.length).saturating_sub(self.buffer.len()),
            _ => 0,
        }
    }

    /// Takes the next message out of the buffer.
    fn take(&mut self) -> Result<Option<Received>, Broken> {
        while let Some(header) = Header::parse(&self.buffer)? {
            let before = self.fragments.as_ref().map_or(0, |it| it.payload.len());
            if !header.opcode.is_control() && header.length.saturating_add(before) > self.limit {
                return Err(Broken::TooBig);
            }
            if self.buffer.len() < header.size + header.length {
                return Ok(None);
            }
            self.buffer.advance(header.size);
            let mut payload = self.buffer.split_to(header.length);
            unmask(&mut payload, header.mask);
            if header.length > READ_MOST {
                // The rest must not keep the memory of a large message.
                self.buffer = BytesMut::from(&self.buffer[..]);
            }
            if let Some(received) = self.frame(header, payload)? {
                return Ok(Some(received));
            }
        }
        Ok(None)
    }

    /// Handles a frame. Returns a message if the frame completes one.
    fn frame(&mut self, header: Header, payload: BytesMut) -> Result<Option<Received>, Broken> {
        match (header.opcode, &mut self.fragments) {
            (Opcode::Ping, _) => {
                let writes = self.stream.writes();
                if writes.backlog() <= PONG_BACKLOG {
                    writes.push(pong_frame(&payload));
                }
                Ok(Some(Received::Alive))
            }
            (Opcode::Pong, _) => Ok(Some(Received::Alive)),
            (Opcode::Close, _) => {
                check_close(&payload)?;
                Ok(Some(Received::Close(payload.freeze())))
            }
            (Opcode::Continuation, Some(fragments)) => {
                fragments.payload.extend_from_slice(&payload);
                if !header.is_last {
                    return Ok(None);
                }
                let whole = self.fragments.take().map(|it| *it);
                whole.map(|it| message(it.is_text, it.payload.into())).transpose()
            }
            (Opcode::Text | Opcode::Binary, None) => {
                let is_text = header.opcode == Opcode::Text;
                if header.is_last {
                    return message(is_text, payload.freeze()).map(Some);
                }
                self.fragments = Some(Box::new(Fragments { is_text, payload: payload.to_vec() }));
                Ok(None)
            }
            (Opcode::Continuation, None) | (Opcode::Text | Opcode::Binary, Some(_)) => Err(Broken::Protocol),
        }
    }
}

/// Checks the payload of a close frame: nothing, or a code that a peer may send and a text (sections 5.5.1 and 7.4).
fn check_close(payload: &[u8]) -> Result<(), Broken> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() { Ok(()) } else { Err(Broken::Protocol) };
    };
    match u16::from_be_bytes(*code) {
        1000..=1003 | 1007..=1014 | 3000..=4999 => {}
        _ => return Err(Broken::Protocol),
    }
    std::str::from_utf8(reason).map(drop).map_err(|_| Broken::NotText)
}

fn message(is_text: bool, payload: Bytes) -> Result<Received, Broken> {
    if is_text {
        Utf8Bytes::try_from(payload).map(Received::Text).map_err(|_| Broken::NotText)
    } else {
        Ok(Received::Binary(payload))
    }
}

/// Unmasks a payload (section 5.3), eight bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (chunks, rest) = payload.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use super::*;

    const LIMIT: usize = 200_000;

    async fn pair() -> (FrameReader, TcpStream) {
        let (stream, peer) = BackpressureStream::pair().await;
        (FrameReader::new(stream, LIMIT), peer)
    }

    /// Encodes a frame as a client does.
    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [0x12, 0x34, 0x56, 0x78];
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..126 => frame.push(0x80 | length as u8),
            length @ 126..65_536 => {
                frame.push(0xfe);
                frame.extend((length as u16).to_be_bytes());
            }
            length => {
                frame.push(0xff);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        frame
    }

    async fn next(reader: &mut FrameReader) -> Option<Result<Received, Broken>> {
        timeout(Duration::from_secs(5), reader.next()).await.expect("in time")
    }

    fn text(content: &str) -> Received {
        Received::Text(content.into())
    }

    #[tokio::test]
    async fn messages_of_every_length_arrive_whole_however_they_are_cut() {
        let lengths = [0, 1, 7, 8, 9, 125, 126, 4_090, 65_535, 65_536, 150_000];
        let contents: Vec<String> = lengths.iter().map(|length| "ab7".repeat(length / 3 + 1)).collect();
        let bytes: Vec<u8> = contents.iter().flat_map(|it| masked(0x81, it.as_bytes())).collect();
        for cut in [1, 3, 4_096, bytes.len()] {
            let (mut reader, mut peer) = pair().await;
            let sent = if cut == 1 { bytes[..5_000].to_vec() } else { bytes.clone() };
            let sending = tokio::spawn(async move {
                for part in sent.chunks(cut) {
                    peer.write_all(part).await.expect("is written");
                }
                peer
            });
            let expected = if cut == 1 { &contents[..7] } else { &contents[..] };
            for content in expected {
                assert_eq!(next(&mut reader).await, Some(Ok(text(content))));
            }
            drop(sending.await.expect("is sent"));
        }
    }

    #[tokio::test]
    async fn fragments_are_joined_and_control_frames_may_come_between_them() {
        let (mut reader, mut peer) = pair().await;
        let frames = [
            masked(0x01, "м".as_bytes().get(..1).expect("half a letter")),
            masked(0x89, b"still there?"),
            masked(0x00, b""),
            masked(0x80, "м".as_bytes().get(1..).expect("the other half")),
            masked(0x02, &[1, 2]),
            masked(0x80, &[3]),
            masked(0x88, &[0x03, 0xe8]),
        ];
        peer.write_all(&frames.concat()).await.expect("is written");
        assert_eq!(next(&mut reader).await, Some(Ok(Received::Alive)));
        let mut pong = vec![0; 14];
        peer.read_exact(&mut pong).await.expect("a pong");
        assert_eq!(pong, b"\x8a\x0cstill there?");
        assert_eq!(next(&mut reader).await, Some(Ok(text("м"))));
        assert_eq!(next(&mut reader).await, Some(Ok(Received::Binary(Bytes::from_static(&[1, 2, 3])))));
        assert_eq!(next(&mut reader).await, Some(Ok(Received::Close(Bytes::from_static(&[0x03, 0xe8])))));
        drop(peer);
        assert_eq!(next(&mut reader).await, None);
    }

    #[tokio::test]
    async fn a_violation_of_the_protocol_is_found_before_its_payload_arrives() {
        let unmasked = vec![0x81, 0x01, b'x'];
        let too_big = masked(0x81, &vec![b'x'; LIMIT + 1])[..14].to_vec();
        let halves = vec![b'x'; LIMIT / 2 + 1];
        for (name, bytes, broken) in [
            ("unmasked", unmasked, Broken::Protocol),
            ("a reserved bit", masked(0xc1, b"x"), Broken::Protocol),
            ("an unknown opcode", masked(0x83, b"x"), Broken::Protocol),
            ("a fragmented ping", masked(0x09, b"x"), Broken::Protocol),
            ("a long ping", masked(0x89, &[b'x'; 126])[..8].to_vec(), Broken::Protocol),
            ("a continuation of nothing", masked(0x80, b"x"), Broken::Protocol),
            (
                "a message within a message",
                [masked(0x01, b"x"), masked(0x81, b"x")].concat(),
                Broken::Protocol,
            ),
            ("too big", too_big, Broken::TooBig),
            ("too big in sum", [masked(0x01, &halves), masked(0x80, &halves)].concat(), Broken::TooBig),
            ("an impossible length", [&[0x81, 0xff][..], &[0xff; 12]].concat(), Broken::TooBig),
            ("no UTF-8", masked(0x81, &[0xff]), Broken::NotText),
            ("half a close code", masked(0x88, &[0x03]), Broken::Protocol),
            ("a close code that nobody may send", masked(0x88, &[0x03, 0xed]), Broken::Protocol),
            ("a close reason without UTF-8", masked(0x88, &[0x03, 0xe8, 0xff]), Broken::NotText),
        ] {
            let (mut reader, mut peer) = pair().await;
            let sending = tokio::spawn(async move {
                peer.write_all(&bytes).await.expect("is written");
                peer
            });
            assert_eq!(next(&mut reader).await, Some(Err(broken)), "{name}");
            drop(sending.await.expect("is sent"));
        }
    }

    #[tokio::test]
    async fn an_idle_reader_holds_no_buffer() {
        let (mut reader, mut peer) = pair().await;
        peer.write_all(&masked(0x81, b"hello")).await.expect("is written");
        assert_eq!(next(&mut reader).await, Some(Ok(text("hello"))));
        assert!(timeout(Duration::from_millis(20), reader.next()).await.is_err());
        assert_eq!(reader.buffer.capacity(), 0);
    }
}

//! Reads and writes packets of Socket.IO protocol 5 within those of Engine.IO protocol 4.

use bytes::Bytes;
use serde::Serialize;

use crate::realtime::outgoing::Dialect;
use crate::transport::http::frames::text_frame;

/// The packet by which the server checks whether a client is alive.
pub const PING: &str = "2";

/// The answer to the ping that begins an upgrade.
pub const PROBED: &str = "3probe";

/// The packet that ends a poll without a message.
pub const NOOP: &[u8] = b"6";

/// The namespaces; both have the same events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// `/`
    Root,
    /// `/ws`
    Ws,
}

impl Namespace {
    /// Returns the namespace of this name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "/" => Some(Self::Root),
            "/ws" => Some(Self::Ws),
            _ => None,
        }
    }

    /// Returns what follows the type of a packet.
    pub fn prefix(self) -> &'static [u8] {
        match self {
            Self::Root => b"",
            Self::Ws => b"/ws,",
        }
    }

    /// Returns how its events are encoded.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Root => Dialect::SocketIoRoot,
            Self::Ws => Dialect::SocketIoWs,
        }
    }
}

/// The types of packets that a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Joins a namespace.
    Connect,
    /// Leaves a namespace.
    Disconnect,
    /// An event.
    Event,
    /// Acknowledges an event of the server.
    Ack,
}

/// A packet of a client.
#[derive(Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Its type.
    pub kind: Kind,
    /// Number of binary attachments that follow.
    pub attachments: usize,
    /// The name of its namespace.
    pub namespace: &'a str,
    /// The id of the acknowledgement that the client waits for.
    pub id: Option<i64>,
    /// Its JSON, unchecked.
    pub data: &'a str,
}

/// Reads the Socket.IO packet of a message. Returns `None` if it is invalid.
pub fn parse(text: &str) -> Option<Packet<'_>> {
    let (kind, is_binary) = match text.as_bytes().first()? {
        b'0' => (Kind::Connect, false),
        b'1' => (Kind::Disconnect, false),
        b'2' => (Kind::Event, false),
        b'3' => (Kind::Ack, false),
        b'5' => (Kind::Event, true),
        b'6' => (Kind::Ack, true),
        _ => return None,
    };
    let mut rest = text.get(1..)?;
    let mut attachments = 0;
    if is_binary {
        let (count, after) = rest.split_once('-')?;
        attachments = count.bytes().all(|it| it.is_ascii_digit()).then(|| count.parse().ok())??;
        rest = after;
    }
    let mut namespace = "/";
    if rest.starts_with('/') {
        // The comma may be missing at the end of a packet.
        let (named, after) = rest.split_once(',').unwrap_or((rest, ""));
        namespace = named.split_once('?').map_or(named, |(name, _)| name);
        rest = after;
    }
    let mut id = None;
    if matches!(kind, Kind::Event | Kind::Ack) {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            id = Some(rest.get(..digits)?.parse().ok()?);
            rest = rest.get(digits..)?;
        }
    }
    (kind != Kind::Ack || id.is_some()).then_some(Packet { kind, attachments, namespace, id, data: rest })
}

/// Encodes a packet of Engine.IO.
pub fn engine(packet: &str) -> Bytes {
    text_frame(&[packet.as_bytes()])
}

/// Encodes the packet that tells a client that it has joined a namespace, where its socket has this id.
pub fn joined(namespace: Namespace, id: &str) -> Bytes {
    text_frame(&[b"40", namespace.prefix(), br#"{"sid":""#, id.as_bytes(), br#""}"#])
}

/// Encodes the packet that refuses a namespace, which may be one that does not exist.
pub fn refused(namespace: &str, reason: &str) -> Bytes {
    #[derive(Serialize)]
    struct Reason<'a> {
        message: &'a str,
    }
    let reason = serde_json::to_vec(&Reason { message: reason }).unwrap_or_default();
    match namespace {
        "/" => text_frame(&[b"44", &reason]),
        _ => text_frame(&[b"44", namespace.as_bytes(), b",", &reason]),
    }
}

/// Encodes the packet by which the server ends a client's part in a namespace.
pub fn left(namespace: Namespace) -> Bytes {
    text_frame(&[b"41", namespace.prefix()])
}

/// Encodes an event.
pub fn event(namespace: Namespace, name: &str, payload: &str) -> Bytes {
    text_frame(&[b"42", namespace.prefix(), b"[\"", name.as_bytes(), b"\",", payload.as_bytes(), b"]"])
}

/// Encodes the acknowledgement of a client's event.
pub fn ack(namespace: Namespace, id: i64, reply: &str) -> Bytes {
    text_frame(&[b"43", namespace.prefix(), id.to_string().as_bytes(), b"[", reply.as_bytes(), b"]"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::http::frames::text;

    #[test]
    fn packets_are_split_into_their_parts() {
        let packet =
            |kind, attachments, namespace, id, data| Some(Packet { kind, attachments, namespace, id, data });
        for (text, expected) in [
            ("0", packet(Kind::Connect, 0, "/", None, "")),
            (r#"0{"token":"x"}"#, packet(Kind::Connect, 0, "/", None, r#"{"token":"x"}"#)),
            ("0/ws", packet(Kind::Connect, 0, "/ws", None, "")),
            (r#"0/ws,{"a":1}"#, packet(Kind::Connect, 0, "/ws", None, r#"{"a":1}"#)),
            ("0/ws?a=b,", packet(Kind::Connect, 0, "/ws", None, "")),
            ("1", packet(Kind::Disconnect, 0, "/", None, "")),
            ("1/ws,", packet(Kind::Disconnect, 0, "/ws", None, "")),
            (r#"2["x",{}]"#, packet(Kind::Event, 0, "/", None, r#"["x",{}]"#)),
            (r#"2/ws,17["x"]"#, packet(Kind::Event, 0, "/ws", Some(17), r#"["x"]"#)),
            (r#"2/ws,["а"]"#, packet(Kind::Event, 0, "/ws", None, r#"["а"]"#)),
            (r#"52-/ws,3["x"]"#, packet(Kind::Event, 2, "/ws", Some(3), r#"["x"]"#)),
            ("30[]", packet(Kind::Ack, 0, "/", Some(0), "[]")),
            ("61-/ws,0[]", packet(Kind::Ack, 1, "/ws", Some(0), "[]")),
            ("2é", packet(Kind::Event, 0, "/", None, "é")),
            ("2/é", packet(Kind::Event, 0, "/é", None, "")),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        for text in ["", "4", "7", "é", "3[]", "5[]", "5-[]", "5x-[]", "5+1-[]", "299999999999999999999[]"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn packets_of_the_server_name_their_namespace() {
        for (frame, expected) in [
            (joined(Namespace::Root, "a"), r#"40{"sid":"a"}"#),
            (joined(Namespace::Ws, "a"), r#"40/ws,{"sid":"a"}"#),
            (refused("/", "no \"x\""), r#"44{"message":"no \"x\""}"#),
            (refused("/other", "no"), r#"44/other,{"message":"no"}"#),
            (left(Namespace::Root), "41"),
            (left(Namespace::Ws), "41/ws,"),
            (event(Namespace::Ws, "ready", "{}"), r#"42/ws,["ready",{}]"#),
            (ack(Namespace::Root, 12, "{}"), "4312[{}]"),
            (engine(PING), "2"),
        ] {
            assert_eq!(text(&frame), expected.as_bytes());
        }
    }
}

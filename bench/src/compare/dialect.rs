//! The two protocols that the measured servers speak, as far as the load generator has to understand them.
//!
//! Socket.IO: <https://socket.io/docs/v4/engine-io-protocol/> and <https://socket.io/docs/v4/socket-io-protocol/>. The
//! plain WebSocket protocol is that of Mango Chat, `docs/events.md`.

use std::fmt::Write;

use super::marker::Marker;

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Engine.IO 4 over WebSocket and Socket.IO 5 in the namespace `/`.
    SocketIo,
    /// JSON in WebSocket frames; the first one authenticates.
    Plain,
}

/// What a text frame from the server is.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// The server expects the first frame now.
    Open,
    /// The rooms are joined.
    Ready,
    /// An application-level ping.
    Ping,
    /// The acknowledgement of a send.
    Ack,
    /// A message.
    Delivery,
    /// The server refuses or ends the connection.
    Refused,
    /// Nothing of interest.
    Other,
}

impl Dialect {
    /// Returns the path of the upgrade request.
    pub fn path(self) -> &'static str {
        match self {
            Self::SocketIo => "/socket.io/?EIO=4&transport=websocket",
            Self::Plain => "/ws",
        }
    }

    /// Returns the first frame, which carries the credentials as JSON members, such as `"token":"…"`.
    pub fn login(self, credentials: &str) -> String {
        match self {
            Self::SocketIo => format!("40{{{credentials}}}"),
            Self::Plain => format!(r#"{{"type":"auth","id":0,{credentials}}}"#),
        }
    }

    /// Tells what a text frame is; `ready` says whether the connection is.
    pub fn classify(self, text: &[u8], ready: bool) -> Received {
        match (self, text) {
            (Self::SocketIo, [b'0', ..]) => Received::Open,
            (Self::SocketIo, b"2") => Received::Ping,
            (Self::SocketIo, [b'4', b'2', event @ ..]) => {
                if event.starts_with(br#"["new_message""#) {
                    Received::Delivery
                } else if !ready && event.starts_with(br#"["ready""#) {
                    Received::Ready
                } else {
                    Received::Other
                }
            }
            (Self::SocketIo, [b'4', b'3', ..]) => Received::Ack,
            (Self::SocketIo, [b'4', b'1' | b'4', ..] | [b'1']) => Received::Refused,
            (Self::Plain, _) if !ready && is_ok(text) => Received::Ready,
            (Self::Plain, _) if !ready => Received::Refused,
            (Self::Plain, _) if text.starts_with(br#"{"type":"new_message""#) => Received::Delivery,
            (Self::Plain, _) if text.starts_with(br#"{"type":"ack""#) => Received::Ack,
            _ => Received::Other,
        }
    }

    /// Writes the request to send a message to `text`.
    pub fn send(self, text: &mut String, chat: i64, marker: &Marker) {
        text.clear();
        let number = marker.number;
        // Writing to a string cannot fail.
        let _ = match self {
            Self::SocketIo => write!(text, r#"42{number}["send_message",{{"#),
            Self::Plain => write!(text, r#"{{"type":"send_message","id":{number},"#),
        };
        let _ = write!(text, r#""message":{{"chat_id":{chat},"content":""#);
        marker.write(text);
        text.push_str(r#"","message_type":"text"}}"#);
        if self == Self::SocketIo {
            text.push(']');
        }
    }
}

/// Returns whether an acknowledgement says that the request succeeded.
pub fn is_ok(text: &[u8]) -> bool {
    memchr::memmem::find(text, br#""ok":true"#).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_json() {
        let marker = Marker { chat: 1, number: 2, micros: 3 };
        for (dialect, digits) in [(Dialect::SocketIo, 3), (Dialect::Plain, 0)] {
            let mut text = String::from("what was there before");
            dialect.send(&mut text, 5, &marker);
            let json: serde_json::Value = serde_json::from_str(&text[digits..]).expect("JSON");
            let message = if digits > 0 { &json[1]["message"] } else { &json["message"] };
            assert_eq!(message["chat_id"], 5);
            assert_eq!(message["content"].as_str().map(str::len), Some(100));
        }
    }

    #[test]
    fn frames_are_told_apart() {
        use Received::{Ack, Delivery, Open, Other, Ping, Ready, Refused};
        for (text, ready, expected) in [
            (r#"0{"sid":"a"}"#, false, Open),
            ("2", true, Ping),
            (r#"42["ready",{}]"#, false, Ready),
            (r#"42["new_message",{}]"#, true, Delivery),
            (r#"42["presence",{}]"#, true, Other),
            (r#"437[{"ok":true}]"#, true, Ack),
            (r#"40{"sid":"a"}"#, false, Other),
            (r#"44{"message":"no"}"#, false, Refused),
        ] {
            assert_eq!(Dialect::SocketIo.classify(text.as_bytes(), ready), expected, "{text}");
        }
        for (text, ready, expected) in [
            (r#"{"type":"ack","id":0,"ok":true}"#, false, Ready),
            (r#"{"type":"ack","id":0,"ok":false}"#, false, Refused),
            (r#"{"type":"ack","id":1,"ok":true}"#, true, Ack),
            (r#"{"type":"new_message","id":1}"#, true, Delivery),
            (r#"{"type":"presence"}"#, true, Other),
        ] {
            assert_eq!(Dialect::Plain.classify(text.as_bytes(), ready), expected, "{text}");
        }
    }
}

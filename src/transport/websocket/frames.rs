//! Converts a frame to an event: `{"type": <event>, "id"?: <any>, …payload}`. On the socket of a chat the chat is
//! implied, and the short forms of sending, reading and typing are expanded.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::ids::ChatId;
use crate::protocol::catalogue::{ChatScope, command};

/// A frame, split as the dispatcher needs it.
pub struct Frame {
    /// The event's name.
    pub event: String,
    /// Identifies the acknowledgement.
    pub id: Option<Box<RawValue>>,
    /// The rest of the frame, unparsed: an error in it is reported in the acknowledgement of the frame.
    payload: BTreeMap<String, Box<RawValue>>,
}

/// Reads a frame. Fails if the frame itself is invalid.
pub fn read(text: &str) -> Result<Frame> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let is_object = text.trim_start().starts_with('{');
    let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).map_err(|error| {
        let is_broken = is_object || error.is_syntax() || error.is_eof();
        let problem = if is_broken {
            format!("is not JSON: {error}")
        } else {
            "must be an object with a type".to_owned()
        };
        Error::invalid("frame", problem)
    })?;
    let event = fields.remove("type").and_then(|name| serde_json::from_str(name.get()).ok());
    let event = event.ok_or_else(|| Error::invalid("type", "is missing, it names the event"))?;
    Ok(Frame { event, id: fields.remove("id"), payload: fields })
}

impl Frame {
    /// Returns the payload for the dispatcher. On the socket of a chat `scope` is filled in; naming another chat is an
    /// error.
    pub fn payload(&mut self, scope: Option<ChatId>) -> Result<String> {
        let fields = std::mem::take(&mut self.payload);
        let Some(chat) = scope else { return serde_json::to_string(&fields).map_err(Error::internal) };
        let mut read = Map::new();
        for (name, raw) in fields {
            let value = serde_json::from_str(raw.get())
                .map_err(|error| Error::invalid(name.as_str(), format!("is not JSON: {error}")))?;
            read.insert(name, value);
        }
        Ok(Value::from(imply(&self.event, read, chat)?).to_string())
    }
}

/// Returns whether an id, in any form that clients may write it, is the id of this chat.
fn names(id: &Value, chat: ChatId) -> bool {
    ChatId::deserialize(id).is_ok_and(|it| it == chat)
}

/// Fills in the chat on the socket of a chat; naming another chat is an error.
fn imply(event: &str, mut fields: Map<String, Value>, chat: ChatId) -> Result<Map<String, Value>> {
    let other = |field: &str| Error::invalid(field, format!("this socket is for chat {chat} only"));
    // The dispatcher refuses an unknown event; `auth` is the first frame.
    match command(event).map_or(ChatScope::any, |it| it.chat) {
        ChatScope::message => {
            if let Some(text) = fields.remove("text") {
                let message = fields.entry("message").or_insert_with(|| json!({}));
                if let Value::Object(message) = message {
                    message.entry("content").or_insert(text);
                }
            }
            for name in ["client_id", "reply_to", "message_type"] {
                if let (Some(value), Some(Value::Object(message))) =
                    (fields.remove(name), fields.get_mut("message"))
                {
                    message.entry(name).or_insert(value);
                }
            }
            if let Some(Value::Object(message)) = fields.get_mut("message") {
                if message.get("chat_id").is_some_and(|id| !names(id, chat)) {
                    return Err(other("message.chat_id"));
                }
                message.insert("chat_id".into(), json!(chat.0));
                message.entry("message_type").or_insert_with(|| json!("text"));
            }
        }
        ChatScope::only => {
            let is_this =
                |only: &Value| only.as_array().is_some_and(|ids| matches!(&ids[..], [id] if names(id, chat)));
            if fields.get("only").is_some_and(|only| !is_this(only)) {
                return Err(other("only"));
            }
            fields.insert("only".into(), json!([chat.0]));
        }
        ChatScope::refused => return Err(other("type")),
        ChatScope::any => {}
        ChatScope::chat => {
            let named = fields.entry("chat").or_insert_with(|| json!({}));
            if let Value::Object(named) = named {
                if named.get("id").is_some_and(|id| !names(id, chat)) {
                    return Err(other("chat.id"));
                }
                named.insert("id".into(), json!(chat.0));
            }
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scoped(text: &str) -> Result<Value> {
        let payload = read(text)?.payload(Some(ChatId(7)))?;
        Ok(serde_json::from_str(&payload).expect("JSON"))
    }

    #[test]
    fn the_chat_of_a_chats_socket_is_implied() {
        for (text, payload) in [
            (
                r#"{"type":"send_message","text":"hi"}"#,
                json!({"message": {"content": "hi", "chat_id": 7, "message_type": "text"}}),
            ),
            (
                r#"{"type":"send_message","text":"hi","client_id":"a","message_type":"json"}"#,
                json!({"message": {"content": "hi", "client_id": "a", "chat_id": 7, "message_type": "json"}}),
            ),
            (
                r#"{"type":"send_message","message":{"content":"hi","message_type":"csv"}}"#,
                json!({"message": {"content": "hi", "message_type": "csv", "chat_id": 7}}),
            ),
            (
                r#"{"type":"mark_read","last_read_message_id":3}"#,
                json!({"chat": {"id": 7}, "last_read_message_id": 3}),
            ),
            (r#"{"type":"typing","is_typing":true}"#, json!({"chat": {"id": 7}, "is_typing": true})),
            (
                r#"{"type":"toggle_chat_pin","chat":{"id":7,"pinned":true}}"#,
                json!({"chat": {"id": 7, "pinned": true}}),
            ),
            (r#"{"type":"sync"}"#, json!({"only": [7]})),
            (r#"{"type":"sync","only":["7"]}"#, json!({"only": [7]})),
            (r#"{"type":"history","chat":{"id":7.0}}"#, json!({"chat": {"id": 7}})),
        ] {
            assert_eq!(scoped(text).expect("fits"), payload, "{text}");
        }
        for text in [
            r#"{"type":"send_message","message":{"chat_id":8,"content":"x"}}"#,
            r#"{"type":"history","chat":{"id":8}}"#,
            r#"{"type":"sync","only":[8]}"#,
            r#"{"type":"create_chat","chat":{}}"#,
        ] {
            assert!(scoped(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_frame_is_an_object_with_a_type() {
        for text in ["", "x", "[]", "7", "{}", r#"{"type":1}"#] {
            assert!(read(text).is_err(), "{text}");
        }
        let mut frame = read(r#"{"type":"x","id":{"a":[1]},"b":2}"#).expect("fits");
        assert_eq!(
            (frame.event.clone().as_str(), frame.payload(None).expect("fits").as_str()),
            ("x", r#"{"b":2}"#)
        );
        assert_eq!(frame.id.expect("an id").get(), r#"{"a":[1]}"#);
    }
}

//! From a frame to an event: `{"type": <event>, "id"?: <any>, …payload}`. On a chat's socket the chat is
//! implied, and the short forms of sending, reading and typing are spelled out.

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::ids::ChatId;

/// A frame as the dispatcher takes it.
pub struct Frame {
    /// The event's name.
    pub event: String,
    /// Whom to answer.
    pub id: Option<Box<RawValue>>,
    /// The rest of the frame.
    payload: Map<String, Value>,
}

/// Reads a frame. The error says what is wrong with the frame as such.
pub fn read(text: &str) -> Result<Frame> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| Error::invalid("frame", format!("is not JSON: {error}")))?;
    let Value::Object(mut fields) = value else {
        return Err(Error::invalid("frame", "takes an object with a type"));
    };
    let Some(Value::String(event)) = fields.remove("type") else {
        return Err(Error::invalid("type", "is missing, it names the event"));
    };
    let id = fields.remove("id").map(|id| to_raw_value(&id)).transpose().map_err(Error::internal)?;
    Ok(Frame { event, id, payload: fields })
}

impl Frame {
    /// The payload as the dispatcher takes it; on a chat's socket `scope` fills in the chat, and naming another
    /// is an error.
    pub fn payload(&mut self, scope: Option<ChatId>) -> Result<Value> {
        let fields = std::mem::take(&mut self.payload);
        Ok(match scope {
            Some(chat) => imply(&self.event, fields, chat)?.into(),
            None => fields.into(),
        })
    }
}

/// Fills in the chat that a chat's socket is about; naming another is an error.
fn imply(event: &str, mut fields: Map<String, Value>, chat: ChatId) -> Result<Map<String, Value>> {
    let other = |field: &str| Error::invalid(field, format!("this socket is for chat {chat} only"));
    match event {
        "send_message" => {
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
                if message.get("chat_id").is_some_and(|id| *id != json!(chat.0)) {
                    return Err(other("message.chat_id"));
                }
                message.insert("chat_id".into(), json!(chat.0));
                message.entry("message_type").or_insert_with(|| json!("text"));
            }
        }
        "sync" => {
            if fields.get("only").is_some_and(|only| *only != json!([chat.0])) {
                return Err(other("only"));
            }
            fields.insert("only".into(), json!([chat.0]));
        }
        "create_chat" => return Err(other("type")),
        // These name a message or people, not a chat.
        "edit_message"
        | "delete_message"
        | "toggle_like_message"
        | "watch_presence"
        | "authenticate"
        | "auth" => {}
        _ => {
            let named = fields.entry("chat").or_insert_with(|| json!({}));
            if let Value::Object(named) = named {
                if named.get("id").is_some_and(|id| *id != json!(chat.0)) {
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
        read(text)?.payload(Some(ChatId(7)))
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
            (frame.event.clone().as_str(), frame.payload(None).expect("fits")),
            ("x", json!({"b": 2}))
        );
        assert_eq!(frame.id.expect("an id").get(), r#"{"a":[1]}"#);
    }
}

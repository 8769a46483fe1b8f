//! The AsyncAPI 3 document of both socket doors, made from the catalogue.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use super::catalogue::{for_each_command, for_each_event};
// The catalogue names its types by these paths.
use super::commands::{chats, contacts, messages, presence, roles, session, sync};
use super::events;

type Schemas = BTreeMap<String, RefOr<Schema>>;

fn collect<T: ToSchema + PartialSchema>(schemas: &mut Schemas) -> String {
    let name = T::name().into_owned();
    let mut nested = Vec::new();
    T::schemas(&mut nested);
    schemas.extend(nested);
    schemas.insert(name.clone(), T::schema());
    name
}

struct Entry {
    name: &'static str,
    about: &'static str,
    payload: String,
    reply: Option<String>,
}

macro_rules! describe_commands {
    ($($name:ident: $payload:ty => $reply:ty, [$($event:ident),*], $about:literal;)*) => {
        fn command_entries(schemas: &mut Schemas) -> Vec<Entry> {
            vec![$(Entry {
                name: stringify!($name),
                about: $about,
                payload: collect::<$payload>(schemas),
                reply: Some(collect::<$reply>(schemas)),
            }),*]
        }
    };
}
for_each_command!(describe_commands);

macro_rules! describe_events {
    ($($name:ident: $payload:ty, $about:literal;)*) => {
        fn event_entries(schemas: &mut Schemas) -> Vec<Entry> {
            vec![$(Entry {
                name: stringify!($name),
                about: $about,
                payload: collect::<$payload>(schemas),
                reply: None,
            }),*]
        }
    };
}
for_each_event!(describe_events);

/// The whole document.
pub fn document() -> Value {
    let mut schemas = Schemas::new();
    let commands = command_entries(&mut schemas);
    let events = event_entries(&mut schemas);
    let mut messages = Map::new();
    let mut channel_messages = Map::new();
    let mut operations = Map::new();
    for (entry, action) in
        commands.iter().map(|it| (it, "receive")).chain(events.iter().map(|it| (it, "send")))
    {
        let mut message = json!({
            "name": entry.name,
            "summary": entry.about,
            "payload": {"$ref": format!("#/components/schemas/{}", entry.payload)},
        });
        if let Some(reply) = &entry.reply {
            message["x-ack"] = json!({
                "oneOf": [
                    {"allOf": [{"$ref": "#/components/schemas/AckOk"}, {"$ref": format!("#/components/schemas/{reply}")}]},
                    {"$ref": "#/components/schemas/AckError"},
                ]
            });
        }
        messages.insert(entry.name.into(), message);
        channel_messages
            .insert(entry.name.into(), json!({"$ref": format!("#/components/messages/{}", entry.name)}));
        operations.insert(
            entry.name.into(),
            json!({
                "action": action,
                "channel": {"$ref": "#/channels/chat"},
                "messages": [{"$ref": format!("#/channels/chat/messages/{}", entry.name)}],
            }),
        );
    }
    let mut all = serde_json::to_value(&schemas).unwrap_or_default();
    all["AckOk"] = json!({
        "type": "object",
        "required": ["ok"],
        "properties": {
            "ok": {"const": true},
            "chat_id": {"type": "integer", "description": "Of a change in a chat."},
            "rev": {"type": "integer", "description": "The counter's value that the change took."},
            "prev": {"type": "integer", "description": "The counter's value before it."},
        },
    });
    all["AckError"] = json!({
        "type": "object",
        "required": ["ok", "error"],
        "properties": {"ok": {"const": false}, "error": {"$ref": "#/components/schemas/ErrorObject"}},
    });
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Mango Chat events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Engine.IO 4, Socket.IO 5 at /ws/socket.io and /socket.io, namespaces / and /ws. \
                Every command is acknowledged; a failure without a callback comes as `exception`.",
        },
        "servers": {"local": {"host": "localhost:5000", "protocol": "ws", "pathname": "/ws/socket.io"}},
        "channels": {"chat": {"address": "/", "messages": channel_messages}},
        "operations": operations,
        "components": {"messages": messages, "schemas": all},
    })
}

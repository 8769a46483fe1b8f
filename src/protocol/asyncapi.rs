//! The AsyncAPI 3 document of Socket.IO and the plain WebSocket, generated from the catalogue.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use super::catalogue::{for_each_command, for_each_event};
// The catalogue names its types by these paths.
use super::change::{self, Done};
use super::{
    chat_bans, chats, contacts, drafts, errors, forwarding, history, invites, members, messages, moderation,
    own_state, pins, presence, reactions, reading, sessions, sync, users,
};

/// Schemas by name.
pub type Schemas = BTreeMap<String, RefOr<Schema>>;

fn collect<T: ToSchema + PartialSchema>(schemas: &mut Schemas) -> String {
    let name = T::name().into_owned();
    let mut nested = Vec::new();
    T::schemas(&mut nested);
    nested.push((name.clone(), T::schema()));
    for (name, schema) in nested {
        let before = schemas.insert(name.clone(), schema.clone());
        debug_assert!(before.is_none_or(|before| before == schema), "two types are called {name}");
    }
    name
}

/// An event, with the names of its schemas.
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Its payload.
    pub payload: String,
    /// What the acknowledgement of a client event adds to [`ack_ok`].
    pub reply: Option<String>,
}

macro_rules! describe_commands {
    ($($name:ident: $payload:ty => $reply:ty, [$($event:ident),*], {$($column:ident),*}, $about:literal;)*) => {
        /// Returns every client event, and adds its schemas to `schemas`.
        pub fn client_events(schemas: &mut Schemas) -> Vec<Entry> {
            vec![$(Entry {
                name: stringify!($name),
                about: $about,
                payload: collect::<$payload>(schemas),
                reply: (<$reply>::name() != Done::name()).then(|| collect::<$reply>(schemas)),
            }),*]
        }
    };
}
for_each_command!(describe_commands);

macro_rules! describe_events {
    ($($name:ident: $payload:ty, [$($audience:ident),*], $about:literal;)*) => {
        fn server_events(schemas: &mut Schemas) -> Vec<Entry> {
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

/// Returns the schema that all successful acknowledgements share.
pub fn ack_ok() -> Value {
    json!({
        "type": "object",
        "required": ["ok"],
        "properties": {
            "ok": {"type": "boolean", "enum": [true]},
            "chat_id": {"type": "integer", "format": "int64", "description": "Of a change in a chat."},
            "rev": {"type": "integer", "format": "int64", "description": "The counter's value that the change took."},
            "prev": {"type": "integer", "format": "int64", "description": "The counter's value before it."},
        },
    })
}

/// Returns the schema of the successful acknowledgement of a client event.
pub fn ack_of(entry: &Entry) -> Value {
    let common = json!({"$ref": "#/components/schemas/AckOk"});
    match &entry.reply {
        Some(reply) => json!({"allOf": [common, {"$ref": format!("#/components/schemas/{reply}")}]}),
        None => common,
    }
}

/// Returns the whole document.
pub fn document() -> Value {
    let mut schemas = Schemas::new();
    let commands = client_events(&mut schemas);
    let events = server_events(&mut schemas);
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
        if action == "receive" {
            message["x-ack"] = json!({"oneOf": [ack_of(entry), {"$ref": "#/components/schemas/AckError"}]});
        }
        // `typing` is both a client event and a server event.
        let key = if messages.contains_key(entry.name) {
            format!("{}_event", entry.name)
        } else {
            entry.name.to_owned()
        };
        messages.insert(key.clone(), message);
        channel_messages.insert(key.clone(), json!({"$ref": format!("#/components/messages/{key}")}));
        operations.insert(
            key.clone(),
            json!({
                "action": action,
                "channel": {"$ref": "#/channels/chat"},
                "messages": [{"$ref": format!("#/channels/chat/messages/{key}")}],
            }),
        );
    }
    let mut all = serde_json::to_value(&schemas).unwrap_or_default();
    all["AckOk"] = ack_ok();
    all["AckError"] = json!({
        "type": "object",
        "required": ["ok", "error"],
        "properties": {"ok": {"type": "boolean", "enum": [false]}, "error": {"$ref": "#/components/schemas/ErrorObject"}},
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

//! Constructors of server events, one module for each event of the catalogue with one function for each of its audiences:
//! `events::new_message::at(position, &payload)`, `events::typing::to_chat(chat, &payload)`. There is no other way to make
//! one, so an event always has the payload, the audience and the name that the catalogue says.

use crate::protocol::catalogue::for_each_event;

/// An event for one connection, encoded.
pub struct ConnectionEvent {
    /// Its name.
    pub name: crate::protocol::catalogue::EventName,
    /// Its payload.
    pub payload: Box<serde_json::value::RawValue>,
}

macro_rules! constructor {
    (change, $name:ident, $payload:ty) => {
        /// The event of a change at this position in a chat's order, for everybody in the chat.
        pub fn at(position: ChatPosition, payload: &$payload) -> Result<Delivery> {
            Delivery::of_change(position, EventName::$name, payload)
        }
    };
    (chat, $name:ident, $payload:ty) => {
        /// For everybody in a chat, outside its order.
        pub fn to_chat(chat: ChatId, payload: &$payload) -> Result<Delivery> {
            Delivery::new(Audience::Chat(chat), EventName::$name, payload)
        }
    };
    (chats, $name:ident, $payload:ty) => {
        /// For everybody in any of these chats, once.
        pub fn to_chats(chats: Vec<ChatId>, payload: &$payload) -> Result<Delivery> {
            Delivery::new(Audience::Chats(chats), EventName::$name, payload)
        }
    };
    (user, $name:ident, $payload:ty) => {
        /// For all devices of a user.
        pub fn to_user(user: UserId, payload: &$payload) -> Result<Delivery> {
            Delivery::new(Audience::User(user), EventName::$name, payload)
        }
    };
    (session, $name:ident, $payload:ty) => {
        /// For the connections of a session, which end after it.
        pub fn to_session(user: UserId, session: SessionId, payload: &$payload) -> Result<Delivery> {
            let mut event = Delivery::new(Audience::Session(user, session), EventName::$name, payload)?;
            event.closes = true;
            Ok(event)
        }

        /// For a connection whose session ended without its event.
        pub fn to_connection(payload: &$payload) -> Result<ConnectionEvent> {
            Ok(ConnectionEvent { name: EventName::$name, payload: encode(payload)? })
        }
    };
    (watchers, $name:ident, $payload:ty) => {
        /// For these connections of this node.
        pub fn to_watchers(watchers: Vec<ConnId>, payload: &$payload) -> Result<Delivery> {
            Delivery::new(Audience::Connections(watchers), EventName::$name, payload)
        }
    };
    (connection, $name:ident, $payload:ty) => {
        /// For the connection that it is about.
        pub fn to_connection(payload: &$payload) -> Result<ConnectionEvent> {
            Ok(ConnectionEvent { name: EventName::$name, payload: encode(payload)? })
        }
    };
}

macro_rules! constructors {
    ($($name:ident: $payload:ty, [$($audience:ident),*], $about:literal;)*) => {
        $(
            #[doc = $about]
            #[expect(unused_imports, reason = "what an event needs depends on its audiences")]
            pub mod $name {
                use super::ConnectionEvent;
                use crate::error::Result;
                use crate::ids::{ChatId, ConnId, SessionId, UserId};
                use crate::platform::bus::{Audience, ChatPosition, Delivery, encode};
                use crate::protocol::catalogue::EventName;
                use crate::protocol::{
                    chats, contacts, errors, members, messages, moderation, own_state, presence, reading, sessions, sync, users,
                };

                $(constructor!($audience, $name, $payload);)*
            }
        )*
    };
}
for_each_event!(constructors);

//! Constructors of server events: one module for each event of the catalogue, with one function for each of its
//! audiences, such as `events::new_message::at(position, &payload)` and `events::typing::to_chat(chat, &payload)`.
//! Events are only created here, so an event always has the payload, the audience and the name of the catalogue.

use crate::protocol::catalogue::for_each_event;

/// An encoded event for one connection.
pub struct ConnectionEvent {
    /// Its name.
    pub name: crate::protocol::catalogue::EventName,
    /// Its payload.
    pub payload: Box<serde_json::value::RawValue>,
}

macro_rules! constructor {
    (change, $name:ident, $payload:ty) => {
        /// Creates the event of a change at this position in a chat's order, for all members of the chat.
        pub fn at(position: ChatPosition, payload: &$payload) -> Result<Delivery> {
            Delivery::of_change(position, EventName::$name, payload)
        }
    };
    (chat, $name:ident, $payload:ty) => {
        /// Creates an event for all members of a chat, outside the chat's order.
        pub fn to_chat(chat: ChatId, payload: &$payload) -> Result<Delivery> {
            Delivery::new(Audience::Chat(chat), EventName::$name, payload)
        }
    };
    (chats, $name:ident, $payload:ty) => {
        /// Creates an event that every member of any of these chats receives once.
        pub fn to_chats(chats: Vec<ChatId>, payload: &$payload) -> Result<Delivery> {
            Delivery::new(Audience::Chats(chats), EventName::$name, payload)
        }
    };
    (user, $name:ident, $payload:ty) => {
        /// Creates an event for all devices of a user.
        pub fn to_user(user: UserId, payload: &$payload) -> Result<Delivery> {
            Delivery::new(Audience::User(user), EventName::$name, payload)
        }
    };
    (session, $name:ident, $payload:ty) => {
        /// Creates an event for the connections of a session, which are closed after it.
        pub fn to_session(user: UserId, session: SessionId, payload: &$payload) -> Result<Delivery> {
            let mut event = Delivery::new(Audience::Session(user, session), EventName::$name, payload)?;
            event.closes = true;
            Ok(event)
        }

        /// Creates the event for a connection whose session ended without it.
        pub fn to_connection(payload: &$payload) -> Result<ConnectionEvent> {
            Ok(ConnectionEvent { name: EventName::$name, payload: encode(payload)? })
        }
    };
    (watchers, $name:ident, $payload:ty) => {
        /// Creates an event for these connections of this node.
        pub fn to_watchers(watchers: Vec<ConnId>, payload: &$payload) -> Result<Delivery> {
            Delivery::new(Audience::Connections(watchers), EventName::$name, payload)
        }
    };
    (connection, $name:ident, $payload:ty) => {
        /// Creates an event for the connection that it is about.
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
                    chats, contacts, drafts, errors, invites, members, messages, moderation, own_state, presence, reactions, reading,
                    sessions, sync, users,
                };

                $(constructor!($audience, $name, $payload);)*
            }
        )*
    };
}
for_each_event!(constructors);

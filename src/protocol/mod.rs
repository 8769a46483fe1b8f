//! The wire types, as pure data: one file per topic with its commands, replies, events and objects, and the catalogue
//! that lists all commands and events. The documents for clients are generated from it. No I/O and no rules.

pub mod asyncapi;
pub mod attachments;
pub mod catalogue;
pub mod change;
pub mod chat_bans;
pub mod chats;
pub mod contacts;
pub mod drafts;
pub mod errors;
pub mod forwarding;
pub mod history;
pub mod invites;
pub mod members;
pub mod message_type;
pub mod messages;
pub mod moderation;
pub mod own_state;
pub mod parse;
pub mod pins;
pub mod presence;
pub mod reactions;
pub mod reading;
pub mod search;
pub mod sessions;
pub mod sync;
pub mod users;

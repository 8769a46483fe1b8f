//! The words of the wire, as pure data: objects, commands with their answers, server events, and the one
//! catalogue that lists them. Documents for clients are derived from it. No I/O and no rules.

pub mod asyncapi;
pub mod catalogue;
pub mod commands;
pub mod events;
pub mod message_type;
pub mod moderation;
pub mod objects;
pub mod parse;

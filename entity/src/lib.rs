//! The tables as `SeaORM` sees them: one file per table with its model and the scopes that queries start from
//! (`visible_to`, `present`, …). There are no business rules here, and nothing that talks to clients.
//!
//! Times are milliseconds since the Unix epoch in an `i64`: both databases store them exactly and sort them the same
//! way. Enums are short strings, so that a dump is readable.

pub mod account_ending;
pub mod attachment;
pub mod audit;
pub mod chat;
pub mod chat_ban;
pub mod contact;
pub mod enums;
pub mod import;
pub mod invite;
pub mod join_request;
pub mod like;
pub mod mail;
pub mod mail_outbox;
pub mod member;
pub mod mention;
pub mod message;
pub mod message_attachment;
pub mod message_edit;
pub mod message_type;
pub mod meta;
pub mod one_time_token;
pub mod reaction;
pub mod refresh_token;
pub mod report;
pub mod session;
pub mod user;

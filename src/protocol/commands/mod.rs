//! Payloads and answers of the client events, by subject. Each payload says what is wrong with it beyond
//! its types (`Check`); what needs the database to know is the domain's to judge.

pub mod chats;
pub mod contacts;
pub mod messages;
pub mod presence;
pub mod roles;
pub mod session;
pub mod sync;

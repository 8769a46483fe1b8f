//! Reads the database of a Mango chat API, the service that this product replaces.
//!
//! [`Source`] opens PostgreSQL in one snapshot and returns users, chats and messages in pages. It knows nothing of
//! the database that they are imported into; that is `domain::import` of the main crate.

mod error;
mod schema;
mod source;
mod times;

pub use error::{Error, Result};
pub use schema::{Counts, Schema};
pub use source::{Source, SourceChat, SourceMessage, SourceUser, read_chat, read_message, read_user};
pub use times::read as read_time;

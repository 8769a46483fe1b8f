//! Messages: sending them in batches, editing, deleting and liking them, and reading the history.

mod aside;
mod batch;
pub(super) mod budget;
mod create_chat;
mod draft;
mod edit;
mod forward;
mod history;
pub(super) mod index;
mod like;
mod pin;
mod prepare;
mod react;
mod readers;
mod results;
mod screen;
mod send;
mod store_postgres;
mod store_sqlite;
mod types;
mod writer;

pub use draft::Draft;
pub use edit::changed;
pub use history::{Anchor, MangoMessages, page};
pub use pin::pinned;
pub use readers::{edits, likes, reactions, reads, rendered};
pub use types::types;
pub use writer::{Options as WriterOptions, Writer};

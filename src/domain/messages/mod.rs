//! Messages: writing them in groups, likes, pages of history, and how they are shown.

mod aside;
mod batch;
pub(super) mod budget;
mod edit;
mod history;
mod like;
mod prepare;
mod send;
mod types;
mod view;
mod writer;

pub use edit::changed;
pub use history::{Anchor, MangoMessages, page};
pub use prepare::Draft;
pub use send::insert_one;
pub use types::types;
pub use view::{MangoMessage, show};
pub use writer::Writer;

//! An account as a whole: its end, and everything that is held on its user.

mod delete;
mod export;
mod leaving;
mod records;

pub use delete::{Deletion, delete};
pub use export::{Export, Running, export};
pub use leaving::{finish_all, watch};

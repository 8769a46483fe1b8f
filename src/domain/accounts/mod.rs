//! Whole accounts: deletion, and the export of all data that is stored about a user.

mod delete;
mod export;
mod leaving;
mod records;

pub use delete::{Deletion, delete, delete_by_admin};
pub use export::{Export, Running, export};
pub use leaving::{finish_all, watch};

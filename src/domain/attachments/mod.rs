//! Attachments: uploading files, reading them, and removing those that no message has.

mod file_type;
mod read;
mod remove;
mod upload;

pub use read::{Access, Opened, disposition, open};
pub use remove::{linked, release, watch};
pub use upload::Upload;

use entity::attachment;

use crate::domain::links::File;

/// How long an uploaded file waits for its message, milliseconds.
const WAITS_MS: i64 = 24 * 60 * 60 * 1_000;

/// How long a file that was sent as content waits for its message, milliseconds. Nobody knows its id, so a message that
/// was refused leaves it to be removed.
const WAITS_BRIEFLY_MS: i64 = 2 * 60 * 1_000;

/// Returns the storage's key of one of the files of an attachment.
fn storage_key(row: &attachment::Model, file: File) -> String {
    format!("attachments/{}/{}", row.storage_key, file.as_str())
}

//! Ensures that one process at a time serves a SQLite database. Two servers would not see each other's events.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;

use super::sqlite;
use crate::clock::Timestamp;
use crate::error::{Error, Result};

/// Locks the database of a URL until this is dropped or the process ends. It is a kernel lock, so a crash does not
/// leave it behind.
pub struct ServingLock {
    _file: Option<File>,
}

impl ServingLock {
    /// Takes the lock at `now`; PostgreSQL and in-memory databases need none. The error names the process that holds
    /// it.
    pub fn take(url: &str, now: i64) -> Result<Self> {
        let Some(database) = sqlite::file_of(url) else { return Ok(Self { _file: None }) };
        // Resolve links: the same file has the same lock, whatever path it is opened by.
        let database = database.canonicalize().unwrap_or(database);
        let path = sqlite::beside(&database, "-serving");
        let unusable = |error: std::io::Error| {
            Error::unavailable(format!("{}: cannot be locked: {error}", path.display()))
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The holder's name is only informative; without it the error message is less specific.
                drop(file.read_to_string(&mut holder));
                let holder = if holder.is_empty() { "another process" } else { holder.trim() };
                return Err(Error::unavailable(format!(
                    "{} is in use by {holder}: stop it first",
                    database.display()
                )));
            }
        }
        let me = format!("process {}, since {}", std::process::id(), Timestamp(now).to_rfc3339());
        file.set_len(0).and_then(|()| file.write_all(me.as_bytes())).map_err(unusable)?;
        Ok(Self { _file: Some(file) })
    }
}

//! Who serves a SQLite database: one process at a time. Two would not hear each other's events.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;

use super::sqlite;
use crate::clock::Timestamp;
use crate::error::{Error, Result};

/// Holds the database of a URL until it is dropped, or its process ends. The kernel keeps the lock, so none is left
/// behind by a crash.
pub struct ServingLock {
    _file: Option<File>,
}

impl ServingLock {
    /// Takes the lock at `now`; PostgreSQL and a database in memory need none. An error names who holds it.
    pub fn take(url: &str, now: i64) -> Result<Self> {
        let Some(database) = sqlite::file_of(url) else { return Ok(Self { _file: None }) };
        // Whatever name it is opened by, it is the same file.
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
                // Who it is is for information: without it the refusal says less.
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

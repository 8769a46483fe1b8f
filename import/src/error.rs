//! The errors of reading a source.

use std::fmt;

/// Why a source cannot be read.
#[derive(Debug)]
pub enum Error {
    /// The URL is wrong, the server refuses it, or the database is not a Mango database.
    Invalid(String),
    /// The source failed while it was read.
    Failed(String),
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Invalid(text) | Self::Failed(text)) = self;
        formatter.write_str(text)
    }
}

impl std::error::Error for Error {}

/// What every fallible function of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

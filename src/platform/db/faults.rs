//! What a database error says about the connection it came from.

use std::io::ErrorKind;
use std::sync::Arc;

use sea_orm::sqlx::Error as SqlxError;
use sea_orm::{DbErr, RuntimeErr};

use crate::error::{driver_error, is_outdated_plan};

/// Returns whether the server closed the connection, so that nothing was done and another connection may do it. After a
/// restart of PostgreSQL, every open connection fails once like this.
pub fn is_cut_off(error: &DbErr) -> bool {
    match driver_error(error) {
        Some(SqlxError::Io(error)) => error.kind() != ErrorKind::TimedOut,
        Some(SqlxError::Protocol(_)) => true,
        // admin_shutdown, crash_shutdown, cannot_connect_now
        Some(SqlxError::Database(error)) => {
            matches!(error.code().as_deref(), Some("57P01" | "57P02" | "57P03"))
        }
        _ => false,
    }
}

/// Returns whether a prepared statement no longer fits the tables.
pub fn is_outdated(error: &DbErr) -> bool {
    driver_error(error).is_some_and(is_outdated_plan)
}

/// Creates the error for a statement that was not answered in time.
pub fn timed_out() -> DbErr {
    let error = std::io::Error::new(ErrorKind::TimedOut, "the database did not answer a statement in time");
    DbErr::Query(RuntimeErr::SqlxError(Arc::new(SqlxError::Io(error))))
}

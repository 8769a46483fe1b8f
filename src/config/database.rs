//! Settings of the database beyond its address: how many connections, and how long anything may take.

use std::time::Duration;

use super::reader::{BadSetting, Reader};

/// Bounds of what the database may cost. They are PostgreSQL's; SQLite knows `lock_timeout` and `acquire_timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseLimits {
    /// Connections of this node at most.
    pub max_connections: u32,
    /// A statement ends after.
    pub statement_timeout: Duration,
    /// A lock is waited for at most.
    pub lock_timeout: Duration,
    /// A connection is waited for at most.
    pub acquire_timeout: Duration,
}

impl Default for DatabaseLimits {
    fn default() -> Self {
        Self {
            max_connections: 16,
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(5),
            acquire_timeout: Duration::from_secs(3),
        }
    }
}

pub(super) fn read(r: &mut Reader<'_>) -> Result<DatabaseLimits, BadSetting> {
    let defaults = DatabaseLimits::default();
    let max_connections = r.number(
        "DB_MAX_CONNECTIONS",
        defaults.max_connections,
        "connections of this node to PostgreSQL at most",
        3,
        1_000,
    )?;
    let millis = |r: &mut Reader<'_>, name, default: Duration, meaning| {
        r.number(name, default.as_millis() as u64, meaning, 100, 600_000).map(Duration::from_millis)
    };
    Ok(DatabaseLimits {
        max_connections,
        statement_timeout: millis(
            r,
            "DB_STATEMENT_TIMEOUT_MS",
            defaults.statement_timeout,
            "a statement of PostgreSQL that takes longer is ended and answered `unavailable`, milliseconds",
        )?,
        lock_timeout: millis(
            r,
            "DB_LOCK_TIMEOUT_MS",
            defaults.lock_timeout,
            "a lock that another transaction holds is waited for at most, milliseconds",
        )?,
        acquire_timeout: millis(
            r,
            "DB_ACQUIRE_TIMEOUT_MS",
            defaults.acquire_timeout,
            "a free connection to the database is waited for at most, milliseconds",
        )?,
    })
}

//! Settings of the database.

use std::path::Path;
use std::time::Duration;

use super::reader::{BadSetting, Reader, bad};
use super::storage::sqlite_url;

/// The database and how it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// `sqlite://FILE`, `sqlite::memory:` or `postgres://…`.
    pub url: String,
    /// Limits on connections and waiting times.
    pub limits: DatabaseLimits,
    /// Whether pending migrations are applied at start.
    pub migrate_on_start: bool,
}

/// Limits on database use. SQLite only has `lock_timeout` and `acquire_timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseLimits {
    /// Maximum number of connections.
    pub max_connections: u32,
    /// Maximum duration of a statement.
    pub statement_timeout: Duration,
    /// Maximum wait for a lock.
    pub lock_timeout: Duration,
    /// Maximum wait for a connection.
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

pub(super) fn read(r: &mut Reader<'_>, data_dir: &Path) -> Result<Database, BadSetting> {
    let url = r
        .raw(
            "DATABASE_URL",
            "",
            "sqlite://FILE, sqlite::memory: or postgres://… [sqlite://DATA_DIR/mango.db]",
        )
        .unwrap_or_else(|| sqlite_url(&data_dir.join("mango.db")));
    if !["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(bad("DATABASE_URL", &url, "sqlite://FILE, sqlite::memory: or postgres://…"));
    }
    let limits = read_limits(r)?;
    let migrate_on_start = r.flag("MIGRATE_ON_START", true, "apply pending migrations at start")?;
    Ok(Database { url, limits, migrate_on_start })
}

fn read_limits(r: &mut Reader<'_>) -> Result<DatabaseLimits, BadSetting> {
    let defaults = DatabaseLimits::default();
    let max_connections =
        r.number("DB_MAX_CONNECTIONS", defaults.max_connections, "most connections to PostgreSQL", 3, 1_000)?;
    let millis = |r: &mut Reader<'_>, name, default: Duration, meaning| {
        r.number(name, default.as_millis() as u64, meaning, 100, 600_000).map(Duration::from_millis)
    };
    Ok(DatabaseLimits {
        max_connections,
        statement_timeout: millis(
            r,
            "DB_STATEMENT_TIMEOUT_MS",
            defaults.statement_timeout,
            "longest time for a statement on PostgreSQL, milliseconds; then the answer is `unavailable`",
        )?,
        lock_timeout: millis(
            r,
            "DB_LOCK_TIMEOUT_MS",
            defaults.lock_timeout,
            "longest wait for a lock that another transaction holds, milliseconds",
        )?,
        acquire_timeout: millis(
            r,
            "DB_ACQUIRE_TIMEOUT_MS",
            defaults.acquire_timeout,
            "longest wait for a free connection to the database, milliseconds",
        )?,
    })
}

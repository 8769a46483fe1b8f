//! Opening SQLite: a write-ahead log, one connection that writes, several that read.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::percent_decode_str;
use sea_orm::sqlx::pool::PoolOptions;
use sea_orm::sqlx::sqlite::{SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{Connection, Error as SqlxError, Sqlite};
use sea_orm::{ConnectOptions, Database, DatabaseConnection};
use tokio::time::{Instant, sleep};

use super::Pools;
use crate::config::DatabaseLimits;
use crate::error::{Error, Result};

/// Number of connections that read.
const READERS: u32 = 4;

/// Returns the file that a SQLite URL names.
pub fn file_of(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite:")?;
    if path.contains(":memory:") || path.contains("mode=memory") {
        return None;
    }
    let path = path.trim_start_matches("//");
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    Some(PathBuf::from(percent_decode_str(path).decode_utf8_lossy().into_owned()))
}

/// Returns the path with `ending` appended, as SQLite names the files that belong to a database.
pub fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Locks a file beside the database: SQLite's own locks cannot be held across several transactions.
pub async fn lock_beside(file: PathBuf) -> Result<File> {
    let locked = tokio::task::spawn_blocking(move || {
        let lock = File::create(beside(&file, "-migrating"))?;
        lock.lock()?;
        std::io::Result::Ok(lock)
    });
    locked.await.map_err(Error::internal)?.map_err(Error::internal)
}

/// Opens the database that `url` names.
pub async fn connect(url: &str, limits: &DatabaseLimits) -> Result<Pools> {
    let file = file_of(url);
    let in_memory = file.is_none();
    if let Some(folder) = file.as_deref().and_then(Path::parent).filter(|it| !it.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(Error::internal)?;
    }
    let DatabaseLimits { acquire_timeout, lock_timeout, .. } = *limits;
    let options = |connections: u32| {
        let mut options = ConnectOptions::new(url);
        options
            .max_connections(connections)
            .min_connections(1)
            .acquire_timeout(acquire_timeout)
            .test_before_acquire(false)
            .sqlx_logging(false)
            .map_sqlx_sqlite_opts(move |sqlite| {
                sqlite
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    // An acknowledgement promises a commit that survives a crash of the machine, not only of the
                    // process.
                    .synchronous(SqliteSynchronous::Full)
                    // Keep statement journals of large inserts in memory instead of in a file.
                    .pragma("temp_store", "memory")
                    // Fewer checkpoints between commits; the log grows to 16 MB.
                    .pragma("wal_autocheckpoint", "4000")
                    .busy_timeout(lock_timeout)
                    .foreign_keys(true)
            })
            .map_sqlx_sqlite_pool_opts(move |pool| {
                let pool = pool.idle_timeout(None).max_lifetime(None);
                // Closing the only connection would delete an in-memory database.
                if in_memory { pool } else { without_open_transactions(pool) }
            });
        options
    };
    let write = open(|| options(1), lock_timeout).await?;
    if let Some(file) = &file {
        // The file contains password hashes: only its owner may read it, even in a folder that others can access.
        std::fs::set_permissions(file, Permissions::from_mode(0o600)).map_err(Error::internal)?;
    }
    if in_memory {
        return Ok(Pools { read: write.clone(), background: write.clone(), write, writers: 1 });
    }
    let read = open(|| options(READERS), lock_timeout).await?;
    let background = open(|| options(1), lock_timeout).await?;
    Ok(Pools { write, read, background, writers: 1 })
}

/// Closes a connection whose last transaction did not end, instead of returning it to the pool.
///
/// SQLite rolls back by itself if a commit fails because of a full disk or an I/O error. The `ROLLBACK` that follows
/// then fails, and sqlx keeps counting an open transaction: every later `BEGIN` would only set a savepoint in a
/// transaction that never commits, and every change acknowledged in it would be lost.
fn without_open_transactions(pool: PoolOptions<Sqlite>) -> PoolOptions<Sqlite> {
    pool.after_release(|connection, _| Box::pin(has_ended(connection)))
        .before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
}

/// Returns whether the connection's last transaction ended, after executing a rollback that is queued on it.
async fn has_ended(connection: &mut SqliteConnection) -> std::result::Result<bool, SqlxError> {
    connection.ping().await?;
    let ended = !connection.is_in_transaction();
    if !ended {
        tracing::error!("a transaction could not be rolled back: its database connection is replaced");
    }
    Ok(ended)
}

/// Opens the file, and retries until `patience` has passed if another process has locked it. SQLite itself waits for
/// most locks, but not while it switches a new file to a write-ahead log.
async fn open(options: impl Fn() -> ConnectOptions, patience: Duration) -> Result<DatabaseConnection> {
    let until = Instant::now() + patience;
    loop {
        match Database::connect(options()).await.map_err(Error::from) {
            Err(error) if error.retryable && Instant::now() < until => sleep(Duration::from_millis(50)).await,
            opened => return opened,
        }
    }
}

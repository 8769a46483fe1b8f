//! The database: connecting, migrating, and transactions that keep their events to themselves until they
//! have committed.
//!
//! SQLite: WAL, one connection that writes, a pool that reads. PostgreSQL: one pool. On both, a commit and
//! the publishing of what it announces happen behind one gate, so that events leave in commit order.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use migration::{Migrator, MigratorTrait};
use sea_orm::sqlx::pool::PoolOptions;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::sqlite::{SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{Connection, Error as SqlxError, Sqlite};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, sleep, timeout};

use super::bus::{Delivery, Place};
use crate::error::{Code, Error, Result};
use crate::random;

/// Any number of our own; all nodes take this PostgreSQL advisory lock while migrating.
const MIGRATION_LOCK: i64 = 0x6d61_6e67_6f01;

/// Connections to PostgreSQL.
const MAX_CONNECTIONS: u32 = 16;

/// What a connection may be waited for.
const ACQUIRE: Duration = Duration::from_secs(5);

/// What a commit may take. It holds the gate: a database that hangs must not keep everybody for ever.
const COMMIT: Duration = Duration::from_secs(15);

/// What [`Db::check_writable`] writes.
const PROBE_BYTES: usize = 32 * 1_024;

/// What a commit hands out: the reply, the events, and the gate that keeps later commits from overtaking.
pub struct Outcome<T> {
    /// For the caller.
    pub reply: T,
    /// Where the change stands, if it changed a chat.
    pub place: Option<Place>,
    /// In order.
    pub events: Vec<Delivery>,
    /// Held until the events are published.
    pub gate: Option<OwnedMutexGuard<()>>,
}

impl<T> Outcome<T> {
    /// Nothing changed, there is only an answer.
    pub fn unchanged(reply: T) -> Self {
        Self { reply, place: None, events: Vec::new(), gate: None }
    }
}

/// A transaction that keeps its events to itself until it commits. Dropped, it announces nothing.
pub struct Tx {
    inner: DatabaseTransaction,
    gate: Arc<Mutex<()>>,
    events: Vec<Delivery>,
    place: Option<Place>,
}

impl Tx {
    /// The connection to query within the transaction.
    pub fn conn(&self) -> &DatabaseTransaction {
        &self.inner
    }

    /// Adds an event that is published after the commit.
    pub fn announce(&mut self, event: Delivery) {
        self.events.push(event);
    }

    /// Where this transaction's changes stand so far.
    pub fn place(&self) -> Option<Place> {
        self.place
    }

    /// Notes that a change took its place; several changes of one transaction are told as one.
    pub fn took_place(&mut self, place: Place) {
        let first = self.place.get_or_insert(place);
        first.rev = place.rev;
    }

    /// Commits, then hands out the events.
    pub async fn commit<T>(self, reply: T) -> Result<Outcome<T>> {
        let gate = self.gate.lock_owned().await;
        timeout(COMMIT, self.inner.commit())
            .await
            .map_err(|_| Error::unavailable("the database did not answer a commit in time"))??;
        Ok(Outcome { reply, place: self.place, events: self.events, gate: Some(gate) })
    }

    /// Gives everything up and answers `reply`: nothing was changed.
    pub async fn unchanged<T>(self, reply: T) -> Result<Outcome<T>> {
        self.inner.rollback().await?;
        Ok(Outcome::unchanged(reply))
    }
}

/// The database.
#[derive(Clone)]
pub struct Db {
    write: DatabaseConnection,
    read: DatabaseConnection,
    gate: Arc<Mutex<()>>,
    /// Where SQLite's file is, if there is one.
    file: Option<PathBuf>,
}

impl Db {
    /// Connects to `url`: `sqlite://FILE`, `sqlite::memory:` or `postgres://…`.
    pub async fn connect(url: &str) -> Result<Self> {
        let (write, read) = if url.starts_with("sqlite") {
            connect_sqlite(url).await?
        } else {
            // The libraries' own words for a bad URL repeat it, password and all.
            url.parse::<PgConnectOptions>().map_err(|_| {
                let problem =
                    "is not a valid PostgreSQL URL; percent-encode special characters in the password";
                Error::invalid("DATABASE_URL", problem)
            })?;
            let mut options = ConnectOptions::new(url);
            options
                .max_connections(MAX_CONNECTIONS)
                .acquire_timeout(ACQUIRE)
                // Reading asks a connection that has been idle whether it is still there.
                .test_before_acquire_if_idle_for(Duration::from_secs(1))
                .sqlx_logging(false);
            let pool = Database::connect(options).await?;
            (pool.clone(), pool)
        };
        Ok(Self { write, read, gate: Arc::new(Mutex::new(())), file: sqlite_file(url) })
    }

    /// For reading outside of any transaction. Never while one's own [`Tx`] is open: an in-memory SQLite
    /// has one connection, and it would wait for itself.
    pub fn read(&self) -> &DatabaseConnection {
        &self.read
    }

    /// Which of the two it is.
    pub fn backend(&self) -> DbBackend {
        self.write.get_database_backend()
    }

    /// Begins a transaction that will write.
    #[expect(clippy::disallowed_methods, reason = "the one place that begins transactions")]
    pub async fn begin(&self) -> Result<Tx> {
        let options = TransactionOptions {
            isolation_level: None,
            access_mode: None,
            // A deferred transaction that reads and then writes fails when another wrote in between.
            sqlite_transaction_mode: (self.backend() == DbBackend::Sqlite)
                .then_some(SqliteTransactionMode::Immediate),
        };
        // After a restart of the database the pool is full of dead connections: each fails once, at once, and
        // nothing has been done on it.
        let mut tries = 0;
        let inner = loop {
            match self.write.begin_with_options(options).await {
                Ok(inner) => break inner,
                Err(error @ DbErr::ConnectionAcquire(_)) => return Err(error.into()),
                Err(error) => {
                    let error = Error::from(error);
                    tries += 1;
                    if tries > MAX_CONNECTIONS || error.code != Code::Unavailable {
                        return Err(error);
                    }
                }
            }
        };
        Ok(Tx { inner, gate: self.gate.clone(), events: Vec::new(), place: None })
    }

    /// Whether the database takes changes: one on a full disk still answers queries. It writes about as much as a
    /// long message takes, because the last few bytes of a disk would take a shorter one.
    pub async fn check_writable(&self) -> Result<()> {
        let write = async {
            let tx = self.begin().await?;
            // SQLite writes no page whose content stays the same, so it is another one each time.
            let probe = random::hex(16)?.repeat(PROBE_BYTES / 32);
            let mark = format!(
                "INSERT INTO meta (key, value) VALUES ('write_probe', '{probe}') \
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value"
            );
            tx.conn().execute_unprepared(&mark).await?;
            tx.commit(()).await.map(|_| ())
        };
        timeout(ACQUIRE, write)
            .await
            .map_err(|_| Error::unavailable("the database did not answer a write in time"))?
    }

    /// Moves SQLite's write-ahead log into the database file, so that after a clean stop the file alone is complete.
    pub async fn checkpoint(&self) -> Result<()> {
        if self.file.is_some() {
            let moved = self.write.execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)");
            timeout(ACQUIRE, moved)
                .await
                .map_err(|_| Error::unavailable("the database did not answer a checkpoint in time"))??;
        }
        Ok(())
    }

    /// Applies all pending migrations. Nodes that start together wait for each other.
    pub async fn migrate_up(&self) -> Result<()> {
        self.migrating(async |db| Migrator::up(db, None).await).await
    }

    /// Takes one migration back.
    pub async fn migrate_down(&self) -> Result<()> {
        self.migrating(async |db| Migrator::down(db, Some(1)).await).await
    }

    /// Every migration by name, and whether it is applied.
    pub async fn migration_status(&self) -> Result<Vec<(String, bool)>> {
        let pending: Vec<String> = Migrator::get_pending_migrations_read_only(&self.write)
            .await?
            .iter()
            .map(|it| it.name().to_owned())
            .collect();
        Ok(Migrator::get_migration_files()
            .iter()
            .map(|it| (it.name().to_owned(), !pending.iter().any(|name| name == it.name())))
            .collect())
    }

    #[expect(clippy::disallowed_methods, reason = "the lock lives as long as this transaction")]
    async fn migrating(
        &self,
        work: impl AsyncFnOnce(&DatabaseConnection) -> std::result::Result<(), DbErr>,
    ) -> Result<()> {
        if self.backend() != DbBackend::Postgres {
            let _lock = match self.file.clone() {
                Some(file) => Some(lock_beside(file).await?),
                None => None,
            };
            return work(&self.write).await.map_err(Error::from);
        }
        let lock = self.write.begin().await?;
        lock.execute_raw(Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT pg_advisory_xact_lock($1)",
            [MIGRATION_LOCK.into()],
        ))
        .await?;
        let done = work(&self.write).await;
        lock.rollback().await?;
        done.map_err(Error::from)
    }
}

/// The file that a SQLite URL names.
fn sqlite_file(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite:")?;
    if path.contains(":memory:") || path.contains("mode=memory") {
        return None;
    }
    let path = path.trim_start_matches("//");
    Some(PathBuf::from(path.split_once('?').map_or(path, |(path, _)| path)))
}

/// SQLite's own locks cannot be held over several transactions: a file beside it can.
async fn lock_beside(file: PathBuf) -> Result<File> {
    let locked = tokio::task::spawn_blocking(move || {
        let mut name = file.into_os_string();
        name.push("-migrating");
        let lock = File::create(name)?;
        lock.lock()?;
        std::io::Result::Ok(lock)
    });
    locked.await.map_err(Error::internal)?.map_err(Error::internal)
}

async fn connect_sqlite(url: &str) -> Result<(DatabaseConnection, DatabaseConnection)> {
    let file = sqlite_file(url);
    let in_memory = file.is_none();
    if let Some(folder) = file.as_deref().and_then(Path::parent).filter(|it| !it.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(Error::internal)?;
    }
    let options = |connections: u32| {
        let mut options = ConnectOptions::new(url);
        options
            .max_connections(connections)
            .min_connections(1)
            .acquire_timeout(ACQUIRE)
            .test_before_acquire(false)
            .sqlx_logging(false)
            .map_sqlx_sqlite_opts(|sqlite| {
                sqlite
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    // An ack promises a commit that survives the machine, not only the process.
                    .synchronous(SqliteSynchronous::Full)
                    // Statement journals of large inserts stay in memory instead of a file of their own.
                    .pragma("temp_store", "memory")
                    // Fewer checkpoints between commits; the log grows to 16 MB.
                    .pragma("wal_autocheckpoint", "4000")
                    .busy_timeout(Duration::from_secs(5))
                    .foreign_keys(true)
            })
            .map_sqlx_sqlite_pool_opts(move |pool| {
                let pool = pool.idle_timeout(None).max_lifetime(None);
                // Closing its only connection would delete an in-memory database.
                if in_memory { pool } else { without_open_transactions(pool) }
            });
        options
    };
    let write = open_sqlite(|| options(1)).await?;
    if let Some(file) = &file {
        // Password hashes are in it: its owner's alone, also in a folder that others may look into.
        std::fs::set_permissions(file, Permissions::from_mode(0o600)).map_err(Error::internal)?;
    }
    let read = if in_memory { write.clone() } else { open_sqlite(|| options(4)).await? };
    Ok((write, read))
}

/// Closes a connection whose last transaction did not end, instead of lending it out again.
///
/// SQLite rolls back by itself when a commit meets a full disk or an I/O error. The `ROLLBACK` that follows then
/// fails, and sqlx goes on counting an open transaction: every later `BEGIN` would only set a savepoint in a
/// transaction that never commits, and whatever is acknowledged in it would be lost.
fn without_open_transactions(pool: PoolOptions<Sqlite>) -> PoolOptions<Sqlite> {
    pool.after_release(|connection, _| Box::pin(has_ended(connection)))
        .before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
}

/// Whether the connection's last transaction ended; a rollback that is queued on it is carried out first.
async fn has_ended(connection: &mut SqliteConnection) -> std::result::Result<bool, SqlxError> {
    connection.ping().await?;
    let ended = !connection.is_in_transaction();
    if !ended {
        tracing::error!("a transaction could not be rolled back: its database connection is replaced");
    }
    Ok(ended)
}

/// Opens the file, again and again for as long as [`ACQUIRE`] while another process has it locked: SQLite waits by
/// itself for most locks, but not while it turns a new file to a write-ahead log.
async fn open_sqlite(options: impl Fn() -> ConnectOptions) -> Result<DatabaseConnection> {
    let until = Instant::now() + ACQUIRE;
    loop {
        match Database::connect(options()).await.map_err(Error::from) {
            Err(error) if error.retryable && Instant::now() < until => sleep(Duration::from_millis(50)).await,
            opened => return opened,
        }
    }
}

/// How often a piece of work is begun again when the database had to choose a victim.
const ATTEMPTS: u64 = 5;

/// Does a piece of work that has a transaction of its own, and does it again where it failed by no fault of its own:
/// two wrote to the same rows, or something changed that had been looked at. After a short pause of random length,
/// so that two that collided do not collide again.
pub async fn again<T, F: Future<Output = Result<T>>>(work: impl Fn() -> F) -> Result<T> {
    let mut attempt = 1;
    loop {
        match work().await {
            Err(error) if error.retryable && attempt < ATTEMPTS => {
                sleep(Duration::from_millis(attempt * 5 + random::below(20) as u64)).await;
                attempt += 1;
            }
            done => return done,
        }
    }
}

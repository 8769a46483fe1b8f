//! The database: connections, migrations, and transactions that hold back their events until they have committed.
//!
//! SQLite: WAL, two connections that write in turn, and a pool that reads. PostgreSQL: separate pools for writing, reading
//! and background work. The commits of transactions and the publishing of their events happen under one lock, so that
//! events are published in commit order; groups of messages do without it (see `autocommit` and `direct`), and the
//! publisher sorts their events. Every call returns in time, even if the database hangs.

mod autocommit;
mod direct;
mod explain;
mod faults;
mod files;
mod freshness;
mod limited;
mod migrations;
mod postgres;
mod retry;
mod serving;
mod sqlite;
mod transaction;

pub use autocommit::{Autocommit, Failure};
pub use direct::Direct;
pub use explain::{check_before, explain_migrate, explain_open};
pub use limited::{Reader, TxConnection};
pub use migrations::known_migrations;
pub use retry::retry;
pub use serving::ServingLock;
pub use sqlite::file_of;
pub use transaction::{OpenChange, Outcome, OutcomeParts, Tx};

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex as SyncMutex;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore};
use tokio::time::timeout;

use crate::config::DatabaseLimits;
use crate::error::{Error, Result};
use crate::random;
use freshness::Freshness;
use limited::Patience;

/// Into how many slices the wait for a connection is divided; see [`Patience::on_a_connection`].
const SLICES: u32 = 3;

/// How much longer a statement may take than the database's own limit, whose error is more precise.
const MARGIN: Duration = Duration::from_millis(500);

/// Number of bytes that [`Db::check_writable`] writes.
const PROBE_BYTES: usize = 32 * 1_024;

/// How long [`Db::check_writable`] may take.
const PROBE: Duration = Duration::from_secs(3);

/// How long a checkpoint may take.
const CHECKPOINT: Duration = Duration::from_secs(5);

/// Connections by purpose.
struct Pools {
    write: DatabaseConnection,
    read: DatabaseConnection,
    background: DatabaseConnection,
    /// Number of connections in `write`.
    writers: usize,
}

/// A handle to the database. Clones share its connections.
#[derive(Clone)]
pub struct Db {
    write: DatabaseConnection,
    read: Reader,
    background: Reader,
    patience: Patience,
    lock_timeout: Duration,
    commit_order: Arc<Mutex<()>>,
    /// Limits how many transactions may wait for a row that another transaction has locked, to half of the connections.
    /// The other half stays available for transactions on other rows.
    waiting: Arc<Semaphore>,
    /// Number of connections for writing.
    writers: usize,
    /// Admits one writer at a time to a SQLite file, whichever connection it uses. SQLite's own lock is not fair.
    turn: Option<Arc<Semaphore>>,
    url: Arc<str>,
    /// The SQLite file, if there is one.
    file: Option<PathBuf>,
    direct: Arc<SyncMutex<Weak<Direct>>>,
}

impl Db {
    /// Connects to `url`: `sqlite://FILE`, `sqlite::memory:` or `postgres://…`.
    pub async fn connect(url: &str, limits: &DatabaseLimits) -> Result<Self> {
        let freshness = Arc::<Freshness>::default();
        let is_sqlite = url.starts_with("sqlite");
        let pools = if is_sqlite {
            sqlite::connect(url, limits).await?
        } else {
            postgres::connect(url, limits, &freshness).await?
        };
        let patience = Patience {
            statement: (!is_sqlite).then_some(limits.statement_timeout + MARGIN),
            acquire: limits.acquire_timeout,
            freshness,
        };
        Ok(Self {
            read: Reader::new(pools.read, patience.clone()),
            background: Reader::new(pools.background, patience.clone()),
            write: pools.write,
            patience,
            lock_timeout: limits.lock_timeout,
            commit_order: Arc::default(),
            waiting: Arc::new(Semaphore::new((pools.writers / 2).max(1))),
            writers: pools.writers,
            turn: is_sqlite.then(|| Arc::new(Semaphore::new(1))),
            url: url.into(),
            file: sqlite::file_of(url),
            direct: Arc::default(),
        })
    }

    /// Returns the connections for reading outside of any transaction. Do not use them while the same task has a [`Tx`]
    /// open: an in-memory SQLite database has a single connection, so the task would wait for itself.
    pub fn read(&self) -> &Reader {
        &self.read
    }

    /// Returns the connections for background reads. They are separate, so that background work and requests do not
    /// wait for each other.
    pub fn background(&self) -> &Reader {
        &self.background
    }

    /// Returns how long a transaction waits for a lock that another transaction holds.
    pub fn lock_timeout(&self) -> Duration {
        self.lock_timeout
    }

    /// Returns the number of connections for writing.
    pub fn writers(&self) -> usize {
        self.writers
    }

    /// Returns the kind of the database.
    pub fn backend(&self) -> DbBackend {
        self.write.get_database_backend()
    }

    /// Begins a transaction for writing.
    #[expect(clippy::disallowed_methods, reason = "the one place that begins transactions")]
    pub async fn begin(&self) -> Result<Tx> {
        let options = TransactionOptions {
            isolation_level: None,
            access_mode: None,
            // A deferred transaction that reads and then writes fails if another one wrote in between.
            sqlite_transaction_mode: (self.backend() == DbBackend::Sqlite)
                .then_some(SqliteTransactionMode::Immediate),
        };
        let turn = match &self.turn {
            Some(turn) => {
                let taken = timeout(self.patience.acquire, turn.clone().acquire_owned()).await;
                let taken = taken.map_err(|_| Error::unavailable("the database is busy"))?;
                Some(taken.map_err(Error::internal)?)
            }
            None => None,
        };
        let begun = self.patience.on_a_connection(|| self.write.begin_with_options(options)).await;
        let begun = begun.map_err(|error| {
            let mut error = Error::from(error);
            if error.retryable && self.backend() == DbBackend::Sqlite {
                // The busy timeout has already passed; a retry would multiply the wait.
                let source = error.source.take();
                error = Error::unavailable("another process holds the database");
                error.source = source;
            }
            error
        })?;
        let inner = TxConnection::new(begun, self.patience.clone());
        Ok(Tx::new(inner, self.commit_order.clone(), self.waiting.clone(), turn))
    }

    /// Returns a connection for statements that commit by themselves; `None` on SQLite.
    pub fn autocommit(&self) -> Option<Autocommit> {
        (self.backend() == DbBackend::Postgres).then(|| {
            Autocommit::new(self.write.get_postgres_connection_pool().clone(), self.patience.clone())
        })
    }

    /// Whether groups can be stored at once, by [`Self::autocommit`] or [`Self::direct`].
    pub fn stores_groups(&self) -> bool {
        self.backend() == DbBackend::Postgres || self.file.is_some()
    }

    /// Returns the connection that has a thread of its own; `None` unless the database is a SQLite file. It exists once,
    /// because a second one would empty the page cache of the first with every commit.
    pub fn direct(&self) -> Result<Option<Arc<Direct>>> {
        let (Some(file), Some(turn)) = (&self.file, &self.turn) else { return Ok(None) };
        let mut direct = self.direct.lock();
        if let Some(running) = direct.upgrade() {
            return Ok(Some(running));
        }
        let patience = self.patience.acquire;
        let started = Direct::start(file.clone(), &self.url, self.lock_timeout, turn.clone(), patience)?;
        let started = Arc::new(started);
        *direct = Arc::downgrade(&started);
        Ok(Some(started))
    }

    /// Waits until all commits so far have published their events. Later ones publish after the guard is dropped.
    pub async fn commit_order(&self) -> OwnedMutexGuard<()> {
        self.commit_order.clone().lock_owned().await
    }

    /// Checks that the database accepts changes, because one with a full disk still answers queries. It writes about as
    /// much as a long message takes, since a shorter write might fit into the last bytes of the disk.
    pub async fn check_writable(&self) -> Result<()> {
        let write = async {
            let tx = self.begin().await?;
            // SQLite does not write pages whose content stays the same, and PostgreSQL compresses repetitions.
            let probe = random::hex(PROBE_BYTES / 2)?;
            let mark = format!(
                "INSERT INTO meta (key, value) VALUES ('write_probe', '{probe}') \
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value"
            );
            tx.conn().execute_unprepared(&mark).await?;
            tx.commit_silently().await
        };
        timeout(PROBE, write)
            .await
            .map_err(|_| Error::unavailable("the database did not answer a write in time"))?
    }

    /// Moves SQLite's write-ahead log into the database file, so that the file alone is complete after a clean
    /// shutdown.
    pub async fn checkpoint(&self) -> Result<()> {
        if self.file.is_some() {
            let moved = self.write.execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)");
            timeout(CHECKPOINT, moved)
                .await
                .map_err(|_| Error::unavailable("the database did not answer a checkpoint in time"))??;
        }
        Ok(())
    }
}

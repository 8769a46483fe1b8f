//! The database: connecting, migrating, and transactions that keep their events to themselves until they
//! have committed.
//!
//! SQLite: WAL, one connection that writes, a pool that reads. PostgreSQL: pools for writing, reading and what happens
//! in the background. On both, a commit and the publishing of what it announces happen behind one lock, so that events
//! leave in commit order. Everything is answered in time, also while the database hangs.

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

pub use explain::{check_before, explain_migrate, explain_open};
pub use limited::{Reader, TxConnection};
pub use migrations::known_migrations;
pub use retry::retry;
pub use serving::ServingLock;
pub use sqlite::file_of;
pub use transaction::{OpenChange, Outcome, OutcomeParts, Tx};

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;

use crate::config::DatabaseLimits;
use crate::error::{Error, Result};
use crate::random;
use freshness::Freshness;
use limited::Patience;

/// Into so many parts the wait for a connection is divided, see [`Patience::on_a_connection`].
const SLICES: u32 = 3;

/// What the answer to a statement may take beyond the database's own limit, which is the better error.
const MARGIN: Duration = Duration::from_millis(500);

/// What [`Db::check_writable`] writes.
const PROBE_BYTES: usize = 32 * 1_024;

/// What [`Db::check_writable`] may take.
const PROBE: Duration = Duration::from_secs(3);

/// What a checkpoint may take.
const CHECKPOINT: Duration = Duration::from_secs(5);

/// Connections by what they are for.
struct Pools {
    write: DatabaseConnection,
    read: DatabaseConnection,
    background: DatabaseConnection,
    /// Connections in `write`.
    writers: usize,
}

/// The database.
#[derive(Clone)]
pub struct Db {
    write: DatabaseConnection,
    read: Reader,
    background: Reader,
    patience: Patience,
    lock_timeout: Duration,
    commit_order: Arc<Mutex<()>>,
    /// Transactions that may wait for a row that another transaction holds: half of the connections. The other half
    /// is left to those that touch other rows.
    waiting: Arc<Semaphore>,
    url: Arc<str>,
    /// Where SQLite's file is, if there is one.
    file: Option<PathBuf>,
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
            url: url.into(),
            file: sqlite::file_of(url),
        })
    }

    /// For reading outside of any transaction. Never while a [`Tx`] of the same task is open: an in-memory SQLite
    /// has one connection, and it would wait for itself.
    pub fn read(&self) -> &Reader {
        &self.read
    }

    /// The same for what happens in the background, on connections of its own: it keeps no request waiting, and
    /// requests do not keep it waiting.
    pub fn background(&self) -> &Reader {
        &self.background
    }

    /// How long a lock that another transaction holds is waited for.
    pub fn lock_timeout(&self) -> Duration {
        self.lock_timeout
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
        let begun = self.patience.on_a_connection(|| self.write.begin_with_options(options)).await;
        let begun = begun.map_err(|error| {
            let mut error = Error::from(error);
            if error.retryable && self.backend() == DbBackend::Sqlite {
                // It has waited for the busy timeout already: nobody should wait for several times that.
                let source = error.source.take();
                error = Error::unavailable("another process holds the database");
                error.source = source;
            }
            error
        })?;
        let inner = TxConnection::new(begun, self.patience.clone());
        Ok(Tx::new(inner, self.commit_order.clone(), self.waiting.clone()))
    }

    /// Whether the database takes changes: one on a full disk still answers queries. It writes about as much as a
    /// long message takes, because the last few bytes of a disk would take a shorter one.
    pub async fn check_writable(&self) -> Result<()> {
        let write = async {
            let tx = self.begin().await?;
            // SQLite writes no page whose content stays the same, and PostgreSQL compresses what repeats.
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

    /// Moves SQLite's write-ahead log into the database file, so that after a clean stop the file alone is complete.
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

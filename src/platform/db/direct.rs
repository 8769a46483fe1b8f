//! A connection to SQLite with a thread of its own, for transactions of many small statements: they run one after the
//! other on that thread, where each of sqlx's would be passed to another thread and back.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use super::autocommit::Failure;
use super::transaction::COMMIT;
use crate::error::{Error, Result};

/// Prepared statements that a connection keeps.
const STATEMENTS: usize = 32;

/// What a connection is set to. Foreign keys are not checked: the transactions read the rows that they refer to.
const SETTINGS: &str = "PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF; PRAGMA temp_store = memory; \
    PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -8000";

type Task = Box<dyn FnOnce(&mut Slot) + Send>;

/// The connection, which is opened when it is first needed and replaced after a failure.
struct Slot {
    file: PathBuf,
    /// The name of the file system layer (VFS), if it is not the default one.
    vfs: Option<String>,
    lock_timeout: Duration,
    connection: Option<Connection>,
}

/// A handle to the thread, which ends when the handle is dropped.
pub struct Direct {
    tasks: Sender<Task>,
    turn: Arc<Semaphore>,
    patience: Duration,
}

impl Direct {
    /// Starts the thread. `turn` admits one writer of this process at a time.
    pub(super) fn start(
        file: PathBuf,
        url: &str,
        lock_timeout: Duration,
        turn: Arc<Semaphore>,
        patience: Duration,
    ) -> Result<Self> {
        let vfs = url.split_once('?').and_then(|(_, query)| {
            query.split('&').find_map(|pair| pair.strip_prefix("vfs=").map(str::to_owned))
        });
        let (tasks, waiting): (Sender<Task>, Receiver<Task>) = channel();
        let mut slot = Slot { file, vfs, lock_timeout, connection: None };
        thread::Builder::new()
            .name("sqlite-direct".to_owned())
            // A panic loses the result of one task, but the thread keeps running.
            .spawn(move || {
                for task in waiting {
                    drop(catch_unwind(AssertUnwindSafe(|| task(&mut slot))));
                }
            })
            .map_err(Error::internal)?;
        Ok(Self { tasks, turn, patience })
    }

    /// Runs `work` within a transaction that writes. If it fails, nothing is stored.
    pub async fn transaction<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        self.run(work, drop).await.map(|(value, ())| value)
    }

    /// Does the same. Until the returned permit is dropped, no other transaction of this process begins.
    pub async fn transaction_in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<(T, OwnedSemaphorePermit), Failure> {
        self.run(work, |turn| turn).await
    }

    async fn run<T: Send + 'static, P: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
        release: impl FnOnce(OwnedSemaphorePermit) -> P + Send + 'static,
    ) -> Result<(T, P), Failure> {
        let busy = || Failure::Unknown(Error::unavailable("the database is busy"));
        let turn = timeout(self.patience, self.turn.clone().acquire_owned()).await.map_err(|_| busy())?;
        let turn = turn.map_err(|_| busy())?;
        let (answer, done) = oneshot::channel();
        let task: Task = Box::new(move |slot| {
            // The permit is held until the work has ended, even if nobody waits for it any more.
            let done = slot.transaction(work);
            let permit = release(turn);
            drop(answer.send(done.map(|value| (value, permit))));
        });
        let gone = || Failure::Unknown(Error::unavailable("the writer of the database has stopped"));
        self.tasks.send(task).map_err(|_| gone())?;
        let late = || Failure::Unknown(Error::unavailable("the database did not answer a commit in time"));
        match timeout(COMMIT, done).await {
            Ok(done) => done.unwrap_or_else(|_| Err(gone())),
            Err(_) => Err(late()),
        }
    }
}

impl Slot {
    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = match &self.vfs {
            Some(vfs) => Connection::open_with_flags_and_vfs(&self.file, flags, vfs.as_str())?,
            None => Connection::open_with_flags(&self.file, flags)?,
        };
        connection.busy_timeout(self.lock_timeout)?;
        connection.execute_batch(SETTINGS)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(connection)
    }

    fn transaction<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Failure> {
        if self.connection.is_none() {
            self.connection = Some(self.open().map_err(|error| {
                tracing::warn!(%error, "a connection for groups could not be opened");
                Failure::Refused(error.into())
            })?);
        }
        // Out of the slot meanwhile: a panic drops the connection, which rolls back.
        let Some(mut connection) = self.connection.take() else {
            return Err(Failure::Refused(Error::internal("a connection vanished")));
        };
        let done = run(&mut connection, work);
        // SQLite rolls back by itself after some errors, and after others not at all.
        if connection.is_autocommit() {
            self.connection = Some(connection);
        }
        done
    }
}

fn run<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> Result<T, Failure> {
    let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
    let transaction = begun.map_err(|error| match error.sqlite_error_code() {
        // The busy timeout has passed already; another attempt would double the wait.
        Some(ErrorCode::DatabaseBusy) => Failure::Unknown(error.into()),
        _ => Failure::Refused(error.into()),
    })?;
    let value = work(&transaction).map_err(|error| Failure::Refused(error.into()))?;
    transaction.commit().map_err(|error| Failure::Unknown(error.into()))?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direct(folder: &tempfile::TempDir) -> Direct {
        let file = folder.path().join("x.db");
        Connection::open(&file)
            .and_then(|it| it.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (a INTEGER UNIQUE)"))
            .expect("a database");
        let second = Duration::from_secs(1);
        Direct::start(file, "sqlite://x.db", second, Arc::new(Semaphore::new(1)), second).expect("starts")
    }

    async fn insert(direct: &Direct, values: &'static [i64]) -> Result<i64, Failure> {
        let work = move |tx: &Transaction<'_>| {
            for value in values {
                tx.execute("INSERT INTO t VALUES (?1)", [value])?;
            }
            tx.query_row("SELECT count(*) FROM t", [], |row| row.get(0))
        };
        direct.transaction(work).await
    }

    #[tokio::test]
    async fn a_transaction_is_stored_as_a_whole_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let direct = direct(&folder);
        assert!(matches!(insert(&direct, &[1, 2]).await, Ok(2)));
        assert!(matches!(insert(&direct, &[3, 1]).await, Err(Failure::Refused(_))));
        assert!(matches!(insert(&direct, &[4]).await, Ok(3)), "3 was rolled back");
    }

    #[tokio::test]
    async fn a_panic_and_a_lock_of_another_process_fail_one_transaction() {
        let folder = tempfile::tempdir().expect("a folder");
        let direct = direct(&folder);
        let panics = direct.transaction::<()>(|_| panic!("on purpose")).await;
        assert!(matches!(panics, Err(Failure::Unknown(_))));
        assert!(matches!(insert(&direct, &[1]).await, Ok(1)));

        let other = Connection::open(folder.path().join("x.db")).expect("opens");
        other.execute_batch("BEGIN IMMEDIATE").expect("locks");
        assert!(matches!(insert(&direct, &[2]).await, Err(Failure::Unknown(_))));
        other.execute_batch("COMMIT").expect("unlocks");
        assert!(matches!(insert(&direct, &[3]).await, Ok(2)));
    }
}

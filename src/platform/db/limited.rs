//! Connections as the rules see them: every statement has a time limit of ours beside the database's own, which does
//! nothing against a server that hangs or a network that is gone.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult,
    QueryResult, Statement,
};
use tokio::time::{Instant, timeout};

use super::faults::{is_cut_off, is_outdated, timed_out};
use super::freshness::Freshness;

/// How long things may take; shared by all connections of one database.
#[derive(Clone)]
pub struct Patience {
    /// For the answer to a statement; none where the database runs in this process (SQLite).
    pub statement: Option<Duration>,
    /// For a free connection.
    pub acquire: Duration,
    /// Which connections are still used.
    pub freshness: Arc<Freshness>,
}

impl Patience {
    /// Waits for the answer to one statement.
    pub async fn for_statement<T>(&self, answer: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        let Some(limit) = self.statement else { return answer.await };
        timeout(limit, answer).await.unwrap_or_else(|_| {
            self.freshness.renew();
            Err(timed_out())
        })
    }

    /// Does something on a connection that has to be acquired first, and again if it failed by no fault of its own:
    ///
    /// - No connection came free. The pool waits in slices of this time, because sqlx goes on trying to open a new
    ///   connection where the server allows no more, though others have come free meanwhile.
    /// - The connection had been cut off, or its prepared statements do not fit any more: once more, on a new one. So
    ///   this is only for what may be done twice: reading, and beginning a transaction.
    pub async fn on_a_connection<T, F: Future<Output = Result<T, DbErr>>>(
        &self,
        work: impl Fn() -> F,
    ) -> Result<T, DbErr> {
        let until = Instant::now() + self.acquire;
        let mut repeated = false;
        loop {
            // The pool's own limits bound the wait for a connection; they come on top of the statement's.
            let limit = self.statement.map(|statement| statement + self.acquire);
            let done = match limit {
                Some(limit) => timeout(limit, work()).await.unwrap_or_else(|_| {
                    self.freshness.renew();
                    Err(timed_out())
                }),
                None => work().await,
            };
            match done {
                Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)) if Instant::now() < until => {}
                Err(error) if !repeated && (is_cut_off(&error) || is_outdated(&error)) => {
                    self.freshness.renew();
                    repeated = true;
                }
                done => return done,
            }
        }
    }
}

/// For reading outside of transactions. A read that failed on a dead connection is done once more.
#[derive(Clone)]
pub struct Reader {
    pool: DatabaseConnection,
    patience: Patience,
}

impl Reader {
    pub(super) fn new(pool: DatabaseConnection, patience: Patience) -> Self {
        Self { pool, patience }
    }

    pub(super) async fn close(&self) -> Result<(), DbErr> {
        self.pool.close_by_ref().await
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Reader {
    fn get_database_backend(&self) -> DbBackend {
        self.pool.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.patience.on_a_connection(|| self.pool.execute_raw(statement.clone())).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.patience.on_a_connection(|| self.pool.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.patience.on_a_connection(|| self.pool.query_one_raw(statement.clone())).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.patience.on_a_connection(|| self.pool.query_all_raw(statement.clone())).await
    }
}

/// The inside of a transaction. It remembers that a statement failed: PostgreSQL answers the commit of such a
/// transaction with a rollback and no error, and SQLite may have rolled back already and store what follows at once.
pub struct TxConnection {
    inner: DatabaseTransaction,
    patience: Patience,
    /// Statements that failed, or whose answer nobody waited for.
    unsuccessful: AtomicUsize,
}

impl TxConnection {
    pub(super) fn new(inner: DatabaseTransaction, patience: Patience) -> Self {
        Self { inner, patience, unsuccessful: AtomicUsize::new(0) }
    }

    /// The transaction, to be ended, and whether all of its statements succeeded.
    pub(super) fn into_parts(self) -> (DatabaseTransaction, Patience, bool) {
        (self.inner, self.patience, self.unsuccessful.load(Ordering::Acquire) == 0)
    }

    async fn bounded<T>(&self, answer: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        // Counted before the statement and taken back after it: it stays counted if its answer is not waited for.
        self.unsuccessful.fetch_add(1, Ordering::AcqRel);
        let answer = self.patience.for_statement(answer).await;
        match &answer {
            Ok(_) => drop(self.unsuccessful.fetch_sub(1, Ordering::AcqRel)),
            Err(error) if is_cut_off(error) || is_outdated(error) => self.patience.freshness.renew(),
            Err(_) => {}
        }
        answer
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for TxConnection {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.bounded(self.inner.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.bounded(self.inner.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.bounded(self.inner.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.bounded(self.inner.query_all_raw(statement)).await
    }
}

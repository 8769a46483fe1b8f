//! Connections with a client-side time limit on every statement, in addition to the database's own limit, which has no
//! effect if the server hangs or the network fails.

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

/// Time limits, shared by all connections of one database.
#[derive(Clone)]
pub struct Patience {
    /// For the reply to a statement; `None` if the database runs in this process (SQLite).
    pub statement: Option<Duration>,
    /// For a free connection.
    pub acquire: Duration,
    /// Decides which connections are still used.
    pub freshness: Arc<Freshness>,
}

impl Patience {
    /// Waits for the reply to one statement.
    pub async fn for_statement<T>(&self, answer: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        let Some(limit) = self.statement else { return answer.await };
        timeout(limit, answer).await.unwrap_or_else(|_| {
            self.freshness.renew();
            Err(timed_out())
        })
    }

    /// Runs `work` on a connection that it has to acquire first, and repeats it after a failure that the work did not
    /// cause:
    ///
    /// - No connection became free. The pool waits in slices of the acquire timeout, because sqlx keeps trying to open
    ///   a new connection although the server allows no more, even if others have become free meanwhile.
    /// - The connection had been closed, or its prepared statements are outdated: the work is repeated once on a new
    ///   one. So use this only for work that may run twice, such as reading or beginning a transaction.
    pub async fn on_a_connection<T, F: Future<Output = Result<T, DbErr>>>(
        &self,
        work: impl Fn() -> F,
    ) -> Result<T, DbErr> {
        let until = Instant::now() + self.acquire;
        let mut repeated = false;
        loop {
            // The pool's own limits bound the wait for a connection; that time is added to the limit of the statement.
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

/// Reads outside of transactions. A read that fails on a dead connection is repeated once.
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

/// The connection of a transaction. It records whether a statement failed: PostgreSQL answers the commit of such a
/// transaction with a rollback and no error, and SQLite may already have rolled back and would store later statements
/// at once.
pub struct TxConnection {
    inner: DatabaseTransaction,
    patience: Patience,
    /// Number of statements that failed, or whose reply was not awaited.
    unsuccessful: AtomicUsize,
}

impl TxConnection {
    pub(super) fn new(inner: DatabaseTransaction, patience: Patience) -> Self {
        Self { inner, patience, unsuccessful: AtomicUsize::new(0) }
    }

    /// Returns the transaction, for commit or rollback, and whether all of its statements succeeded.
    pub(super) fn into_parts(self) -> (DatabaseTransaction, Patience, bool) {
        (self.inner, self.patience, self.unsuccessful.load(Ordering::Acquire) == 0)
    }

    async fn bounded<T>(&self, answer: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        // Increment before the statement and decrement after it, so that a cancelled statement stays counted.
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

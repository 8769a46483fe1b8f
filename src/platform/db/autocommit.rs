//! Statements that commit by themselves, on PostgreSQL: one round trip instead of four.

use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::postgres::{PgArguments, PgPool, PgRow};
use sea_orm::sqlx::{Error as SqlxError, Postgres, query_with};
use sea_orm::{DbErr, RuntimeErr};
use tokio::time::timeout;

use super::faults::{is_outdated, timed_out};
use super::limited::Patience;
use crate::error::{Error, driver_error};

/// Why nothing is known to be stored.
pub enum Failure {
    /// The database refused it: nothing was stored.
    Refused(Error),
    /// It may be stored, or another attempt would be in vain.
    Unknown(Error),
}

/// A connection for statements that commit by themselves. It stays out of the pool while there is work, because the pool
/// checks every connection that returns to it.
pub struct Autocommit {
    pool: PgPool,
    patience: Patience,
    held: Option<PoolConnection<Postgres>>,
}

impl Autocommit {
    pub(super) fn new(pool: PgPool, patience: Patience) -> Self {
        Self { pool, patience, held: None }
    }

    /// Takes a connection out of the pool, unless it has one.
    pub async fn connect(&mut self) -> Result<(), Failure> {
        if self.held.is_none() {
            let acquired = timeout(self.patience.acquire, self.pool.acquire()).await;
            let acquired = acquired.unwrap_or(Err(SqlxError::PoolTimedOut));
            self.held = Some(acquired.map_err(|error| Failure::Refused(database(error).into()))?);
        }
        Ok(())
    }

    /// Runs a statement and returns its rows.
    pub async fn query(&mut self, sql: &'static str, arguments: PgArguments) -> Result<Vec<PgRow>, Failure> {
        self.connect().await?;
        let Some(mut connection) = self.held.take() else {
            return Err(Failure::Refused(Error::internal("a connection vanished")));
        };
        let rows = query_with(sql, arguments).fetch_all(&mut *connection);
        let limit = self.patience.statement.unwrap_or(self.patience.acquire);
        // A connection whose statement failed returns to the pool, which examines it.
        let error = match timeout(limit, rows).await {
            Ok(Ok(rows)) => {
                self.held = Some(connection);
                return Ok(rows);
            }
            Ok(Err(error)) => database(error),
            Err(_) => timed_out(),
        };
        let is_refused = is_refusal(&error);
        if !is_refused || is_outdated(&error) {
            self.patience.freshness.renew();
        }
        Err(if is_refused { Failure::Refused(error.into()) } else { Failure::Unknown(error.into()) })
    }

    /// Gives the connection back to the pool.
    pub fn release(&mut self) {
        self.held = None;
    }
}

/// Returns whether an error says that nothing was stored. A server that shuts down, crashes or cancels (SQLSTATE class 57)
/// may do so between the commit and its reply.
fn is_refusal(error: &DbErr) -> bool {
    let Some(SqlxError::Database(error)) = driver_error(error) else { return false };
    error.code().is_some_and(|code| !["57", "08", "40003"].iter().any(|class| code.starts_with(class)))
}

fn database(error: SqlxError) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}

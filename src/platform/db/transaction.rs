//! Transactions that keep their events to themselves until they have committed.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::sea_query::{LockBehavior, LockType};
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, QuerySelect, Select};
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore};
use tokio::time::timeout;

use super::limited::TxConnection;
use crate::error::{Error, Result};
use crate::platform::bus::{ChatPosition, Delivery};

/// What a commit may take where the database sets no limit to statements (SQLite): it holds the gate.
const COMMIT: Duration = Duration::from_secs(15);

/// What a commit hands out: the reply, the events, and the gate that keeps later commits from overtaking.
pub struct Outcome<T> {
    /// For the caller.
    pub reply: T,
    /// Where the change stands, if it changed a chat.
    pub position: Option<ChatPosition>,
    /// In order.
    pub events: Vec<Delivery>,
    /// Held until the events are published.
    pub gate: Option<OwnedMutexGuard<()>>,
}

impl<T> Outcome<T> {
    /// Nothing changed, there is only an answer.
    pub fn unchanged(reply: T) -> Self {
        Self { reply, position: None, events: Vec::new(), gate: None }
    }
}

/// A transaction that keeps its events to itself until it commits. Dropped, it announces nothing.
pub struct Tx {
    pub(super) inner: TxConnection,
    pub(super) gate: Arc<Mutex<()>>,
    pub(super) waiting: Arc<Semaphore>,
    pub(super) events: Vec<Delivery>,
    pub(super) position: Option<ChatPosition>,
}

impl Tx {
    /// The connection to query within the transaction.
    pub fn conn(&self) -> &TxConnection {
        &self.inner
    }

    /// The row that `select` finds, locked until the transaction ends. If another transaction holds it, this one
    /// waits; if too many wait already, the error is [`Error::busy`]: give the connection back and begin
    /// [`retry`](super::again).
    pub async fn lock_row<E: EntityTrait>(&self, select: Select<E>) -> Result<Option<E::Model>> {
        let conn = &self.inner;
        let free = select.clone().lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
        if let Some(row) = free.one(conn).await? {
            return Ok(Some(row));
        }
        if conn.get_database_backend() == DbBackend::Sqlite || select.clone().one(conn).await?.is_none() {
            return Ok(None);
        }
        let Ok(_turn) = self.waiting.try_acquire() else { return Err(Error::busy()) };
        Ok(select.lock_exclusive().one(conn).await?)
    }

    /// Adds an event that is published after the commit.
    pub fn announce(&mut self, event: Delivery) {
        self.events.push(event);
    }

    /// Where this transaction's changes stand so far.
    pub fn position(&self) -> Option<ChatPosition> {
        self.position
    }

    /// Notes that a change took its place; several changes of one transaction are told as one.
    pub fn take_position(&mut self, position: ChatPosition) {
        let first = self.position.get_or_insert(position);
        first.rev = position.rev;
    }

    /// Waits for each lock no longer than this, until the transaction ends. SQLite has no such locks.
    pub async fn limit_lock_waits(&self, longest: Duration) -> Result<()> {
        if self.inner.get_database_backend() == DbBackend::Postgres {
            let sql = format!("SET LOCAL lock_timeout = '{}ms'", longest.as_millis().max(1));
            self.inner.execute_unprepared(&sql).await?;
        }
        Ok(())
    }

    /// Commits, then hands out the events. An error after which nothing may be stored, and one after which nobody
    /// knows, look alike: neither is ever acknowledged.
    pub async fn commit<T>(self, reply: T) -> Result<Outcome<T>> {
        let Self { inner, gate, events, position, .. } = self;
        let (transaction, patience, succeeded) = inner.into_parts();
        if !succeeded {
            return Err(Error::internal(
                "a transaction was to be committed after one of its statements failed",
            ));
        }
        let limit = patience.statement.unwrap_or(COMMIT);
        // The wait for the gate counts, too: while one commit hangs, those behind it are answered in time.
        let committed = timeout(limit, async {
            let gate = gate.lock_owned().await;
            transaction.commit().await.map(|()| gate)
        });
        let gate = committed.await.map_err(|_| {
            patience.freshness.renew();
            Error::unavailable("the database did not answer a commit in time")
        })??;
        Ok(Outcome { reply, position, events, gate: Some(gate) })
    }

    /// Gives everything up and answers `reply`: nothing was changed.
    pub async fn unchanged<T>(self, reply: T) -> Result<Outcome<T>> {
        let (transaction, patience, _) = self.inner.into_parts();
        patience.for_statement(transaction.rollback()).await?;
        Ok(Outcome::unchanged(reply))
    }
}

//! Transactions that hold back their events until they have committed.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex as SyncMutex;
use sea_orm::sea_query::{LockBehavior, LockType};
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, QuerySelect, Select};
use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::limited::TxConnection;
use crate::error::{Error, Result};
use crate::platform::bus::{ChatPosition, Delivery};

/// How long a commit, which holds the lock on the commit order, may take if the database has no statement limit
/// (SQLite).
pub(super) const COMMIT: Duration = Duration::from_secs(15);

/// Work to run once a transaction has committed.
type Hook = Box<dyn FnOnce() + Send>;

/// The reply of a command and the events that its commit released. It must be published: until then, no later commit
/// can publish its own events.
#[must_use = "its events are lost unless it is published"]
pub struct Outcome<T> {
    reply: T,
    position: Option<ChatPosition>,
    events: Vec<Delivery>,
    order: Option<OwnedMutexGuard<()>>,
}

/// The parts of an [`Outcome`], for publishing it.
pub struct OutcomeParts<T> {
    /// The reply to the caller.
    pub reply: T,
    /// The position of the change in its chat's order, if a chat was changed.
    pub position: Option<ChatPosition>,
    /// The events, in order.
    pub events: Vec<Delivery>,
    /// Prevents later commits from publishing first; drop it once the events are published.
    pub order: Option<OwnedMutexGuard<()>>,
}

impl<T> Outcome<T> {
    /// Creates the reply of a command that changed nothing.
    pub fn unchanged(reply: T) -> Self {
        Self { reply, position: None, events: Vec::new(), order: None }
    }

    /// Creates the reply of a command that stored nothing but publishes an event.
    pub fn unstored(reply: T, event: Delivery) -> Self {
        Self { events: vec![event], ..Self::unchanged(reply) }
    }

    /// Creates the reply of a command whose events have already been published.
    pub fn published(reply: T, position: Option<ChatPosition>) -> Self {
        Self { position, ..Self::unchanged(reply) }
    }

    /// Returns the parts, for publishing them.
    pub fn into_parts(self) -> OutcomeParts<T> {
        let Self { reply, position, events, order } = self;
        OutcomeParts { reply, position, events, order }
    }
}

/// A transaction that holds back its events until it commits. Dropping it rolls back and publishes nothing.
pub struct Tx {
    inner: TxConnection,
    order: Arc<Mutex<()>>,
    waiting: Arc<Semaphore>,
    events: Vec<Delivery>,
    position: Option<ChatPosition>,
    hooks: SyncMutex<Vec<Hook>>,
    /// Held until the transaction has ended.
    turn: Option<OwnedSemaphorePermit>,
}

impl Tx {
    pub(super) fn new(
        inner: TxConnection,
        order: Arc<Mutex<()>>,
        waiting: Arc<Semaphore>,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self { inner, order, waiting, events: Vec::new(), position: None, hooks: SyncMutex::default(), turn }
    }

    /// Returns the connection for queries within the transaction.
    pub fn conn(&self) -> &TxConnection {
        &self.inner
    }

    /// Returns the row that `select` finds, locked until the transaction ends. If another transaction has locked it,
    /// this one waits. If too many transactions are waiting already, it returns [`Error::busy`]: give the connection
    /// back and [`retry`](super::retry).
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

    /// Adds an event outside of any chat's order, to publish after the commit. Add the event of a change in a chat with
    /// [`OpenChange::announce`].
    pub fn announce(&mut self, event: Delivery) {
        self.events.push(event);
    }

    /// Takes a position in a chat's order. The transaction is returned when the event at that position is given:
    ///
    /// ```compile_fail
    /// # use mango_chat::platform::{bus::ChatPosition, db::Tx};
    /// # async fn change(tx: Tx, position: ChatPosition) {
    /// let change = tx.take_position(position);
    /// tx.commit(()).await; // the change has no event yet
    /// # }
    /// ```
    pub fn take_position(self, position: ChatPosition) -> OpenChange {
        OpenChange { tx: self, position }
    }

    /// Returns whether the transaction has changed a chat.
    pub fn has_changed_chat(&self) -> bool {
        self.position.is_some()
    }

    /// Runs `hook` right after the commit, before anything is published. It does not run if the transaction does not
    /// commit.
    pub fn after_commit(&self, hook: impl FnOnce() + Send + 'static) {
        self.hooks.lock().push(Box::new(hook));
    }

    /// Limits each wait for a lock to this time, until the transaction ends. SQLite has no such locks.
    pub async fn limit_lock_waits(&self, longest: Duration) -> Result<()> {
        if self.inner.get_database_backend() == DbBackend::Postgres {
            let sql = format!("SET LOCAL lock_timeout = '{}ms'", longest.as_millis().max(1));
            self.inner.execute_unprepared(&sql).await?;
        }
        Ok(())
    }

    /// Commits and releases the events. The error does not tell whether nothing was stored or the result is unknown: a
    /// change is never acknowledged unless it was certainly stored.
    pub async fn commit<T>(self, reply: T) -> Result<Outcome<T>> {
        let Self { inner, order, events, position, hooks, turn, .. } = self;
        let (transaction, patience, succeeded) = inner.into_parts();
        if !succeeded {
            return Err(Error::internal(
                "a transaction was to be committed after one of its statements failed",
            ));
        }
        let limit = patience.statement.unwrap_or(COMMIT);
        // The limit includes the wait for the commit order: if one commit hangs, those behind it still fail in time.
        let committed = timeout(limit, async {
            let order = order.lock_owned().await;
            transaction.commit().await.map(|()| order)
        });
        let order = committed.await.map_err(|_| {
            patience.freshness.renew();
            Error::unavailable("the database did not answer a commit in time")
        })??;
        drop(turn);
        for hook in hooks.into_inner() {
            hook();
        }
        Ok(Outcome { reply, position, events, order: Some(order) })
    }

    /// Commits a transaction that has no events.
    pub async fn commit_silently(self) -> Result<()> {
        if !self.events.is_empty() {
            return Err(Error::internal(
                "a transaction with events was to be committed without publishing them",
            ));
        }
        self.commit(()).await.map(|_| ())
    }

    /// Rolls back and returns `reply`: nothing changes.
    pub async fn unchanged<T>(self, reply: T) -> Result<Outcome<T>> {
        self.roll_back().await?;
        Ok(Outcome::unchanged(reply))
    }

    /// Rolls back.
    pub async fn roll_back(self) -> Result<()> {
        let Self { inner, turn, .. } = self;
        let (transaction, patience, _) = inner.into_parts();
        patience.for_statement(transaction.rollback()).await?;
        drop(turn);
        Ok(())
    }
}

/// A change in a chat that has taken its position but has no event yet. It holds the transaction, so that a position
/// without an event cannot be committed: every client would see a gap there.
#[must_use = "the transaction is rolled back unless the change is announced"]
pub struct OpenChange {
    tx: Tx,
    position: ChatPosition,
}

impl OpenChange {
    /// Returns the connection for queries within the transaction.
    pub fn conn(&self) -> &TxConnection {
        self.tx.conn()
    }

    /// Returns the transaction, for reading and locking.
    pub fn tx(&self) -> &Tx {
        &self.tx
    }

    /// Returns the position of the change in the chat's order.
    pub fn position(&self) -> ChatPosition {
        self.position
    }

    /// Adds the event of the change and returns the transaction.
    pub fn announce(mut self, event: Delivery) -> Result<Tx> {
        if event.position != Some(self.position) {
            return Err(Error::internal(format!(
                "{} is announced at another position than the change took",
                event.event.as_str()
            )));
        }
        self.tx.events.push(event);
        Ok(self.committable())
    }

    /// Returns the transaction without an event, because no connected client could miss it. `_why` states the reason.
    pub fn without_event(self, _why: &'static str) -> Tx {
        self.committable()
    }

    /// Merges the changes of one transaction into one position: from before the first to after the last.
    fn committable(self) -> Tx {
        let Self { mut tx, position } = self;
        tx.position.get_or_insert(position).rev = position.rev;
        tx
    }
}

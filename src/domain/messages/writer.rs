//! The writers: tasks that store all waiting messages with one commit. SQLite has one; on PostgreSQL the chats are divided
//! among several.
//!
//! There is no timer: an idle writer stores a message at once; under load, the messages that arrive during a commit
//! share the next one. The queues are bounded, and a sender waits while one is full. The messages of a chat are stored in
//! the order in which they were submitted, and their acknowledgements and events are sent in that order after the
//! commit.
//!
//! One statement (see `store_postgres`), or one transaction of few prepared ones (see `store_sqlite`), stores the chats
//! whose messages can all be accepted. The messages of other chats are decided one by one in a transaction.
//!
//! A writer never waits for a row that another transaction has locked: it sets the messages of such a chat aside (see
//! `aside`) for a task of that chat, and continues with all other chats.

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use sea_orm::DbBackend;
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;
use tracing::Span;

use super::aside::Aside;
use super::batch::{announcement, to_author};
use super::draft::Draft;
use super::prepare::{Locking, Window};
use super::results::{Attempt, results};
use super::store_postgres::{self, Stored};
use super::store_sqlite;
use crate::clock::Clock;
use crate::domain::chats::TypingNow;
use crate::domain::links::Links;
use crate::domain::message_view;
use crate::error::{Code, Error, Result};
use crate::ids::{ChatId, ConnId, UserId};
use crate::platform::background::Background;
use crate::platform::bus::{Batch, Bus, ChatPosition, Delivery};
use crate::platform::db::{Autocommit, Db, Direct, Failure, Tx};
use crate::platform::telemetry::Telemetry;
use crate::protocol::messages::SendReply;

/// Messages that may wait in the queue.
const QUEUE: usize = 4_096;

/// Messages per commit. Larger batches are faster on SQLite; measurements on PostgreSQL showed them to be slower. A
/// SQLite expression may be 1,000 levels deep, and the chats of a batch are alternatives of one expression.
const fn group_size(backend: DbBackend) -> usize {
    match backend {
        DbBackend::Sqlite => 512,
        _ => 256,
    }
}

/// Writers on PostgreSQL. Each has one connection while it is busy.
const WRITERS: usize = 3;

/// How often a batch is attempted if the database aborted its transaction as a deadlock victim, or another node stored
/// the same `client_id` first.
const ATTEMPTS: usize = 3;

/// The result of one message: the reply and the position, which is `None` if the message was stored before.
pub type SendResult = Result<(SendReply, Option<ChatPosition>)>;

/// Receives the result of a message. Called once, in the order of the messages.
pub type Answer = Box<dyn FnOnce(SendResult) + Send>;

/// A message to store.
pub struct Job {
    /// The sender.
    pub user_id: UserId,
    /// The connection that sent it.
    pub conn: Option<ConnId>,
    /// The chat.
    pub chat_id: ChatId,
    /// The message.
    pub draft: Draft,
}

/// A message and the callback for its result.
pub(super) struct Entry {
    /// Shared with the thread that stores it.
    job: Arc<Job>,
    /// Receives the result.
    pub(super) answer: Answer,
    /// The command or request that sends the message.
    span: Span,
    /// When it was submitted.
    submitted: Instant,
    /// Until when it may wait for a chat that another transaction has locked; set when the wait begins.
    pub(super) until: Option<Instant>,
}

impl Entry {
    /// Returns the chat that the message goes to.
    pub(super) fn chat_id(&self) -> ChatId {
        self.job.chat_id
    }
}

/// The messages of one commit.
type Group = Vec<Entry>;

/// A handle to the writers.
#[derive(Clone)]
pub struct Writer {
    /// The queues of the writers; a chat's id selects one.
    jobs: Arc<[mpsc::Sender<Entry>]>,
}

/// What the writers need beside the database and the bus.
pub struct Options {
    /// The users who are typing; they stop when their message is stored.
    pub typing: Arc<TypingNow>,
    /// The public URL of the server.
    pub base: Arc<str>,
    /// The time in which the same text is refused, milliseconds.
    pub window: i64,
    /// Counts the messages.
    pub telemetry: Arc<Telemetry>,
}

/// How a writer stores groups of messages at once.
enum Shortcut {
    /// It does not.
    None,
    /// With one statement.
    Postgres(Autocommit),
    /// With one transaction of prepared statements.
    Sqlite(Arc<Direct>),
}

/// The messages of a batch that must wait for another transaction; or the whole batch and the reason why none was
/// stored.
type Attempted = std::result::Result<Group, (Group, Error)>;

struct Task {
    db: Db,
    bus: Bus,
    clock: Clock,
    typing: Arc<TypingNow>,
    /// The public URL of the server.
    base: Arc<str>,
    /// The time in which the same text is refused, milliseconds.
    window: i64,
    /// Messages of chats that another transaction has locked.
    aside: Aside,
    telemetry: Arc<Telemetry>,
}

impl Writer {
    /// Starts the tasks.
    pub fn start(background: &Arc<Background>, db: Db, bus: Bus, clock: Clock, options: Options) -> Self {
        let Options { typing, base, window, telemetry } = options;
        // Most of the connections must remain for other transactions.
        let writers = (db.writers() / 2).clamp(1, WRITERS);
        let aside = Aside::new(db.lock_timeout());
        let task = Arc::new(Task { db, bus, clock, typing, base, window, aside, telemetry });
        let jobs = (0..writers).map(|_| {
            let (jobs, waiting) = mpsc::channel(QUEUE);
            let (task, waiting) = (task.clone(), Arc::new(Mutex::new(waiting)));
            background.keep("writer", move || task.clone().run(waiting.clone()));
            jobs
        });
        Self { jobs: jobs.collect() }
    }

    /// Returns how many messages wait.
    pub fn waiting(&self) -> u64 {
        self.jobs.iter().map(|jobs| (jobs.max_capacity() - jobs.capacity()) as u64).sum()
    }

    /// Submits a message; waits while the queue is full.
    pub async fn submit(&self, job: Job, answer: Answer) {
        let writer = job.chat_id.0.unsigned_abs() as usize % self.jobs.len();
        let Some(jobs) = self.jobs.get(writer) else { return };
        let (span, submitted) = (Span::current(), Instant::now());
        let entry = Entry { job: Arc::new(job), answer, span, submitted, until: None };
        if let Err(mpsc::error::SendError(entry)) = jobs.send(entry).await {
            (entry.answer)(Err(Error::unavailable("the server is shutting down")));
        }
    }
}

impl Task {
    async fn run(self: Arc<Self>, waiting: Arc<Mutex<mpsc::Receiver<Entry>>>) {
        let mut waiting = waiting.lock().await;
        let most = group_size(self.db.backend());
        let mut received = Vec::with_capacity(most);
        let mut shortcut = self.shortcut();
        while waiting.recv_many(&mut received, most).await > 0 {
            let group = std::mem::replace(&mut received, Vec::with_capacity(most));
            let mut group = self.aside.divert(group);
            let storing = AssertUnwindSafe(self.store_at_once(&mut shortcut, group)).catch_unwind();
            group = storing.await.unwrap_or_else(|_| {
                tracing::error!("the writer panicked; its batch was answered with an error");
                Group::new()
            });
            // What follows may need a connection of the same pool.
            if let Shortcut::Postgres(connection) = &mut shortcut
                && (waiting.is_empty() || !group.is_empty() || self.db.writers() <= WRITERS)
            {
                connection.release();
            }
            if group.is_empty() {
                continue;
            }
            let left = self.store(group, Locking::Skip, None).await;
            for chat in self.aside.put(left) {
                tokio::spawn(self.clone().catch_up(chat));
            }
        }
    }

    /// Returns how groups are stored at once. A search for repeated texts needs more than that.
    fn shortcut(&self) -> Shortcut {
        if self.window > 0 {
            return Shortcut::None;
        }
        if let Some(connection) = self.db.autocommit() {
            return Shortcut::Postgres(connection);
        }
        match self.db.direct() {
            Ok(Some(direct)) => Shortcut::Sqlite(direct),
            Ok(None) => Shortcut::None,
            Err(error) => {
                tracing::error!(%error, "groups of messages are stored more slowly");
                Shortcut::None
            }
        }
    }

    /// Stores the messages that can be stored at once, and answers them. Returns the others.
    async fn store_at_once(&self, shortcut: &mut Shortcut, group: Group) -> Group {
        let stored: std::result::Result<HashMap<usize, Stored>, Failure> = match shortcut {
            Shortcut::None => return group,
            Shortcut::Postgres(connection) => {
                let jobs: Vec<&Job> = group.iter().map(|entry| &*entry.job).collect();
                store_postgres::store_at_once(connection, &jobs, self.clock.now()).await
            }
            Shortcut::Sqlite(direct) => {
                let jobs: Vec<Arc<Job>> = group.iter().map(|entry| entry.job.clone()).collect();
                let clock = self.clock.clone();
                let storing = direct.transaction(move |tx| {
                    let jobs: Vec<&Job> = jobs.iter().map(|job| &**job).collect();
                    store_sqlite::store_at_once(tx, &jobs, clock.now())
                });
                storing.await
            }
        };
        let mut stored = match stored {
            Ok(stored) => stored,
            Err(Failure::Refused(error)) => {
                tracing::debug!(messages = group.len(), %error, "a group was not stored at once");
                return group;
            }
            Err(Failure::Unknown(error)) => {
                refuse(group, &error);
                return Group::new();
            }
        };
        if let Err(error) = self.add_replies(&mut stored).await {
            // They are stored, but cannot be shown: their senders find out by sending again.
            refuse(group, &error);
            return Group::new();
        }
        let mut left = Group::new();
        for (index, entry) in group.into_iter().enumerate() {
            let Some((message, position)) = stored.remove(&index) else {
                left.push(entry);
                continue;
            };
            let event = announcement(&message, position, entry.job.conn);
            let reply = SendReply { message: to_author(message), duplicate: false };
            match event {
                Ok(event) => self.publish(entry, Ok((reply, Some(position))), vec![event]).await,
                Err(error) => self.publish(entry, Err(error), Vec::new()).await,
            }
        }
        left
    }

    /// Adds to messages what is shown of those that they reply to.
    async fn add_replies(&self, stored: &mut HashMap<usize, Stored>) -> Result<()> {
        let ids = stored.values().filter_map(|(message, _)| Some(message.reply_to?.0));
        let replies = message_view::replies(self.db.read(), ids).await?;
        for (message, _) in stored.values_mut() {
            message.reply = message.reply_to.and_then(|id| replies.get(&id.0)).cloned();
        }
        Ok(())
    }

    /// Stores the messages of a waiting chat, in order, until none is left: waits for its lock during a turn, lets
    /// other chats have theirs, and waits again.
    async fn catch_up(self: Arc<Self>, chat: ChatId) {
        loop {
            let (permit, turn) = self.aside.turn().await;
            let Some(group) = self.aside.take(chat, group_size(self.db.backend())) else { return };
            let left = self.store(group, Locking::Wait, Some(turn)).await;
            drop(permit);
            self.aside.give_back(chat, left);
        }
    }

    /// Stores a batch. Returns the messages that must wait for another transaction, in order. If a panic occurs, the
    /// batch is lost with an error and the writer continues.
    async fn store(&self, group: Group, locking: Locking, turn: Option<Duration>) -> Group {
        let done = AssertUnwindSafe(self.store_in_parts(group, locking, turn)).catch_unwind().await;
        done.unwrap_or_else(|_| {
            tracing::error!("the writer panicked; its batch was answered with an error");
            Group::new()
        })
    }

    /// Stores a batch. If it fails as a whole, it is halved, repeatedly, so that a bad message affects few others.
    async fn store_in_parts(&self, group: Group, locking: Locking, turn: Option<Duration>) -> Group {
        let mut parts = vec![group];
        let mut left = Group::new();
        while let Some(part) = parts.pop() {
            // Messages of a chat that must wait stay behind its first waiting message.
            let waits: HashSet<ChatId> = left.iter().map(Entry::chat_id).collect();
            let (behind, part): (Group, Group) =
                part.into_iter().partition(|entry| waits.contains(&entry.chat_id()));
            left.extend(behind);
            if part.is_empty() {
                continue;
            }
            match self.attempt(part, locking, turn).await {
                Ok(busy) => left.extend(busy),
                // If the database is unavailable, no message is at fault, and the other parts would fail in the same
                // way.
                Err((part, error)) if error.code == Code::Unavailable => {
                    refuse(part, &error);
                    parts.drain(..).rev().for_each(|part| refuse(part, &error));
                }
                Err((part, error)) if part.len() == 1 => refuse(part, &error),
                Err((mut part, error)) => {
                    tracing::warn!(messages = part.len(), %error, "a batch could not be stored; trying its halves");
                    parts.push(part.split_off(part.len() / 2));
                    parts.push(part);
                }
            }
        }
        left
    }

    /// Stores a batch; retries it if the error is temporary.
    async fn attempt(&self, mut group: Group, locking: Locking, turn: Option<Duration>) -> Attempted {
        let mut tries = 1;
        loop {
            match self.once(group, locking, turn).await {
                Err((back, error)) if tries < ATTEMPTS && error.retryable => {
                    group = back;
                    tries += 1;
                }
                done => return done,
            }
        }
    }

    /// Runs one transaction. Answers nothing before the commit.
    async fn once(&self, group: Group, locking: Locking, turn: Option<Duration>) -> Attempted {
        let jobs: Vec<&Job> = group.iter().map(|entry| &*entry.job).collect();
        let deciding = async {
            let tx = self.db.begin().await?;
            if let Some(turn) = turn {
                tx.limit_lock_waits(turn).await?;
            }
            let window = Window { length: self.window, now: self.clock.now() };
            let links = Links { base: &self.base, now: window.now };
            let results = results(tx.conn(), &jobs, window, locking, links).await?;
            Ok((tx, results))
        };
        let decided: Result<(Tx, Vec<Attempt>)> = deciding.await;
        let (tx, results) = match decided {
            Ok(decided) => decided,
            Err(error) if turn.is_some() && error.is_lock_timeout() => return Ok(group),
            Err(error) => return Err((group, error)),
        };
        if results.iter().all(Attempt::is_err) {
            return match tx.roll_back().await {
                Ok(()) => Ok(group),
                Err(error) => Err((group, error)),
            };
        }
        let committed = tx.commit(()).await;
        let mut busy = Group::new();
        let mut unknown = Group::new();
        for (entry, result) in group.into_iter().zip(results) {
            match result {
                Err(_) => busy.push(entry),
                Ok((sent, events)) if committed.is_ok() => self.publish(entry, sent, events).await,
                Ok(_) => unknown.push(entry),
            }
        }
        // The connection may have broken after the database had committed: a retry could store everything twice.
        // Clients that use a `client_id` find out by sending again.
        if let Err(error) = &committed {
            refuse(unknown, error);
        }
        // The guard keeps later commits from publishing until this batch is published.
        drop(committed);
        Ok(busy)
    }

    /// Answers one message, and announces it if it is new.
    async fn publish(&self, entry: Entry, sent: SendResult, mut deliveries: Vec<Delivery>) {
        let Entry { job, answer, submitted, .. } = entry;
        if !deliveries.is_empty() {
            self.telemetry.message_stored(submitted.elapsed());
            deliveries.extend(self.typing.end(job.chat_id, job.user_id));
        }
        let batch = Batch {
            deliveries,
            answer: Some(Box::new(move || answer(sent))),
            // An answer without an event also keeps its position among those of its chat.
            chat: Some(job.chat_id),
            ..Batch::default()
        };
        self.bus.publish(batch).await;
    }
}

/// Answers all messages of a batch with the error. Logs the cause only here, once per batch and in the span of its first
/// message, so that a failing database does not fill the log.
fn refuse(group: Group, error: &Error) {
    let span = group.first().map_or_else(Span::none, |entry| entry.span.clone());
    span.in_scope(|| tracing::error!(messages = group.len(), %error, "messages could not be stored"));
    for Entry { answer, .. } in group {
        answer(Err(Error::new(error.code, error.message.clone())));
    }
}

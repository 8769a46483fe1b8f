//! Moves the read marks of many users with one commit. In a busy chat every message is followed by one `mark_read` per
//! reader, so they are the most frequent command.
//!
//! There is no timer: commands that arrive during a commit share the next one. A mark that cannot be moved at once (a row
//! is locked, or the command is invalid) is returned to its caller, who moves it in a transaction of its own.

use std::collections::{HashMap, HashSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc, oneshot};

use super::{store_postgres, store_sqlite};
use crate::domain::chats::view::unread_of;
use crate::domain::dispatch::{Respond, ack};
use crate::domain::events;
use crate::error::{Error, Result};
use crate::ids::{ChatId, MessageId, UserId};
use crate::platform::background::Background;
use crate::platform::bus::{Batch, Bus, Delivery};
use crate::platform::db::{Autocommit, Db, Direct, Failure};
use crate::protocol::reading::{ChatRead, ReadReply};

/// Commands that may wait in the queue.
const QUEUE: usize = 4_096;

/// Marks per commit.
const GROUP: usize = 256;

/// Up to where a chat is read.
#[derive(Clone, Copy, Debug)]
pub enum Upto {
    /// Up to this message.
    Message(MessageId),
    /// Up to this `seq`.
    Seq(i64),
    /// Everything.
    Newest,
}

/// A read mark to move.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// The reader.
    pub user_id: UserId,
    /// The chat.
    pub chat_id: ChatId,
    /// The new position.
    pub upto: Upto,
}

/// The outcome for one mark.
#[derive(Debug)]
pub struct Marked {
    /// The mark after the command.
    pub seq: i64,
    /// Whether messages after the mark have to be counted.
    pub is_behind: bool,
    /// `None` if the mark had been there already.
    pub moved: Option<Moved>,
}

/// What the events of a mark that has moved need.
#[derive(Debug)]
pub struct Moved {
    /// The chat's counter.
    pub rev: i64,
    /// The user's own counter.
    pub user_rev: i64,
    /// Whether the other members get an event.
    pub is_announced: bool,
}

/// A command that waits: its mark, its reply, and the way back for a mark that was not moved.
struct Entry {
    mark: Mark,
    respond: Respond,
    returned: oneshot::Sender<Respond>,
}

/// A handle to the task that moves read marks.
#[derive(Clone)]
pub struct ReadMarks(Option<mpsc::Sender<Entry>>);

/// How a group is stored.
enum Store {
    Postgres(Autocommit),
    Sqlite(Arc<Direct>),
}

/// The outcomes by the index of the mark, and the guard that keeps later commits from publishing first.
type Stored = std::result::Result<(HashMap<usize, Marked>, OwnedMutexGuard<()>), Failure>;

impl ReadMarks {
    /// Starts the task. On an in-memory database there is none.
    pub fn start(background: &Arc<Background>, db: &Db, bus: &Bus) -> Self {
        if !db.stores_groups() {
            return Self(None);
        }
        let (entries, waiting) = mpsc::channel(QUEUE);
        let (db, bus, waiting) = (db.clone(), bus.clone(), Arc::new(Mutex::new(waiting)));
        background.keep("read marks", move || run(db.clone(), bus.clone(), waiting.clone()));
        Self(Some(entries))
    }

    /// Moves a mark, announces it and replies. Returns `respond` if the mark could not be moved at once.
    pub async fn move_mark(&self, mark: Mark, respond: Respond) -> Option<Respond> {
        let Some(entries) = &self.0 else { return Some(respond) };
        let (returned, result) = oneshot::channel();
        match entries.send(Entry { mark, respond, returned }).await {
            Ok(()) => result.await.ok(),
            Err(mpsc::error::SendError(entry)) => Some(entry.respond),
        }
    }
}

async fn run(db: Db, bus: Bus, waiting: Arc<Mutex<mpsc::Receiver<Entry>>>) {
    let mut waiting = waiting.lock().await;
    let mut store = match (db.autocommit(), db.direct()) {
        (Some(connection), _) => Store::Postgres(connection),
        (None, Ok(Some(direct))) => Store::Sqlite(direct),
        _ => return,
    };
    let (mut received, mut postponed) = (Vec::with_capacity(GROUP), VecDeque::new());
    loop {
        if postponed.is_empty() && waiting.recv_many(&mut received, GROUP).await == 0 {
            return;
        }
        postponed.extend(received.drain(..));
        // Whoever came meanwhile shares this commit, however many marks of one user are postponed.
        postponed.extend(std::iter::from_fn(|| waiting.try_recv().ok()).take(GROUP));
        let group = take_group(&mut postponed);
        let moving = AssertUnwindSafe(move_group(&db, &bus, &mut store, group)).catch_unwind();
        let are_all_moved = moving.await.unwrap_or_else(|_| {
            tracing::error!("the task of the read marks panicked; its group was answered with an error");
            false
        });
        if let Store::Postgres(connection) = &mut store
            && (!are_all_moved || (waiting.is_empty() && postponed.is_empty()))
        {
            // Whoever moves a returned mark needs a connection of the same pool.
            connection.release();
        }
    }
}

/// Takes the first mark of each user: each raises the user's own counter by one.
fn take_group(waiting: &mut VecDeque<Entry>) -> Vec<Entry> {
    let mut users = HashSet::new();
    let (group, later): (Vec<Entry>, Vec<Entry>) =
        waiting.drain(..).partition(|entry| users.insert(entry.mark.user_id));
    waiting.extend(later);
    group
}

/// Moves the marks of a group, announces them and replies. Returns whether all of them could be moved.
async fn move_group(db: &Db, bus: &Bus, store: &mut Store, group: Vec<Entry>) -> bool {
    let marks: Vec<Mark> = group.iter().map(|entry| entry.mark).collect();
    let (mut stored, order) = match store.store(db, marks).await {
        Ok(stored) => stored,
        Err(Failure::Refused(error) | Failure::Unknown(error)) => {
            // A mark that was stored nevertheless is found where it should be, so moving it again does no harm.
            tracing::warn!(marks = group.len(), %error, "a group of read marks could not be stored at once");
            group.into_iter().for_each(give_back);
            return false;
        }
    };
    let mut done = Vec::with_capacity(group.len());
    let mut are_all_moved = true;
    for (index, entry) in group.into_iter().enumerate() {
        let Some(marked) = stored.remove(&index) else {
            are_all_moved = false;
            give_back(entry);
            continue;
        };
        let deliveries = announce(&entry.mark, &marked).unwrap_or_else(|error| {
            tracing::error!(%error, "an event could not be encoded");
            Vec::new()
        });
        if !deliveries.is_empty() {
            bus.publish(Batch { deliveries, ..Batch::default() }).await;
        }
        done.push((entry, marked));
    }
    drop(order);
    let behind: Vec<(ChatId, UserId)> = done
        .iter()
        .filter(|(_, marked)| marked.is_behind)
        .map(|(entry, _)| (entry.mark.chat_id, entry.mark.user_id))
        .collect();
    let unread = unread_of(db.read(), &behind).await;
    for (Entry { mark, respond, .. }, marked) in done {
        let reply = unread.as_ref().map_err(|error| Error::new(error.code, error.message.clone()));
        let reply = reply.and_then(|counts| {
            let unread = counts.get(&(mark.chat_id, mark.user_id)).copied().unwrap_or(0);
            ack(None, &ReadReply { unread, seq: marked.seq })
        });
        let answer = Box::new(move || respond.give(reply));
        let batch = Batch { answer: Some(answer), chat: Some(mark.chat_id), ..Batch::default() };
        bus.publish(batch).await;
    }
    are_all_moved
}

fn give_back(entry: Entry) {
    // If the caller has gone away, the mark is not moved.
    drop(entry.returned.send(entry.respond));
}

/// Returns the events of a mark that has moved.
pub(super) fn announce(mark: &Mark, marked: &Marked) -> Result<Vec<Delivery>> {
    let Some(Moved { rev, user_rev, is_announced }) = marked.moved else { return Ok(Vec::new()) };
    let (user_id, seq) = (mark.user_id, marked.seq);
    let mut event = ChatRead { chat: mark.chat_id, rev, user_id, seq, user_rev: Some(user_rev) };
    let mut deliveries = vec![events::chat_read::to_user(user_id, &event)?];
    if is_announced {
        event.user_rev = None;
        deliveries.push(events::chat_read::to_chat(mark.chat_id, &event)?.except_users([user_id]));
    }
    Ok(deliveries)
}

impl Store {
    /// Stores a group, and takes the guard that makes later commits publish after it: on PostgreSQL before the statement,
    /// which waits for no row, and on SQLite while no other transaction can commit.
    async fn store(&mut self, db: &Db, marks: Vec<Mark>) -> Stored {
        match self {
            Self::Postgres(connection) => {
                // Transactions wait for the guard with a connection of the same pool in their hands.
                connection.connect().await?;
                let order = db.commit_order().await;
                Ok((store_postgres::store(connection, &marks).await?, order))
            }
            Self::Sqlite(direct) => {
                let storing = direct.transaction_in_turn(move |tx| store_sqlite::store(tx, &marks));
                let (stored, turn) = storing.await?;
                let order = db.commit_order().await;
                drop(turn);
                Ok((stored, order))
            }
        }
    }
}

//! Messages that wait because another transaction holds the lock of their chat. They wait in order, per chat,
//! while the writer stores the messages of all other chats.
//!
//! A chat is here from its first such message until its queue is empty. All its messages queue here meanwhile, so none
//! overtakes another.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::writer::Entry;
use crate::error::Error;
use crate::ids::ChatId;

/// Messages that may wait, per chat and in total.
const MOST_OF_A_CHAT: usize = 512;
const MOST: usize = 4_096;

/// Chats whose locks are waited for at the same time: each takes a connection of the pool, and some must remain for
/// other work.
const TURNS: usize = 2;

/// Time in which each waiting chat gets a turn, approximately.
const ROUND: Duration = Duration::from_secs(1);

/// Bounds of the length of a turn.
const SHORTEST_TURN: Duration = Duration::from_millis(5);
const LONGEST_TURN: Duration = Duration::from_millis(200);

/// The waiting chats.
pub struct Aside {
    /// How long a message may wait for a row that another transaction holds.
    longest_wait: Duration,
    queues: Mutex<Queues>,
    turns: Semaphore,
}

#[derive(Default)]
struct Queues {
    chats: HashMap<ChatId, VecDeque<Entry>>,
    /// Messages in all queues.
    total: usize,
}

impl Aside {
    /// Creates an empty set of queues.
    pub fn new(longest_wait: Duration) -> Self {
        Self { longest_wait, queues: Mutex::default(), turns: Semaphore::new(TURNS) }
    }

    /// Queues the messages of chats that are already waiting, and returns the others.
    pub fn divert(&self, group: Vec<Entry>) -> Vec<Entry> {
        let mut queues = self.queues.lock();
        if queues.chats.is_empty() {
            return group;
        }
        let (behind, rest): (Vec<Entry>, Vec<Entry>) =
            group.into_iter().partition(|entry| queues.chats.contains_key(&entry.chat_id()));
        let full = queues.add(behind, self.longest_wait);
        drop(queues);
        refuse(full, "too many messages wait for this chat");
        rest
    }

    /// Queues messages. Returns the chats that were not waiting before.
    pub fn put(&self, group: Vec<Entry>) -> Vec<ChatId> {
        let mut queues = self.queues.lock();
        let mut fresh = Vec::new();
        for chat in group.iter().map(Entry::chat_id) {
            queues.chats.entry(chat).or_insert_with(|| {
                fresh.push(chat);
                VecDeque::new()
            });
        }
        let full = queues.add(group, self.longest_wait);
        drop(queues);
        refuse(full, "too many messages wait for this chat");
        fresh
    }

    /// Waits for a turn and returns its length.
    pub async fn turn(&self) -> (Option<SemaphorePermit<'_>>, Duration) {
        let permit = self.turns.acquire().await.ok();
        let chats = self.queues.lock().chats.len().max(1);
        let share = ROUND * TURNS as u32 / u32::try_from(chats).unwrap_or(u32::MAX);
        (permit, share.clamp(SHORTEST_TURN, LONGEST_TURN))
    }

    /// Takes a chat's first messages, and refuses those among them that have waited too long. Returns `None` once the
    /// queue is empty; the chat then no longer waits.
    pub fn take(&self, chat: ChatId, most: usize) -> Option<Vec<Entry>> {
        let mut queues = self.queues.lock();
        let taken = match queues.chats.get_mut(&chat) {
            Some(queue) if !queue.is_empty() => queue.drain(..queue.len().min(most)).collect(),
            _ => Vec::new(),
        };
        if taken.is_empty() {
            queues.chats.remove(&chat);
            return None;
        }
        queues.total -= taken.len();
        drop(queues);
        let now = Instant::now();
        let (late, taken): (Vec<Entry>, Vec<Entry>) =
            taken.into_iter().partition(|entry| entry.until.is_some_and(|until| until <= now));
        refuse(late, "the chat was locked for too long");
        Some(taken)
    }

    /// Puts messages that could not be stored back at the front.
    pub fn give_back(&self, chat: ChatId, left: Vec<Entry>) {
        let mut queues = self.queues.lock();
        queues.total += left.len();
        let queue = queues.chats.entry(chat).or_default();
        for entry in left.into_iter().rev() {
            queue.push_front(entry);
        }
    }
}

impl Queues {
    /// Appends messages to the queues of waiting chats. Returns those that do not fit.
    fn add(&mut self, group: Vec<Entry>, longest_wait: Duration) -> Vec<Entry> {
        let until = Instant::now() + longest_wait;
        let mut full = Vec::new();
        for mut entry in group {
            match self.chats.get_mut(&entry.chat_id()) {
                Some(queue) if self.total < MOST && queue.len() < MOST_OF_A_CHAT => {
                    entry.until = Some(until);
                    queue.push_back(entry);
                    self.total += 1;
                }
                _ => full.push(entry),
            }
        }
        full
    }
}

/// Answers messages with an error: they were not stored and never will be.
fn refuse(group: Vec<Entry>, why: &str) {
    let Some(first) = group.first() else { return };
    tracing::warn!(chat = first.chat_id().0, messages = group.len(), why, "messages were not stored");
    for entry in group {
        (entry.answer)(Err(Error::unavailable(why)));
    }
}

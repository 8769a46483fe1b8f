//! The writer: one task that takes whatever messages are waiting and stores them with one commit.
//!
//! There is no timer: idle, a message is stored at once; under load, those that arrive during a commit
//! share the next. The queue is bounded, and who finds it full waits. Messages of a chat are stored in the order
//! they were handed over, and acks and events leave after the commit, in that order.
//!
//! It never waits for a row that another transaction holds: messages of such a chat are set aside (see `aside`) and
//! stored by a task of the chat's own, while those of all other chats go on.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use sea_orm::{ConnectionTrait, DbBackend};
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, sleep};

use super::aside::Aside;
use super::batch::{announcement, place, store, to_author};
use super::prepare::{Decision, Draft, Locking, SendContext, SendRequest, Window};
use crate::clock::Clock;
use crate::domain::chats::TypingNow;
use crate::domain::message_view;
use crate::error::{Code, Error, Result};
use crate::ids::{ChatId, ConnId, UserId};
use crate::platform::background::Background;
use crate::platform::bus::{Batch, Bus, ChatPosition, Delivery};
use crate::platform::db::{Db, Tx};
use crate::protocol::messages::SendReply;

/// Messages that may wait.
const QUEUE: usize = 4_096;

/// Messages of one commit. SQLite gains by more of them; PostgreSQL was seen to lose. A SQLite expression may
/// be 1,000 deep, and a group's chats are alternatives of one.
const fn group_size(backend: DbBackend) -> usize {
    match backend {
        DbBackend::Sqlite => 512,
        _ => 256,
    }
}

/// How often a group is begun again when the database had to choose a victim, or another node stored the same
/// `client_id` first.
const ATTEMPTS: usize = 3;

/// Between two looks at a chat none of whose waiting messages could be stored.
const PAUSE: Duration = Duration::from_millis(20);

/// What became of one message: the reply and its place, none where it had been stored before.
pub type SendResult = Result<(SendReply, Option<ChatPosition>)>;

/// Takes what became of a message; runs once, at its place in the order.
pub type Answer = Box<dyn FnOnce(SendResult) + Send>;

/// One message on its way.
pub struct Job {
    /// Sender.
    pub user_id: UserId,
    /// The socket it came on.
    pub conn: Option<ConnId>,
    /// Where.
    pub chat_id: ChatId,
    /// What.
    pub draft: Draft,
}

/// One message and who waits for it.
pub(super) struct Entry {
    job: Job,
    /// Takes what became of it.
    pub(super) answer: Answer,
    /// Until when it may wait for a chat that another transaction holds; set once it does.
    pub(super) until: Option<Instant>,
}

impl Entry {
    /// Where it goes.
    pub(super) fn chat_id(&self) -> ChatId {
        self.job.chat_id
    }
}

/// Messages of one commit.
type Group = Vec<Entry>;

/// The way to the writer.
#[derive(Clone)]
pub struct Writer {
    jobs: mpsc::Sender<(Job, Answer)>,
}

/// Another transaction holds a message's chat or its sender.
struct Busy;

/// What becomes of one message of a transaction: its answer, and its event where it is new.
type Attempt = std::result::Result<(SendResult, Option<Delivery>), Busy>;

/// What of a group has to wait for another transaction; or the whole group, and why nothing of it was stored.
type Attempted = std::result::Result<Group, (Group, Error)>;

struct Task {
    db: Db,
    bus: Bus,
    clock: Clock,
    typing: Arc<TypingNow>,
    /// Within which the same text is refused, milliseconds.
    window: i64,
    /// Messages of chats that another transaction holds.
    aside: Aside,
}

impl Writer {
    /// Starts the task; within `window` milliseconds the same text is refused.
    pub fn start(
        background: &Arc<Background>,
        db: Db,
        bus: Bus,
        clock: Clock,
        typing: Arc<TypingNow>,
        window: i64,
    ) -> Self {
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let aside = Aside::new(db.lock_timeout());
        let task = Arc::new(Task { db, bus, clock, typing, window, aside });
        let waiting = Arc::new(Mutex::new(waiting));
        background.keep("writer", move || task.clone().run(waiting.clone()));
        Self { jobs }
    }

    /// Hands a message over; waits while the queue is full.
    pub async fn submit(&self, job: Job, answer: Answer) {
        if let Err(mpsc::error::SendError((_, answer))) = self.jobs.send((job, answer)).await {
            answer(Err(Error::unavailable("the server is shutting down")));
        }
    }
}

impl Task {
    async fn run(self: Arc<Self>, waiting: Arc<Mutex<mpsc::Receiver<(Job, Answer)>>>) {
        let mut waiting = waiting.lock().await;
        let most = group_size(self.db.backend());
        let mut received = Vec::with_capacity(most);
        while waiting.recv_many(&mut received, most).await > 0 {
            let group = received.drain(..).map(|(job, answer)| Entry { job, answer, until: None }).collect();
            let left = self.store(self.aside.divert(group), Locking::Skip, None).await;
            for chat in self.aside.put(left) {
                tokio::spawn(self.clone().catch_up(chat));
            }
        }
    }

    /// Stores the messages of a chat that was set aside, in order, until none is left: waits for its row for a turn,
    /// lets other chats have theirs, and waits again.
    async fn catch_up(self: Arc<Self>, chat: ChatId) {
        loop {
            let (permit, turn) = self.aside.turn().await;
            let Some(group) = self.aside.take(chat, group_size(self.db.backend())) else { return };
            let taken = group.len();
            let left = self.store(group, Locking::Wait, Some(turn)).await;
            drop(permit);
            let stuck = taken > 0 && left.len() == taken;
            self.aside.give_back(chat, left);
            if stuck {
                // It may be a sender's row, which is not waited for.
                sleep(PAUSE).await;
            }
        }
    }

    /// Stores a group and answers what has to wait for another transaction, in order. A panic costs the group an
    /// error, not the server its writer.
    async fn store(&self, group: Group, locking: Locking, turn: Option<Duration>) -> Group {
        let done = AssertUnwindSafe(self.store_in_parts(group, locking, turn)).catch_unwind().await;
        done.unwrap_or_else(|_| {
            tracing::error!("the writer panicked; its batch was answered with an error");
            Group::new()
        })
    }

    /// Where a group fails as a whole it is halved, and so on, so that a bad message costs the others little.
    async fn store_in_parts(&self, group: Group, locking: Locking, turn: Option<Duration>) -> Group {
        let mut parts = vec![group];
        let mut left = Group::new();
        while let Some(part) = parts.pop() {
            // Those of a chat that has to wait stay behind the first of them.
            let waits: HashSet<ChatId> = left.iter().map(Entry::chat_id).collect();
            let (behind, part): (Group, Group) =
                part.into_iter().partition(|entry| waits.contains(&entry.chat_id()));
            left.extend(behind);
            if part.is_empty() {
                continue;
            }
            match self.attempt(part, locking, turn).await {
                Ok(busy) => left.extend(busy),
                // Nobody is to blame for a database that is away, and the next part would only wait for it, too.
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

    /// Begins a group again where the database had to choose a victim.
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

    /// One transaction. Nothing is answered before it has committed.
    async fn once(&self, group: Group, locking: Locking, turn: Option<Duration>) -> Attempted {
        let jobs: Vec<&Job> = group.iter().map(|entry| &entry.job).collect();
        let deciding = async {
            let tx = self.db.begin().await?;
            if let Some(turn) = turn {
                tx.limit_lock_waits(turn).await?;
            }
            let results = self.results(tx.conn(), &jobs, locking).await?;
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
                Err(Busy) => busy.push(entry),
                Ok((sent, event)) if committed.is_ok() => self.publish(entry, sent, event).await,
                Ok(_) => unknown.push(entry),
            }
        }
        // The connection may have broken after the database had committed: trying again could store everything
        // twice. Who has a `client_id` can find out by sending again.
        if let Err(error) = &committed {
            refuse(unknown, error);
        }
        // It keeps later commits from publishing until all of it is published.
        drop(committed);
        Ok(busy)
    }

    /// Answers one message and announces it where it is new.
    async fn publish(&self, entry: Entry, sent: SendResult, event: Option<Delivery>) {
        let Entry { job, answer, .. } = entry;
        let mut deliveries: Vec<Delivery> = event.into_iter().collect();
        if !deliveries.is_empty() {
            deliveries.extend(self.typing.end(job.chat_id, job.user_id));
        }
        let batch = Batch {
            deliveries,
            answer: Some(Box::new(move || answer(sent))),
            // An answer without an event keeps its place among those of its chat, too.
            chat: Some(job.chat_id),
            ..Batch::default()
        };
        self.bus.publish(batch).await;
    }

    /// What becomes of each job, in order: its answer, and its event where it is new.
    async fn results(
        &self,
        conn: &impl ConnectionTrait,
        jobs: &[&Job],
        locking: Locking,
    ) -> Result<Vec<Attempt>> {
        let requests: Vec<SendRequest<'_>> = jobs
            .iter()
            .map(|job| SendRequest { user_id: job.user_id, chat_id: job.chat_id, draft: &job.draft })
            .collect();
        let window = Window { length: self.window, now: self.clock.now() };
        let mut send_context = SendContext::read(conn, &requests, window, locking).await?;
        let mut results: Vec<Option<Attempt>> = Vec::with_capacity(jobs.len());
        let mut positioned = Vec::with_capacity(jobs.len());
        // Which job each placed message belongs to, and repeats of one in the same group.
        let mut owners: Vec<usize> = Vec::with_capacity(jobs.len());
        let mut twins: Vec<(usize, usize)> = Vec::new();
        for (index, request) in requests.iter().enumerate() {
            if send_context.is_busy(request) {
                results.push(Some(Err(Busy)));
                continue;
            }
            let twin = request.draft.client_id.as_ref().and_then(|client_id| {
                owners.iter().position(|owner| {
                    let other = &requests[*owner];
                    other.user_id == request.user_id && other.draft.client_id.as_ref() == Some(client_id)
                })
            });
            // A repetition is not decided again: what it repeats may have changed what is allowed.
            if let Some(twin) = twin {
                twins.push((index, twin));
                results.push(None);
                continue;
            }
            let result = match send_context.decide(request) {
                Err(error) => Some(Ok((Err(error), None))),
                Ok(Decision::Earlier(row)) => {
                    let message = message_view::show_one(conn, row, request.user_id).await?;
                    Some(Ok((Ok((SendReply { message, duplicate: true }, None)), None)))
                }
                Ok(Decision::Store(author)) => {
                    send_context.note(request);
                    if let Some(chat) = send_context.chats.get_mut(&request.chat_id.0) {
                        owners.push(index);
                        positioned.push(place(chat, request.draft, author));
                    }
                    None
                }
            };
            results.push(result);
        }
        if !positioned.is_empty() {
            let stored = store(conn, &positioned, self.clock.now()).await?;
            for (index, twin) in twins {
                results[index] =
                    Some(Ok((repeated(&requests[index], &requests[owners[twin]], &stored[twin]), None)));
            }
            for ((message, owner), positioned) in stored.into_iter().zip(owners).zip(&positioned) {
                let event = announcement(&message, positioned.position, jobs[owner].conn)?;
                let reply = SendReply { message: to_author(message), duplicate: false };
                results[owner] = Some(Ok((Ok((reply, Some(positioned.position))), Some(event))));
            }
        }
        results
            .into_iter()
            .map(|result| result.ok_or_else(|| Error::internal("a message was neither stored nor refused")))
            .collect()
    }
}

/// Tells everybody in a group why it could not be stored. The cause is logged here and nowhere else, once for the
/// group: a database that fails would fill the log otherwise.
fn refuse(group: Group, error: &Error) {
    tracing::error!(messages = group.len(), %error, "messages could not be stored");
    for Entry { answer, .. } in group {
        answer(Err(Error::new(error.code, error.message.clone())));
    }
}

/// The answer to a message that came twice in one group.
fn repeated(
    request: &SendRequest<'_>,
    first: &SendRequest<'_>,
    stored: &crate::protocol::messages::Message,
) -> SendResult {
    if request.draft.fingerprint(request.chat_id.0) == first.draft.fingerprint(first.chat_id.0) {
        Ok((SendReply { message: to_author(stored.clone()), duplicate: true }, None))
    } else {
        Err(Error::field(
            Code::ClientIdConflict,
            "message.client_id",
            "was already used with another chat, type or content",
        ))
    }
}

//! The writer: one task that takes whatever messages are waiting and stores them with one commit.
//!
//! There is no timer: idle, a message is stored at once; under load, those that arrive during a commit
//! share the next. The queue is bounded, and who finds it full waits. Messages are stored in the order
//! they were handed over, and acks and events leave after the commit, in that order.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use sea_orm::{ConnectionTrait, DbBackend};
use tokio::sync::mpsc;

use super::batch::{announcement, place, store, to_author};
use super::prepare::{Draft, Ground, Verdict, Window, Wish};
use super::view;
use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::ids::{ChatId, ConnId, UserId};
use crate::platform::bus::{Batch, Bus, Delivery, Place};
use crate::platform::db::{Db, Outcome};
use crate::protocol::commands::messages::SendReply;

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

/// What became of one message: the reply and its place, none where it had been stored before.
pub type Sent = Result<(SendReply, Option<Place>)>;

/// Takes what became of a message; runs once, at its place in the order.
pub type Answer = Box<dyn FnOnce(Sent) + Send>;

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

/// Messages of one commit, each with who waits for it.
struct Group {
    jobs: Vec<Job>,
    answers: Vec<Answer>,
}

impl Group {
    /// The earlier and the later half.
    fn halves(mut self) -> (Self, Self) {
        let middle = self.jobs.len() / 2;
        let later = Self { jobs: self.jobs.split_off(middle), answers: self.answers.split_off(middle) };
        (self, later)
    }
}

/// The way to the writer.
#[derive(Clone)]
pub struct Writer {
    jobs: mpsc::Sender<(Job, Answer)>,
}

/// A job's answer, and its event where it is new.
type Fate = (Sent, Option<Delivery>);

struct Task {
    db: Db,
    bus: Bus,
    clock: Clock,
    /// Within which the same text is refused, milliseconds.
    window: i64,
}

impl Writer {
    /// Starts the task; within `window` milliseconds the same text is refused.
    pub fn start(db: Db, bus: Bus, clock: Clock, window: i64) -> Self {
        let (jobs, mut waiting) = mpsc::channel(QUEUE);
        let task = Task { db, bus, clock, window };
        tokio::spawn(async move {
            let most = group_size(task.db.backend());
            let mut group = Vec::with_capacity(most);
            while waiting.recv_many(&mut group, most).await > 0 {
                let (jobs, answers) = group.drain(..).unzip();
                // A panic costs its group an error, not the server its writer.
                let done = AssertUnwindSafe(task.write(Group { jobs, answers })).catch_unwind().await;
                if done.is_err() {
                    tracing::error!("the writer panicked; its group was answered with an error");
                }
            }
        });
        Self { jobs }
    }

    /// Hands a message over; waits while the queue is full.
    pub async fn submit(&self, job: Job, answer: Answer) {
        if let Err(mpsc::error::SendError((_, answer))) = self.jobs.send((job, answer)).await {
            answer(Err(Error::unavailable("the server is going down")));
        }
    }
}

impl Task {
    /// Stores a group. If it fails as a whole, it is halved until the messages that cannot be stored stand alone, so
    /// that one bad message of n costs about 2 log n transactions and spoils no other. The halves keep their order.
    async fn write(&self, group: Group) {
        let mut groups = vec![group];
        while let Some(group) = groups.pop() {
            let Err((group, error)) = self.attempt(group).await else { continue };
            // Nobody in the group is to blame for a database that is away.
            if group.jobs.len() == 1 || error.code == Code::Unavailable {
                refuse(group, &error);
                continue;
            }
            tracing::warn!(messages = group.jobs.len(), %error, "a group could not be stored and is halved");
            let (first, second) = group.halves();
            groups.extend([second, first]);
        }
    }

    async fn attempt(&self, mut group: Group) -> std::result::Result<(), (Group, Error)> {
        let mut tries = 1;
        loop {
            match self.once(group).await {
                Err((back, error)) if tries < ATTEMPTS && error.retryable => {
                    group = back;
                    tries += 1;
                }
                done => return done,
            }
        }
    }

    /// One transaction. Nothing is answered before it has committed.
    async fn once(&self, group: Group) -> std::result::Result<(), (Group, Error)> {
        let Group { jobs, answers } = group;
        let judged = async {
            let tx = self.db.begin().await?;
            let fates = self.fates(tx.conn(), &jobs).await?;
            Ok((tx, fates))
        };
        let (tx, fates) = match judged.await {
            Ok(judged) => judged,
            Err(error) => return Err((Group { jobs, answers }, error)),
        };
        match tx.commit(fates).await {
            Ok(Outcome { reply: fates, gate, .. }) => {
                for ((answer, job), (sent, event)) in answers.into_iter().zip(&jobs).zip(fates) {
                    let batch = Batch {
                        deliveries: event.into_iter().collect(),
                        answer: Some(Box::new(move || answer(sent))),
                        // An answer without an event keeps its place among those of its chat, too.
                        chat: Some(job.chat_id),
                        ..Batch::default()
                    };
                    self.bus.publish(batch).await;
                }
                drop(gate);
            }
            // The connection may have broken after the database had committed: trying again could store
            // everything twice. Who has a `client_id` can find out by sending again.
            Err(error) => refuse(Group { jobs, answers }, &error),
        }
        Ok(())
    }

    /// What becomes of each job, in order: its answer, and its event where it is new.
    async fn fates(&self, conn: &impl ConnectionTrait, jobs: &[Job]) -> Result<Vec<Fate>> {
        let wishes: Vec<Wish<'_>> = jobs
            .iter()
            .map(|job| Wish { user_id: job.user_id, chat_id: job.chat_id, draft: &job.draft })
            .collect();
        let window = Window { length: self.window, now: self.clock.now() };
        let mut ground = Ground::read(conn, &wishes, window).await?;
        let mut fates: Vec<Option<Fate>> = Vec::with_capacity(jobs.len());
        let mut placed = Vec::with_capacity(jobs.len());
        // Which job each placed message belongs to, and repeats of one in the same group.
        let mut owners: Vec<usize> = Vec::with_capacity(jobs.len());
        let mut twins: Vec<(usize, usize)> = Vec::new();
        for (index, wish) in wishes.iter().enumerate() {
            let twin = wish.draft.client_id.as_ref().and_then(|client_id| {
                owners.iter().position(|owner| {
                    let other = &wishes[*owner];
                    other.user_id == wish.user_id && other.draft.client_id.as_ref() == Some(client_id)
                })
            });
            // A repetition is not judged again: what it repeats may have changed what is allowed.
            if let Some(twin) = twin {
                twins.push((index, twin));
                fates.push(None);
                continue;
            }
            let fate = match ground.judge(wish) {
                Err(error) => Some((Err(error), None)),
                Ok(Verdict::Earlier(row)) => Some((Ok(self.earlier(conn, row, wish.user_id).await?), None)),
                Ok(Verdict::Store(author)) => {
                    ground.note(wish);
                    if let Some(chat) = ground.chats.get_mut(&wish.chat_id.0) {
                        owners.push(index);
                        placed.push(place(chat, wish.draft, author));
                    }
                    None
                }
            };
            fates.push(fate);
        }
        if !placed.is_empty() {
            let stored = store(conn, &placed, self.clock.now()).await?;
            for (index, twin) in twins {
                fates[index] = Some((repeated(&wishes[index], &wishes[owners[twin]], &stored[twin]), None));
            }
            for ((message, owner), placed) in stored.into_iter().zip(owners).zip(&placed) {
                let event = announcement(&message, placed.place, jobs[owner].conn)?;
                let reply = SendReply { message: to_author(message), duplicate: false };
                fates[owner] = Some((Ok((reply, Some(placed.place))), Some(event)));
            }
        }
        fates
            .into_iter()
            .map(|fate| fate.ok_or_else(|| Error::internal("a message was neither stored nor refused")))
            .collect()
    }

    /// The answer to a message that was stored before. If it cannot be read, the whole group fails: after a failed
    /// statement PostgreSQL turns the commit into a rollback without saying so.
    async fn earlier(
        &self,
        conn: &impl ConnectionTrait,
        row: entity::message::Model,
        user: UserId,
    ) -> Result<(SendReply, Option<Place>)> {
        let message = view::show_one(conn, row, user).await?;
        Ok((SendReply { message, duplicate: true }, None))
    }
}

/// Tells everybody in a group why it could not be stored. The cause is logged here and nowhere else, once for the
/// group: a database that fails would fill the log otherwise.
fn refuse(group: Group, error: &Error) {
    tracing::error!(messages = group.jobs.len(), %error, "messages could not be stored");
    for answer in group.answers {
        answer(Err(Error::new(error.code, error.message.clone())));
    }
}

/// The answer to a message that came twice in one group.
fn repeated(wish: &Wish<'_>, first: &Wish<'_>, stored: &crate::protocol::objects::Message) -> Sent {
    if wish.draft.fingerprint(wish.chat_id.0) == first.draft.fingerprint(first.chat_id.0) {
        Ok((SendReply { message: to_author(stored.clone()), duplicate: true }, None))
    } else {
        Err(Error::field(
            Code::ClientIdConflict,
            "message.client_id",
            "was used for another chat, type or content",
        ))
    }
}

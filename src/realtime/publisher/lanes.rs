//! Processes the lanes of the bus. No lane waits: a chat with a gap is parked, its later events queue behind the gap, and
//! all other chats of the lane continue.
//!
//! Events of one chat may arrive in any order, because those who commit do not wait for each other. So a gap is usually
//! closed by the missing event itself, a moment later. If it does not come, a task reads the changes from the database.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::domain::AppContext;
use crate::ids::{ChatId, UserId};
use crate::platform::bus::{Answer, Batch, ChatPosition, Delivery};
use crate::realtime::outgoing::Outgoing;
use crate::realtime::publisher::{Publisher, send};
use crate::realtime::write_queue::batch_writes;

/// Events that may queue behind a gap. Further ones are read from the database once the gap is filled, if it knows
/// them.
const MAX_PARKED: usize = 1_024;

/// Gaps that are filled at the same time. Their reads use a separate pool, so client requests do not wait for them.
const FILLING: usize = 4;

/// Connections that receive a profile or presence event before other tasks get a turn.
const IN_ONE_GO: usize = 256;

/// Time per connection for a profile or presence event: one for 10,000 connections takes a fifth of a second.
const PACE: Duration = Duration::from_micros(20);

/// Timers have a resolution of a millisecond, so shorter pauses are added up until they reach this length.
const SHORTEST_REST: Duration = Duration::from_millis(5);

/// Batches that a lane delivers before it writes to the sockets: a connection that gets several events needs one system
/// call.
const TOGETHER: usize = 64;

/// How long a missing event may take before it is read from the database.
const LATE_AT_MOST: Duration = Duration::from_millis(50);

/// What has to happen before a batch can be delivered.
enum Missing {
    /// The event at this counter value has to arrive, or to be read if it does not.
    Event(i64),
    /// The changes up to this counter value have to be read.
    Changes(i64),
    /// Whether this user is a member of the chat has to be read.
    Membership(UserId),
}

/// What a parked chat waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Nothing,
    /// The event at this counter value.
    Event(i64),
    /// Nothing: the event at this counter value did not arrive in time.
    EventIsLate(i64),
    /// A read from the database.
    Read,
    /// Nothing: the read was attempted. The chat continues even if a gap remains: its clients were told to `sync`.
    HasRead,
}

/// The batches of a parked chat.
#[derive(Default)]
struct Parked {
    /// In the order of the chat, if they have a position in it.
    batches: VecDeque<Batch>,
    stage: Stage,
    events: usize,
    /// What arrived after the queue was full.
    beyond: Option<Beyond>,
}

/// Events whose content is read again, and what the database does not know about them.
#[derive(Default)]
struct Beyond {
    /// The highest counter value among them.
    upto: i64,
    answers: Vec<Answer>,
    /// Events without a position in the order.
    others: Vec<Delivery>,
}

/// Returns the first position of a batch in a chat.
fn first_position(chat: ChatId, batch: &Batch) -> Option<ChatPosition> {
    batch.deliveries.iter().filter_map(|it| it.position).find(|position| position.chat_id == chat)
}

impl Parked {
    fn add(&mut self, chat: ChatId, mut batch: Batch) {
        self.events += batch.deliveries.len().max(1);
        if self.beyond.is_none() && self.events <= MAX_PARKED {
            let is_later =
                |rev: i64, other: &Batch| first_position(chat, other).is_some_and(|it| it.rev > rev);
            let place = first_position(chat, &batch)
                .and_then(|new| self.batches.iter().position(|other| is_later(new.rev, other)));
            self.batches.insert(place.unwrap_or(self.batches.len()), batch);
            return;
        }
        let beyond = self.beyond.get_or_insert_default();
        beyond.answers.extend(batch.answer.take());
        for delivery in batch.deliveries {
            match delivery.position {
                Some(position) => beyond.upto = beyond.upto.max(position.rev),
                None if delivery.volatile => {}
                None => beyond.others.push(delivery),
            }
        }
        if let Some((_, upto)) = batch.catch_up {
            beyond.upto = beyond.upto.max(upto);
        }
    }

    /// Returns the next batch to deliver.
    fn next(&mut self, chat: ChatId) -> Option<Batch> {
        if let Some(batch) = self.batches.pop_front() {
            self.events = self.events.saturating_sub(batch.deliveries.len().max(1));
            return Some(batch);
        }
        let Beyond { upto, answers, others } = self.beyond.take()?;
        self.events = 0;
        let answer: Answer = Box::new(move || answers.into_iter().for_each(|answer| answer()));
        let catch_up = (upto > 0).then_some((chat, upto));
        Some(Batch {
            deliveries: others,
            answer: Some(answer),
            chat: Some(chat),
            catch_up,
            ..Batch::default()
        })
    }
}

/// One lane.
struct Lane {
    publisher: Arc<Publisher>,
    context: Arc<AppContext>,
    parked: HashMap<ChatId, Parked>,
    /// Waits and reads for parked chats. Each returns its chat, and the stage that follows.
    works: JoinSet<(ChatId, Stage)>,
    filling: Arc<Semaphore>,
}

impl Lane {
    async fn run(mut self, batches: Arc<Mutex<mpsc::Receiver<Batch>>>) {
        let mut batches = batches.lock().await;
        let mut received = Vec::with_capacity(TOGETHER);
        loop {
            tokio::select! {
                Some(done) = self.works.join_next() => {
                    if let Ok((chat, stage)) = done {
                        batch_writes(|| {
                            // The event that is late may be waiting here.
                            for batch in std::iter::from_fn(|| batches.try_recv().ok()).take(TOGETHER) {
                                self.take(batch);
                            }
                            self.go_on(chat, stage);
                        });
                    }
                }
                count = batches.recv_many(&mut received, TOGETHER) => {
                    if count == 0 {
                        return;
                    }
                    batch_writes(|| received.drain(..).for_each(|batch| self.take(batch)));
                }
            }
        }
    }

    fn take(&mut self, mut batch: Batch) {
        let Some(chat) = batch.chat() else { return self.publisher.deliver_batch(batch) };
        if let Some(mut parked) = self.parked.remove(&chat) {
            parked.add(chat, batch);
            if parked.stage == Stage::Read {
                self.parked.insert(chat, parked);
            } else {
                self.work_off(chat, parked);
            }
        } else if let Some(missing) = self.publisher.missing(chat, &mut batch, false) {
            self.park(chat, Parked::default(), batch, missing);
        } else {
            self.publisher.deliver_batch(batch);
        }
    }

    /// Continues a chat after a wait or a read.
    fn go_on(&mut self, chat: ChatId, stage: Stage) {
        let Some(mut parked) = self.parked.remove(&chat) else { return };
        let waits = match stage {
            // Unless the event has arrived meanwhile.
            Stage::EventIsLate(rev) => parked.stage == Stage::Event(rev),
            _ => parked.stage == Stage::Read,
        };
        if waits {
            parked.stage = stage;
            self.work_off(chat, parked);
        } else {
            self.parked.insert(chat, parked);
        }
    }

    /// Delivers waiting batches up to the next gap, where the chat is parked.
    fn work_off(&mut self, chat: ChatId, mut parked: Parked) {
        while let Some(mut batch) = parked.next(chat) {
            let has_read = parked.stage == Stage::HasRead;
            if let Some(missing) = self.publisher.missing(chat, &mut batch, has_read) {
                return self.park(chat, parked, batch, missing);
            }
            parked.stage = Stage::Nothing;
            self.publisher.deliver_batch(batch);
        }
    }

    /// Parks a chat whose next batch has to wait.
    fn park(&mut self, chat: ChatId, mut parked: Parked, batch: Batch, missing: Missing) {
        parked.events += batch.deliveries.len().max(1);
        parked.batches.push_front(batch);
        parked.stage = match (missing, parked.stage) {
            (Missing::Event(rev), Stage::Event(awaited)) if awaited == rev => Stage::Event(rev),
            (Missing::Event(rev), stage) if stage != Stage::EventIsLate(rev) => {
                self.works.spawn(async move {
                    sleep(LATE_AT_MOST).await;
                    (chat, Stage::EventIsLate(rev))
                });
                Stage::Event(rev)
            }
            (missing, _) => {
                self.read(chat, missing);
                Stage::Read
            }
        };
        self.parked.insert(chat, parked);
    }

    fn read(&mut self, chat: ChatId, missing: Missing) {
        let (publisher, context, filling) =
            (self.publisher.clone(), self.context.clone(), self.filling.clone());
        self.works.spawn(async move {
            let _turn = filling.acquire().await;
            let reading = async {
                match missing {
                    Missing::Event(upto) | Missing::Changes(upto) => {
                        publisher.fill(&context, chat, upto).await;
                    }
                    Missing::Membership(user) => publisher.reconcile(&context, user, chat).await,
                }
            };
            if AssertUnwindSafe(reading).catch_unwind().await.is_err() {
                tracing::error!(chat = chat.0, "filling a gap panicked");
            }
            (chat, Stage::HasRead)
        });
    }
}

impl Publisher {
    /// Starts one task for each of the `lanes`, and one for profiles and presence. They deliver events until the bus is
    /// gone.
    pub fn start(self: &Arc<Self>, context: &Arc<AppContext>, lanes: Vec<mpsc::Receiver<Batch>>) {
        let filling = Arc::new(Semaphore::new(FILLING));
        for batches in lanes {
            let (publisher, filling) = (self.clone(), filling.clone());
            let batches = Arc::new(Mutex::new(batches));
            context.keep("deliveries", move |context| {
                let lane = Lane {
                    publisher: publisher.clone(),
                    context,
                    parked: HashMap::new(),
                    works: JoinSet::new(),
                    filling: filling.clone(),
                };
                lane.run(batches.clone())
            });
        }
        let publisher = self.clone();
        context.keep("profiles and presence", move |context| publisher.clone().deliver_latest(context));
    }

    /// Returns what a batch must wait for. A gap that was already `read` is ignored.
    fn missing(&self, chat: ChatId, batch: &mut Batch, read: bool) -> Option<Missing> {
        if let Some((user, _)) = batch.membership.take() {
            return Some(Missing::Membership(user));
        }
        let is_behind =
            |upto: i64| self.delivered_rev(chat).is_some_and(|delivered_rev| delivered_rev < upto);
        if let Some((_, upto)) = batch.catch_up.take()
            && is_behind(upto)
        {
            return Some(Missing::Changes(upto));
        }
        let first = first_position(chat, batch).filter(|_| !read)?;
        is_behind(first.prev).then_some(Missing::Event(first.prev))
    }

    fn deliver_batch(&self, batch: Batch) {
        let giving = AssertUnwindSafe(|| {
            if let Some(answer) = batch.answer {
                answer();
            }
            batch.deliveries.iter().for_each(|it| self.deliver_once(it));
        });
        if catch_unwind(giving).is_err() {
            tracing::error!("a delivery panicked");
        }
    }

    async fn deliver_latest(self: Arc<Self>, context: Arc<AppContext>) {
        let mut owed = Duration::ZERO;
        loop {
            for delivery in context.bus.latest().next().await {
                let audience = self.audience(&delivery.audience);
                for some in audience.chunks(IN_ONE_GO) {
                    batch_writes(|| {
                        let outgoing = Outgoing::new(delivery.event, &delivery.payload);
                        for connection in some {
                            send(connection, &delivery, &outgoing);
                        }
                    });
                    tokio::task::yield_now().await;
                }
                owed += PACE * u32::try_from(audience.len()).unwrap_or(u32::MAX);
                if owed >= SHORTEST_REST {
                    sleep(owed).await;
                    owed = Duration::ZERO;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::platform::bus::Audience;
    use crate::protocol::catalogue::EventName;

    const CHAT: ChatId = ChatId(7);

    fn change(rev: i64, answer: impl FnOnce() + Send + 'static) -> Batch {
        let position = ChatPosition { chat_id: CHAT, rev, prev: rev - 1 };
        let event = Delivery::of_change(position, EventName::new_message, &json!({})).expect("encodes");
        Batch { deliveries: vec![event], answer: Some(Box::new(answer)), ..Batch::default() }
    }

    fn beside(event: EventName, volatile: bool) -> Batch {
        let mut delivery = Delivery::new(Audience::Chat(CHAT), event, &json!({})).expect("encodes");
        delivery.volatile = volatile;
        Batch { deliveries: vec![delivery], ..Batch::default() }
    }

    #[test]
    fn what_is_too_much_to_park_is_read_again_and_every_answer_comes_in_order() {
        let most = MAX_PARKED as i64;
        let answered = Arc::new(parking_lot::Mutex::new(Vec::new()));
        let mut parked = Parked::default();
        for rev in 1..=most + 3 {
            let answered = answered.clone();
            parked.add(CHAT, change(rev, move || answered.lock().push(rev)));
        }
        parked.add(CHAT, beside(EventName::typing, true));
        parked.add(CHAT, beside(EventName::chat_read, false));
        for rev in 1..=most {
            let batch = parked.next(CHAT).expect("parked");
            assert_eq!(batch.deliveries.first().and_then(|it| it.position).expect("a place").rev, rev);
            batch.answer.expect("an answer")();
        }
        let beyond = parked.next(CHAT).expect("what came beyond");
        assert_eq!(beyond.catch_up, Some((CHAT, most + 3)));
        let others: Vec<EventName> = beyond.deliveries.iter().map(|it| it.event).collect();
        assert_eq!(others, [EventName::chat_read], "what is volatile is not kept");
        beyond.answer.expect("all answers")();
        assert_eq!(*answered.lock(), (1..=most + 3).collect::<Vec<_>>());
        assert!(parked.next(CHAT).is_none());
        assert_eq!(parked.events, 0);
    }

    #[test]
    fn a_batch_that_arrives_late_is_delivered_in_its_place() {
        let mut parked = Parked::default();
        for rev in [7, 5, 9, 6] {
            parked.add(CHAT, change(rev, || {}));
        }
        parked.add(CHAT, beside(EventName::typing, true));
        let revs: Vec<Option<i64>> = std::iter::from_fn(|| parked.next(CHAT))
            .map(|batch| first_position(CHAT, &batch).map(|it| it.rev))
            .collect();
        assert_eq!(revs, [Some(5), Some(6), Some(7), Some(9), None]);
    }
}

//! Processes the lanes of the bus. No lane waits for the database: a chat with a gap is parked while a task fills the
//! gap. Its later events queue behind it, and all other chats of the lane continue.

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
use crate::platform::bus::{Answer, Batch, Delivery};
use crate::realtime::publisher::{Publisher, send};

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

/// What has to be read from the database before a chat can continue.
enum Work {
    /// The changes between the last delivered value and this one.
    Fill(i64),
    /// Whether a user is a member of the chat.
    Reconcile(UserId),
}

/// The batches of a parked chat.
#[derive(Default)]
struct Parked {
    batches: VecDeque<Batch>,
    /// The read for the first batch was attempted. The chat continues even if a gap remains: its clients were told to
    /// `sync`.
    tried: bool,
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

impl Parked {
    fn add(&mut self, mut batch: Batch) {
        self.events += batch.deliveries.len().max(1);
        if self.beyond.is_none() && self.events <= MAX_PARKED {
            self.batches.push_back(batch);
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
    /// Reads for parked chats.
    works: JoinSet<ChatId>,
    filling: Arc<Semaphore>,
}

impl Lane {
    async fn run(mut self, batches: Arc<Mutex<mpsc::Receiver<Batch>>>) {
        let mut batches = batches.lock().await;
        loop {
            tokio::select! {
                Some(done) = self.works.join_next() => {
                    if let Ok(chat) = done {
                        self.go_on(chat);
                    }
                }
                batch = batches.recv() => match batch {
                    Some(batch) => self.take(batch),
                    None => return,
                }
            }
        }
    }

    fn take(&mut self, batch: Batch) {
        match batch.chat() {
            Some(chat) => {
                if let Some(parked) = self.parked.get_mut(&chat) {
                    parked.add(batch);
                } else {
                    let mut parked = Parked::default();
                    parked.add(batch);
                    self.work_off(chat, parked);
                }
            }
            None => self.publisher.deliver_batch(batch),
        }
    }

    fn go_on(&mut self, chat: ChatId) {
        if let Some(parked) = self.parked.remove(&chat) {
            self.work_off(chat, parked);
        }
    }

    /// Delivers waiting batches up to the next gap, where the chat is parked.
    fn work_off(&mut self, chat: ChatId, mut parked: Parked) {
        while let Some(mut batch) = parked.next(chat) {
            let tried = std::mem::take(&mut parked.tried);
            if let Some(work) = self.publisher.missing(chat, &mut batch, tried) {
                parked.tried = true;
                parked.events += batch.deliveries.len().max(1);
                parked.batches.push_front(batch);
                self.parked.insert(chat, parked);
                self.begin(chat, work);
                return;
            }
            self.publisher.deliver_batch(batch);
        }
    }

    fn begin(&mut self, chat: ChatId, work: Work) {
        let (publisher, context, filling) =
            (self.publisher.clone(), self.context.clone(), self.filling.clone());
        self.works.spawn(async move {
            let _turn = filling.acquire().await;
            let reading = async {
                match work {
                    Work::Fill(upto) => publisher.fill(&context, chat, upto).await,
                    Work::Reconcile(user) => publisher.reconcile(&context, user, chat).await,
                }
            };
            if AssertUnwindSafe(reading).catch_unwind().await.is_err() {
                tracing::error!(chat = chat.0, "filling a gap panicked");
            }
            chat
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

    /// Returns what must be read before a batch can be delivered. A gap that was already `tried` is ignored.
    fn missing(&self, chat: ChatId, batch: &mut Batch, tried: bool) -> Option<Work> {
        if let Some((user, _)) = batch.membership.take() {
            return Some(Work::Reconcile(user));
        }
        let is_behind =
            |upto: i64| self.delivered_rev(chat).is_some_and(|delivered_rev| delivered_rev < upto);
        if let Some((_, upto)) = batch.catch_up.take()
            && is_behind(upto)
        {
            return Some(Work::Fill(upto));
        }
        let mut places = batch.deliveries.iter().filter_map(|it| it.position);
        let first = places.find(|position| position.chat_id == chat).filter(|_| !tried)?;
        is_behind(first.prev).then_some(Work::Fill(first.prev))
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
                    for connection in some {
                        send(connection, &delivery);
                    }
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
    use crate::platform::bus::{Audience, ChatPosition};
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
            parked.add(change(rev, move || answered.lock().push(rev)));
        }
        parked.add(beside(EventName::typing, true));
        parked.add(beside(EventName::chat_read, false));
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
}

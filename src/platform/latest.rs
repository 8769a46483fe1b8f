//! What is told of people (profiles, presence): only the newest of each counts, so what comes often is told as one,
//! and somebody whom 10,000 others see keeps no message waiting.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::ids::UserId;
use crate::platform::bus::Delivery;
use crate::protocol::catalogue::EventName;

/// The same about the same person is told again no sooner.
const REST: Duration = Duration::from_secs(1);

/// Notes of what was told, beyond which old ones are looked for.
const MANY: usize = 1_024;

/// Whom it is about, and the event.
type Key = (UserId, EventName);

#[derive(Default)]
struct State {
    /// When what waits may be told; the number keeps those of one moment apart, in order.
    due: BTreeMap<(Instant, u64), Key>,
    waiting: HashMap<Key, Vec<Delivery>>,
    told: HashMap<Key, Instant>,
    count: u64,
}

/// See the file. It holds one entry for each person at most.
#[derive(Default)]
pub struct Latest {
    state: Mutex<State>,
    arrived: Notify,
}

impl Latest {
    /// Puts in what is told of somebody, all of one event; it takes the place of what waits about them.
    pub fn put(&self, user: UserId, event: EventName, deliveries: Vec<Delivery>) {
        let key = (user, event);
        let mut state = self.state.lock();
        if state.waiting.insert(key, deliveries).is_some() {
            return;
        }
        let now = Instant::now();
        let at = state.told.get(&key).map_or(now, |told| now.max(*told + REST));
        state.count += 1;
        let number = state.count;
        state.due.insert((at, number), key);
        drop(state);
        self.arrived.notify_one();
    }

    /// Waits for what may be told next, and takes it out.
    pub async fn next(&self) -> Vec<Delivery> {
        loop {
            let arrived = self.arrived.notified();
            let until = match self.take(Instant::now()) {
                Ok(deliveries) => return deliveries,
                Err(until) => until,
            };
            match until {
                Some(until) => tokio::select! {
                    () = arrived => {}
                    () = sleep_until(until) => {}
                },
                None => arrived.await,
            }
        }
    }

    /// What may be told now; or when something may.
    fn take(&self, now: Instant) -> Result<Vec<Delivery>, Option<Instant>> {
        let mut state = self.state.lock();
        let Some((&(at, number), &key)) = state.due.first_key_value() else { return Err(None) };
        if at > now {
            return Err(Some(at));
        }
        state.due.remove(&(at, number));
        if state.told.len() >= MANY {
            state.told.retain(|_, told| *told + REST > now);
        }
        state.told.insert(key, now);
        Ok(state.waiting.remove(&key).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::platform::bus::Audience;

    fn told(number: u32) -> Vec<Delivery> {
        vec![
            Delivery::new(Audience::Chats(Vec::new()), EventName::user_updated, &json!(number))
                .expect("encodes"),
        ]
    }

    fn number(deliveries: &[Delivery]) -> u32 {
        deliveries.first().expect("one").payload.get().parse().expect("a number")
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_changes_of_one_person_the_first_and_the_last_are_told() {
        let latest = Latest::default();
        let (alice, bob) = (UserId(1), UserId(2));
        let began = Instant::now();
        latest.put(alice, EventName::user_updated, told(0));
        assert_eq!(number(&latest.next().await), 0);
        for change in 1..=100 {
            latest.put(alice, EventName::user_updated, told(change));
        }
        latest.put(bob, EventName::user_updated, told(200));
        // Nobody waits for somebody else's rest.
        assert_eq!(number(&latest.next().await), 200);
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(number(&latest.next().await), 100);
        assert!(began.elapsed() >= REST && began.elapsed() < REST * 2);
        assert!(latest.take(Instant::now() + REST * 9).is_err(), "nothing is left");
    }
}

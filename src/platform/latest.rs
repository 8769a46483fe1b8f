//! Pending profile and presence events. Only the newest of each counts, so frequent events are merged into one, and an
//! event about a user whom 10,000 others see does not delay messages.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::ids::UserId;
use crate::platform::bus::Delivery;
use crate::protocol::catalogue::EventName;

/// Minimum time between two events of the same name about the same user.
const REST: Duration = Duration::from_secs(1);

/// Above this number of recorded delivery times, old ones are removed.
const MANY: usize = 1_024;

/// The user that it is about, and the event.
type Key = (UserId, EventName);

#[derive(Default)]
struct State {
    /// When pending events may be delivered. The number keeps those with the same time apart, in order.
    due: BTreeMap<(Instant, u64), Key>,
    waiting: HashMap<Key, Vec<Delivery>>,
    told: HashMap<Key, Instant>,
    count: u64,
}

/// The pending events; see the module documentation. It has at most one entry per user and event name.
#[derive(Default)]
pub struct Latest {
    state: Mutex<State>,
    arrived: Notify,
}

impl Latest {
    /// Adds events of one name about a user. They replace pending ones of that name about the same user.
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

    /// Waits for the next events that are due, and removes them.
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

    /// Removes the events that are due now, or returns when the next ones will be.
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
        // Events about one user do not wait for the pause of another.
        assert_eq!(number(&latest.next().await), 200);
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(number(&latest.next().await), 100);
        assert!(began.elapsed() >= REST && began.elapsed() < REST * 2);
        assert!(latest.take(Instant::now() + REST * 9).is_err(), "nothing is left");
    }
}

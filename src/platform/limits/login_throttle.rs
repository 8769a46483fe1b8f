//! Slows down failed logins (OWASP authentication cheat sheet, "login throttling"): after a few failures, each further
//! one doubles a wait, up to a minute. An attempt during the wait is refused before anything is hashed. Accounts are
//! never locked permanently.
//!
//! Failures are counted for the account as entered (even if it does not exist, so that the reply reveals nothing) and
//! for the address that they came from. An attacker could use this to keep the owner of an account waiting. Therefore
//! an account and an address from which it has logged in before are counted as a separate pair, which failures from
//! elsewhere do not affect (the idea of OWASP's device cookies, with the address instead of the cookie). Open sessions
//! are renewed without a password and never wait. From an address that is new to the account, the owner shares the wait
//! with the attacker: at most a minute at a time. All unknown addresses together therefore have about 1,440 guesses a
//! day for each name of an account (phone, e-mail, username), however many they are.
//!
//! A success clears the failures of the account or the pair, but not those of the address: otherwise an attacker who
//! owns one account could try passwords of others without limit. All data is kept in bounded memory of one process; a
//! restart clears it.

use std::time::Duration;

use moka::Entry;
use moka::ops::compute::Op;
use moka::sync::Cache;

use super::Key;
use crate::error::{Error, Result};

/// Failures of an account or a pair that cause no wait, because people mistype.
const FREE: u32 = 3;

/// The same for an address, which many people may share.
const FREE_PER_ADDRESS: u32 = 10;

/// The first wait in milliseconds; each further failure doubles it.
const FIRST_WAIT_MS: u64 = 1_000;

/// The longest wait in milliseconds.
const LONGEST_WAIT_MS: u64 = 60_000;

/// Failures are cleared after this time without a new one.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(15);

/// How long a successful login from an address is remembered.
const KNOWN_FOR: Duration = Duration::from_hours(30 * 24);

/// Maximum number of keys of each kind.
const CAPACITY: u64 = 100_000;

/// The failures of one key.
#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    /// No attempt is allowed until then. In milliseconds of the clock's uptime.
    until: i64,
}

/// A password attempt that is about to be checked.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    account: Key,
    /// `None` if only the account counts.
    network: Option<Key>,
    /// Whether the account has logged in from this network before.
    known: bool,
}

impl Attempt {
    /// Returns the key that it counts for: the account, or the account together with this network.
    pub fn counted_as(&self) -> Key {
        match self.network {
            Some(network) if self.known => Key::pair(self.account, network),
            _ => self.account,
        }
    }
}

/// The throttle; see the module documentation.
pub struct LoginThrottle {
    on: bool,
    failures: Cache<Key, Failures>,
    known: Cache<Key, ()>,
}

impl LoginThrottle {
    /// Creates a throttle without any recorded failures.
    pub fn new(on: bool) -> Self {
        Self {
            on,
            failures: Cache::builder().max_capacity(CAPACITY).time_to_live(FORGOTTEN_AFTER).build(),
            known: Cache::builder().max_capacity(CAPACITY).time_to_idle(KNOWN_FOR).build(),
        }
    }

    /// Checks whether a password may be tried at `now` (milliseconds of the clock's uptime). Fails with `rate_limited`
    /// if not.
    pub fn begin(&self, account: Key, network: Key, now: i64) -> Result<Attempt> {
        let known = self.on && self.known.get(&Key::pair(account, network)).is_some();
        let attempt = Attempt { account, network: Some(network), known };
        if !known {
            self.check(network, now)?;
        }
        self.enter(attempt.counted_as(), now)?;
        Ok(attempt)
    }

    /// Does the same for a user who is logged in and has to confirm their password, so that a stolen token cannot be
    /// used to guess it.
    pub fn begin_confirmation(&self, user: Key, now: i64) -> Result<Attempt> {
        self.enter(user, now)?;
        Ok(Attempt { account: user, network: None, known: false })
    }

    /// Records the result of an attempt; `right` is whether the password was correct.
    pub fn settle(&self, attempt: Attempt, right: bool, now: i64) {
        if !self.on {
            return;
        }
        if right {
            self.failures.invalidate(&attempt.counted_as());
            if let Some(network) = attempt.network {
                self.known.insert(Key::pair(attempt.account, network), ());
            }
            return;
        }
        if let Some(network) = attempt.network.filter(|_| !attempt.known) {
            self.failures.entry(network).and_upsert_with(|before| {
                let count = before.map_or(0, |before| before.into_value().count).saturating_add(1);
                Failures { count, until: now + wait_after(count, FREE_PER_ADDRESS) as i64 }
            });
        }
    }

    /// Cancels an attempt whose password was not checked, because the server was busy or the failure had another cause.
    pub fn give_back(&self, attempt: Attempt) {
        if !self.on {
            return;
        }
        self.failures.entry(attempt.counted_as()).and_compute_with(|before| match before {
            Some(before) => {
                let count = before.into_value().count.saturating_sub(1);
                Op::Put(Failures { count, until: 0 })
            }
            None => Op::Nop,
        });
    }

    /// Counts an attempt as a failure until it is settled, so that concurrent attempts do not get more checks than
    /// sequential ones.
    fn enter(&self, key: Key, now: i64) -> Result<()> {
        if !self.on {
            return Ok(());
        }
        self.failures
            .entry(key)
            .and_try_compute_with(|before| {
                let before = before.map(Entry::into_value);
                refuse_until(before.map_or(0, |it| it.until), now)?;
                let count = before.map_or(0, |it| it.count).saturating_add(1);
                Ok(Op::Put(Failures { count, until: now + wait_after(count, FREE) as i64 }))
            })
            .map(|_| ())
    }

    fn check(&self, key: Key, now: i64) -> Result<()> {
        refuse_until(self.failures.get(&key).map_or(0, |failures| failures.until), now)
    }
}

fn refuse_until(until: i64, now: i64) -> Result<()> {
    if until <= now {
        return Ok(());
    }
    let wait = u64::try_from(until - now).unwrap_or(LONGEST_WAIT_MS).min(LONGEST_WAIT_MS);
    Err(Error::rate_limited("too many failed logins, try again later", wait))
}

/// Returns the wait after this many failures, of which `free` cause none, in milliseconds.
fn wait_after(failures: u32, free: u32) -> u64 {
    match failures.checked_sub(free) {
        None | Some(0) => 0,
        Some(over) => FIRST_WAIT_MS.saturating_mul(1 << (over - 1).min(20)).min(LONGEST_WAIT_MS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Key {
        Key::address(Some(text.parse().expect("an address")))
    }

    /// Fails once and returns when the next attempt is allowed.
    fn fail(slow: &LoginThrottle, account: Key, network: Key, now: i64) -> i64 {
        let attempt = slow.begin(account, network, now).expect("may try");
        slow.settle(attempt, false, now);
        let again = slow.check(attempt.counted_as(), now).and_then(|()| slow.check(network, now));
        again.err().map_or(now, |error| now + error.retry_after_ms.unwrap_or(0) as i64)
    }

    #[test]
    fn each_failure_after_the_third_doubles_the_wait_up_to_a_minute() {
        let waits: Vec<u64> = (1..=12).map(|failures| wait_after(failures, FREE) / 1_000).collect();
        assert_eq!(waits, [0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(wait_after(u32::MAX, FREE), LONGEST_WAIT_MS);
        let slow = LoginThrottle::new(true);
        let (alice, here) = (Key::account("alice"), address("192.0.2.1"));
        let (mut now, mut waited) = (1_000_000, Vec::new());
        for _ in 0..8 {
            let next = fail(&slow, alice, here, now);
            waited.push(next - now);
            now = next;
        }
        assert_eq!(waited, [0, 0, 0, 1_000, 2_000, 4_000, 8_000, 16_000]);
        let attempt = slow.begin(alice, here, now).expect("the wait is over");
        slow.settle(attempt, true, now);
        assert_eq!(fail(&slow, alice, here, now), now, "a success forgets");
    }

    #[test]
    fn who_got_in_from_an_address_before_does_not_notice_what_others_do() {
        let slow = LoginThrottle::new(true);
        let (alice, home) = (Key::account("alice"), address("192.0.2.1"));
        let attempt = slow.begin(alice, home, 0).expect("may try");
        slow.settle(attempt, true, 0);
        let mut now = 0;
        for attacker in 0..20_u8 {
            now = fail(&slow, alice, address(&format!("198.51.100.{attacker}")), now);
        }
        assert!(slow.begin(alice, address("203.0.113.1"), now - 1).is_err(), "strangers wait");
        let attempt = slow.begin(alice, home, now - 1).expect("its owner does not");
        assert_ne!(attempt.counted_as(), alice, "nor shares the strangers' tokens");
        slow.settle(attempt, true, now - 1);
        assert!(slow.begin(alice, address("203.0.113.1"), now - 1).is_err(), "and frees no stranger");
    }

    #[test]
    fn a_known_pair_is_slowed_by_its_own_failures_only() {
        let slow = LoginThrottle::new(true);
        let (alice, home) = (Key::account("alice"), address("192.0.2.1"));
        slow.settle(slow.begin(alice, home, 0).expect("may try"), true, 0);
        for _ in 0..4 {
            slow.settle(slow.begin(alice, home, 0).expect("may try"), false, 0);
        }
        assert!(slow.begin(alice, home, 0).is_err());
        assert!(slow.begin(alice, address("198.51.100.1"), 0).is_ok());
    }

    #[test]
    fn an_address_that_tries_many_accounts_waits_and_a_success_elsewhere_does_not_free_it() {
        let slow = LoginThrottle::new(true);
        let attacker = address("198.51.100.1");
        for victim in 0..=FREE_PER_ADDRESS {
            let account = Key::account(&format!("victim{victim}"));
            slow.settle(slow.begin(account, attacker, 0).expect("may try"), false, 0);
        }
        assert!(slow.begin(Key::account("one more"), attacker, 0).is_err());
        let own = Key::account("attacker");
        slow.settle(slow.begin(own, attacker, FIRST_WAIT_MS as i64).expect("the wait is over"), true, 1_000);
        slow.settle(slow.begin(Key::account("next"), attacker, 1_000).expect("may try"), false, 1_000);
        let wait = slow.begin(Key::account("last"), attacker, 1_000).err().and_then(|it| it.retry_after_ms);
        assert_eq!(wait, Some(2 * FIRST_WAIT_MS), "the address's own failures stand");
    }

    #[test]
    fn attempts_at_the_same_time_are_no_more_than_one_after_the_other() {
        let slow = LoginThrottle::new(true);
        let alice = Key::account("alice");
        let begun: Vec<_> = (0..40_u8)
            .filter_map(|from| slow.begin(alice, address(&format!("198.51.100.{from}")), 0).ok())
            .collect();
        assert_eq!(begun.len(), FREE as usize + 1, "none of them is settled yet");
        for attempt in begun {
            slow.give_back(attempt);
        }
        assert!(slow.begin(alice, address("192.0.2.1"), 0).is_ok(), "nothing was tried");
    }

    #[test]
    fn confirming_with_ones_password_waits_for_that_user_alone() {
        let slow = LoginThrottle::new(true);
        let key = |id| Key::user(crate::ids::UserId(id));
        for _ in 0..4 {
            slow.settle(slow.begin_confirmation(key(1), 0).expect("may try"), false, 0);
        }
        assert!(slow.begin_confirmation(key(1), 0).is_err());
        assert!(slow.begin_confirmation(key(2), 0).is_ok());
    }

    #[test]
    fn memory_is_bounded_and_off_is_off() {
        let slow = LoginThrottle::new(true);
        for number in 0..150_000 {
            let account = Key::account(&number.to_string());
            slow.begin_confirmation(account, 0).expect("may try");
        }
        slow.failures.run_pending_tasks();
        assert!(slow.failures.entry_count() <= CAPACITY, "{}", slow.failures.entry_count());
        let off = LoginThrottle::new(false);
        for _ in 0..100 {
            off.settle(off.begin(Key::account("alice"), address("::1"), 0).expect("may try"), false, 0);
        }
    }
}

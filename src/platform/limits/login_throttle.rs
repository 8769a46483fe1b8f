//! Failed logins slow down (OWASP authentication cheat sheet, "login throttling"): after a few, each further
//! failure doubles a wait, up to a minute, and who comes before it is over is refused before anything is
//! hashed. Nothing is locked for good.
//!
//! Failures count for the account as it was typed (also where there is none, so that it tells nothing) and for
//! the address that they came from. An attacker could so keep somebody else waiting: therefore whoever has
//! logged in to an account from an address before is counted apart, as that pair alone, and does not notice
//! what others do elsewhere (the idea of OWASP's device cookies, with the address in the cookie's place).
//! Open sessions are renewed without a password and never wait. From an address that is new to the account,
//! its owner shares the wait with the attacker: at most a minute at a time. Strangers together have so about
//! 1,440 guesses a day at each name of an account (phone, e-mail, username), however many they are.
//!
//! A success forgets the failures of the account, or of the pair, but not of the address: who owns one
//! account could otherwise try the others' without end. All of it is bounded memory of one process; after a
//! restart everybody starts anew.

use std::time::Duration;

use moka::Entry;
use moka::ops::compute::Op;
use moka::sync::Cache;

use super::Key;
use crate::error::{Error, Result};

/// Failures of an account, or of a pair, that cost nothing yet: mistyping is human.
const FREE: u32 = 3;

/// The same for an address, behind which many people may be.
const FREE_PER_ADDRESS: u32 = 10;

/// The first wait, milliseconds; each further failure doubles it.
const FIRST_WAIT_MS: u64 = 1_000;

/// No wait is longer, milliseconds.
const LONGEST_WAIT_MS: u64 = 60_000;

/// After so long without a failure those before are forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(15);

/// How long it is remembered that somebody got in from an address.
const KNOWN_FOR: Duration = Duration::from_hours(30 * 24);

/// Keys that are kept of each kind.
const CAPACITY: u64 = 100_000;

/// What went wrong under one key.
#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    /// Until when nobody may try, milliseconds since the epoch.
    until: i64,
}

/// A password that is about to be tried.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    account: Key,
    /// None where the account alone counts.
    network: Option<Key>,
    /// Somebody got in from there before.
    known: bool,
}

impl Attempt {
    /// For whom it counts: the account, or the account from this very address.
    pub fn counted_as(&self) -> Key {
        match self.network {
            Some(network) if self.known => Key::pair(self.account, network),
            _ => self.account,
        }
    }
}

/// See the file.
pub struct LoginThrottle {
    on: bool,
    failures: Cache<Key, Failures>,
    known: Cache<Key, ()>,
}

impl LoginThrottle {
    /// Remembering nothing yet.
    pub fn new(on: bool) -> Self {
        Self {
            on,
            failures: Cache::builder().max_capacity(CAPACITY).time_to_live(FORGOTTEN_AFTER).build(),
            known: Cache::builder().max_capacity(CAPACITY).time_to_idle(KNOWN_FOR).build(),
        }
    }

    /// Whether a password may be tried now (milliseconds of the clock's uptime); `rate_limited` where not.
    pub fn begin(&self, account: Key, network: Key, now: i64) -> Result<Attempt> {
        let known = self.on && self.known.get(&Key::pair(account, network)).is_some();
        let attempt = Attempt { account, network: Some(network), known };
        if !known {
            self.check(network, now)?;
        }
        self.enter(attempt.counted_as(), now)?;
        Ok(attempt)
    }

    /// The same for the password of somebody who is logged in already and has to confirm something: a stolen
    /// token shall not find the password out.
    pub fn begin_confirmation(&self, user: Key, now: i64) -> Result<Attempt> {
        self.enter(user, now)?;
        Ok(Attempt { account: user, network: None, known: false })
    }

    /// What became of an attempt: `right` is whether the password was.
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

    /// Nothing was tried: the server was busy, or it was no matter of the password.
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

    /// Counts an attempt on an account as a failure until it is settled: of many that are made at the same
    /// time, no more are checked than if they came one after the other.
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

/// The wait after so many failures, of which `free` cost nothing; milliseconds.
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

    /// Fails once; when the next may come.
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

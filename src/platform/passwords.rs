//! Passwords: argon2id on dedicated threads, bounded in number and memory, in the same time whether or not the user
//! exists. Hashes of other software can be verified too, see [`foreign`].

pub mod foreign;

mod argon;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use argon2::password_hash::phc::PasswordHash;

use super::thread_pool::ThreadPool;
use crate::config::HashCost;
use crate::error::{Error, Result};
use crate::text::nfc;

/// Maximum number of waiting jobs; further calls fail with `unavailable` at once.
const MAX_WAITING: usize = 256;

/// Maximum delay of a negative result.
const LONGEST_REFUSAL: Duration = Duration::from_secs(1);

/// Creates and verifies password hashes.
#[derive(Clone)]
pub struct Passwords {
    cost: HashCost,
    thread_pool: ThreadPool,
    /// Verified if the user does not exist, so that it takes the same time.
    decoy: Arc<str>,
    /// Mean time of a hash in microseconds: with the current cost, and of all other kinds (0 before the first).
    usual: Arc<[AtomicU64; 2]>,
}

/// The result of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordCheck {
    /// The password is wrong.
    Wrong,
    /// The password is right.
    Right,
    /// The password is right, but the hash has a different cost or was made by other software: create a new one.
    RightButOld,
}

impl Passwords {
    /// Creates a hasher with the given cost and at most `parallel` hashes at a time.
    pub fn new(cost: HashCost, parallel: usize) -> Result<Self> {
        let started = Instant::now();
        // On a temporary thread, because this one would keep the memory of a hash for good.
        let decoy = std::thread::spawn(move || argon::hash(cost, "nobody has this password"))
            .join()
            .map_err(|_| Error::internal("the first hash panicked"))??;
        let usual = started.elapsed().as_micros() as u64;
        Ok(Self {
            cost,
            thread_pool: ThreadPool::start("passwords", parallel, MAX_WAITING, argon::free_memory)?,
            decoy: decoy.into(),
            usual: Arc::new([AtomicU64::new(usual), AtomicU64::new(0)]),
        })
    }

    /// Returns the PHC string of a password, normalized (NFC), with a random salt.
    pub async fn hash(&self, password: &str) -> Result<String> {
        let (cost, password) = (self.cost, nfc(password));
        self.run(move || argon::hash(cost, &password)).await?
    }

    /// Verifies a password against `hash`, or against a decoy if there is no such user.
    pub async fn verify(&self, password: &str, hash: Option<&str>) -> Result<PasswordCheck> {
        // An account with an unusable hash takes the same time.
        let hash = hash.filter(|it| foreign::is_usable(it));
        let known = hash.is_some();
        let hash = hash.unwrap_or(&self.decoy).to_owned();
        let (cost, password) = (self.cost, password.to_owned());
        // Hashes with a different cost take a different time, whichever software made them.
        let HashCost { memory_kib, passes, lanes } = cost;
        let is_own = hash.starts_with(&format!("$argon2id$v=19$m={memory_kib},t={passes},p={lanes}$"));
        let work = move || {
            let started = Instant::now();
            (verify_either(cost, &password, &hash), started.elapsed())
        };
        let (check, spent) = self.run(work).await?;
        self.learn(is_own, spent);
        if check == PasswordCheck::Wrong || !known {
            tokio::time::sleep(self.least_of_a_refusal().saturating_sub(spent)).await;
        }
        Ok(if known { check } else { PasswordCheck::Wrong })
    }

    /// Updates the running mean, which follows a change of load quickly.
    fn learn(&self, is_own: bool, spent: Duration) {
        let [own, foreign] = &*self.usual;
        let mean = if is_own { own } else { foreign };
        let (before, now) = (mean.load(Ordering::Relaxed), spent.as_micros() as u64);
        mean.store(if before == 0 { now } else { (before * 7 + now) / 8 }, Ordering::Relaxed);
    }

    /// Returns the minimum duration of a negative result. Once there are hashes of other software or other costs, it is
    /// the time of the slower kind, so that the duration does not reveal which accounts were imported and have not
    /// logged in yet.
    fn least_of_a_refusal(&self) -> Duration {
        let [own, foreign] = &*self.usual;
        match foreign.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            foreign => Duration::from_micros(foreign.max(own.load(Ordering::Relaxed))).min(LONGEST_REFUSAL),
        }
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let busy = || Error::unavailable("too many logins at once, try again in a moment");
        self.thread_pool.run(work).await?.ok_or_else(busy)
    }
}

/// Verifies a password in its composed form, as it is hashed now; otherwise as it was entered, which older hashes and
/// those of other software may use.
fn verify_either(cost: HashCost, password: &str, hash: &str) -> PasswordCheck {
    let composed = nfc(password);
    match verify_now(cost, &composed, hash) {
        PasswordCheck::Wrong if composed != password => match verify_now(cost, password, hash) {
            PasswordCheck::Wrong => PasswordCheck::Wrong,
            PasswordCheck::Right | PasswordCheck::RightButOld => PasswordCheck::RightButOld,
        },
        check => check,
    }
}

fn verify_now(cost: HashCost, password: &str, hash: &str) -> PasswordCheck {
    if let Some(fits) = foreign::verify(password, hash) {
        return if fits { PasswordCheck::RightButOld } else { PasswordCheck::Wrong };
    }
    let Ok(parsed) = PasswordHash::new(hash) else { return PasswordCheck::Wrong };
    if !argon::verify(password, &parsed) {
        return PasswordCheck::Wrong;
    }
    let same = |name: &str, value: u32| parsed.params.get_decimal(name) == Some(value);
    if same("m", cost.memory_kib) && same("t", cost.passes) && same("p", cost.lanes) {
        PasswordCheck::Right
    } else {
        PasswordCheck::RightButOld
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIGHT: HashCost = HashCost { memory_kib: 64, passes: 1, lanes: 1 };

    #[tokio::test]
    async fn a_hash_fits_its_password_only() {
        let passwords = Passwords::new(LIGHT, 1).expect("passwords");
        let hash = passwords.hash("mango salad").await.expect("hash");
        assert!(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{hash}");
        assert_ne!(hash, passwords.hash("mango salad").await.expect("hash"), "each has its own salt");
        assert_eq!(passwords.verify("mango salad", Some(&hash)).await.expect("verify"), PasswordCheck::Right);
        assert_eq!(
            passwords.verify("mango sorbet", Some(&hash)).await.expect("verify"),
            PasswordCheck::Wrong
        );
        assert_eq!(
            passwords.verify("nobody has this password", None).await.expect("verify"),
            PasswordCheck::Wrong
        );
    }

    #[tokio::test]
    async fn a_password_is_the_same_however_its_letters_are_composed() {
        let passwords = Passwords::new(LIGHT, 1).expect("passwords");
        let (composed, apart) = ("crème brûlée", "cre\u{300}me bru\u{302}le\u{301}e");
        for (hashed, tried) in [(composed, apart), (apart, composed), (apart, apart)] {
            let hash = passwords.hash(hashed).await.expect("hash");
            assert_eq!(passwords.verify(tried, Some(&hash)).await.expect("verify"), PasswordCheck::Right);
        }
        // An older hash, or one of other software, which hashed the bytes as entered.
        let older = argon::hash(LIGHT, apart).expect("hash");
        assert_eq!(passwords.verify(apart, Some(&older)).await.expect("verify"), PasswordCheck::RightButOld);
        assert_eq!(passwords.verify(composed, Some(&older)).await.expect("verify"), PasswordCheck::Wrong);
    }

    #[tokio::test]
    async fn a_hash_of_other_costs_still_verifies_and_is_known_as_old() {
        let old = Passwords::new(LIGHT, 1).expect("passwords").hash("mango").await.expect("hash");
        let now = Passwords::new(HashCost { passes: 2, ..LIGHT }, 1).expect("passwords");
        assert_eq!(now.verify("mango", Some(&old)).await.expect("verify"), PasswordCheck::RightButOld);
    }
}

//! Passwords: argon2id on threads of its own, bounded in number and memory, in equal time whether or not the user
//! exists.

mod argon;

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;

use super::crew::Crew;
use crate::config::HashCost;
use crate::error::{Error, Result};

/// Hashing jobs that may wait; beyond it the answer is `unavailable` at once.
const MAX_WAITING: usize = 256;

/// Makes and verifies password hashes.
#[derive(Clone)]
pub struct Passwords {
    cost: HashCost,
    crew: Crew,
    /// Verified against where no user is, so that it takes as long.
    decoy: Arc<str>,
}

/// What became of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not the password.
    Wrong,
    /// The password.
    Right,
    /// The password, but the hash has other costs than are set: make a new one.
    RightButOld,
}

impl Passwords {
    /// With the given cost and at most `parallel` hashes at a time.
    pub fn new(cost: HashCost, parallel: usize) -> Result<Self> {
        // On a thread that ends: this one would keep the memory of a hash for good.
        let decoy = std::thread::spawn(move || argon::hash(cost, "nobody has this password"))
            .join()
            .map_err(|_| Error::internal("the first hash panicked"))??;
        Ok(Self { cost, crew: Crew::start("passwords", parallel, MAX_WAITING)?, decoy: decoy.into() })
    }

    /// The PHC string of a password with a salt of its own.
    pub async fn hash(&self, password: &str) -> Result<String> {
        let (cost, password) = (self.cost, password.to_owned());
        self.run(move || argon::hash(cost, &password)).await?
    }

    /// Judges a password against `hash`, or against a decoy where there is no such user.
    pub async fn verify(&self, password: &str, hash: Option<&str>) -> Result<Verdict> {
        let known = hash.is_some();
        let hash = hash.unwrap_or(&self.decoy).to_owned();
        let (cost, password) = (self.cost, password.to_owned());
        let verdict = self.run(move || verify_now(cost, &password, &hash)).await?;
        Ok(if known { verdict } else { Verdict::Wrong })
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let busy = || Error::unavailable("too many logins at once, try again in a moment");
        self.crew.run(work).await?.ok_or_else(busy)
    }
}

fn verify_now(cost: HashCost, password: &str, hash: &str) -> Verdict {
    let Ok(parsed) = PasswordHash::new(hash) else { return Verdict::Wrong };
    if !argon::verify(password, &parsed) {
        return Verdict::Wrong;
    }
    let same = |name: &str, value: u32| parsed.params.get_decimal(name) == Some(value);
    if same("m", cost.memory_kib) && same("t", cost.passes) && same("p", cost.lanes) {
        Verdict::Right
    } else {
        Verdict::RightButOld
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
        assert_eq!(passwords.verify("mango salad", Some(&hash)).await.expect("verify"), Verdict::Right);
        assert_eq!(passwords.verify("mango sorbet", Some(&hash)).await.expect("verify"), Verdict::Wrong);
        assert_eq!(passwords.verify("nobody has this password", None).await.expect("verify"), Verdict::Wrong);
    }

    #[tokio::test]
    async fn a_hash_of_other_costs_still_verifies_and_is_known_as_old() {
        let old = Passwords::new(LIGHT, 1).expect("passwords").hash("mango").await.expect("hash");
        let now = Passwords::new(HashCost { passes: 2, ..LIGHT }, 1).expect("passwords");
        assert_eq!(now.verify("mango", Some(&old)).await.expect("verify"), Verdict::RightButOld);
    }
}

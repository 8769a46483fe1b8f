//! Confirms a request with the current password, before a change that a stolen session must not be able to make. The
//! password is checked without a lock, because hashing takes long; the caller then locks the row and checks that the
//! hash is unchanged.

use entity::user;

use crate::domain::AppContext;
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::platform::limits::{Bucket, Key};
use crate::platform::passwords::PasswordCheck;
use crate::protocol::parse::Problems;

/// Longest password that is checked, in bytes; no stored password is longer.
const LONGEST_TRIED: usize = 1_024;

/// Refuses a password that is too long to be right, before it is hashed.
pub fn check_tried(problems: &mut Problems, password: &str) {
    problems.check("password", password.len() <= LONGEST_TRIED, "is longer than a password can be");
}

/// Fails unless the password is the user's current one. The rate limits are as strict as for a login, so a stolen token
/// does not help to guess the password.
pub async fn confirm(context: &AppContext, user: &user::Model, password: &str) -> Result<()> {
    context.rates.take(Bucket::Login, Key::user(UserId(user.id))).await?;
    let failures = &context.rates.failures;
    let attempt = failures.begin_confirmation(Key::user(UserId(user.id)), context.clock.uptime())?;
    let check = context.passwords.verify(password, Some(&user.password_hash)).await;
    let right = check.inspect_err(|_| failures.give_back(attempt))? != PasswordCheck::Wrong;
    failures.settle(attempt, right, context.clock.uptime());
    if right { Ok(()) } else { Err(wrong()) }
}

/// Fails if the password of the locked row is no longer the one that was checked: it was changed meanwhile, and knowing
/// the previous one proves nothing.
pub fn require_unchanged(locked: &user::Model, judged_hash: &str) -> Result<()> {
    if locked.password_hash == judged_hash { Ok(()) } else { Err(wrong()) }
}

fn wrong() -> Error {
    Error::invalid("password", "does not match the current password")
}

//! Confirming a request with the current password, before something that a stolen session
//! must not do. The password is checked without a lock, because hashing takes long; the caller then locks the
//! row and checks that the hash is still the same.

use entity::user;

use crate::domain::AppContext;
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::platform::limits::{Bucket, Key};
use crate::platform::passwords::PasswordCheck;
use crate::protocol::parse::Problems;

/// Bytes of a password that is tried; none that was ever set is longer.
const LONGEST_TRIED: usize = 1_024;

/// Refuses what is too long to be hashed for nothing.
pub fn check_tried(problems: &mut Problems, password: &str) {
    problems.check("password", password.len() <= LONGEST_TRIED, "is longer than a password can be");
}

/// Fails unless the password must not be your own message; a stolen token finds it out no faster than a login would.
pub async fn confirm(context: &AppContext, user: &user::Model, password: &str) -> Result<()> {
    context.rates.take(Bucket::Login, Key::user(UserId(user.id))).await?;
    let failures = &context.rates.failures;
    let attempt = failures.begin_confirmation(Key::user(UserId(user.id)), context.clock.uptime())?;
    let check = context.passwords.verify(password, Some(&user.password_hash)).await;
    let right = check.inspect_err(|_| failures.give_back(attempt))? != PasswordCheck::Wrong;
    failures.settle(attempt, right, context.clock.uptime());
    if right { Ok(()) } else { Err(wrong()) }
}

/// Fails if the locked row has another password than the one that was checked: it was changed a moment ago,
/// and knowing the previous one proves nothing any more.
pub fn require_unchanged(locked: &user::Model, judged_hash: &str) -> Result<()> {
    if locked.password_hash == judged_hash { Ok(()) } else { Err(wrong()) }
}

fn wrong() -> Error {
    Error::invalid("password", "does not match the current password")
}

//! What a new password has to be: one rule for registration, recovery and change.

use crate::domain::Core;
use crate::error::{Error, Result};

/// Refuses a password that is too short, too long or cannot be stored, naming `field`.
pub fn check_password(_core: &Core, field: &str, password: &str) -> Result<()> {
    if !(8..=128).contains(&password.chars().count()) {
        return Err(Error::invalid(field, "takes 8 to 128 characters"));
    }
    if password.contains('\0') {
        return Err(Error::invalid(field, "takes no NUL characters"));
    }
    Ok(())
}

//! Rules for a new password: 8 to 128 characters and, if `PASSWORD_BLOCKLIST` is on, none of the 10,000 most common
//! ones. There are no other rules, because they make passwords worse (NIST SP 800-63B, 5.1.1.2; ASVS 5.0, 6.2).
//!
//! The list is text in the binary, sorted by bytes, and is searched in place: nothing is built or kept in memory.

use crate::domain::AppContext;
use crate::error::{Error, Result};

/// Minimum length, in characters.
pub const SHORTEST: usize = 8;

/// Maximum length, in characters.
pub const LONGEST: usize = 128;

/// The list in lower case, one password per line, sorted by bytes; see `assets/passwords/README.md`.
const COMMON: &str = include_str!("../../../assets/passwords/common.txt");

/// Checks a new password; an error refers to `field`.
pub fn check_password(context: &AppContext, field: &str, password: &str) -> Result<()> {
    let length = password.chars().count();
    if !(SHORTEST..=LONGEST).contains(&length) {
        return Err(Error::invalid(field, format!("must have {SHORTEST} to {LONGEST} characters")));
    }
    if password.contains('\0') {
        return Err(Error::invalid(field, "must not contain NUL characters"));
    }
    if context.settings.passwords.blocklist && is_common(password) {
        let problem = "is one of the 10,000 most common passwords, which are tried first; choose another";
        return Err(Error::invalid(field, problem));
    }
    Ok(())
}

/// Whether a password is on the list, ignoring case.
fn is_common(password: &str) -> bool {
    let wanted = password.to_lowercase();
    let (mut from, mut to) = (0, COMMON.len());
    while from < to {
        let middle = usize::midpoint(from, to);
        let start = before(middle).rfind('\n').map_or(0, |end| end + 1);
        let end = COMMON.get(start..).and_then(|rest| rest.find('\n')).map_or(COMMON.len(), |it| start + it);
        match COMMON.get(start..end).unwrap_or_default().cmp(wanted.as_str()) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => from = end + 1,
            std::cmp::Ordering::Greater => to = start,
        }
    }
    false
}

/// Returns the list up to a byte offset. The list is ASCII, so every offset is valid.
fn before(byte: usize) -> &'static str {
    COMMON.get(..byte).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_ten_thousand_in_order() {
        let lines: Vec<&str> = COMMON.lines().collect();
        assert_eq!(lines.len(), 10_000);
        assert!(COMMON.is_ascii() && COMMON.ends_with('\n'));
        assert!(lines.is_sorted_by(|one, next| one < next), "each once, in byte order");
        for line in lines {
            assert!((SHORTEST..=LONGEST).contains(&line.len()) && line == line.to_lowercase(), "{line}");
        }
    }

    #[test]
    fn each_of_them_is_found_and_nothing_else() {
        for line in COMMON.lines() {
            assert!(is_common(line), "{line}");
            assert!(is_common(&line.to_uppercase()), "{line}");
            assert!(!is_common(&format!("{line}\n")) && !is_common(&line[..7]), "{line}");
        }
        for rare in ["", "\n", "correct horse", "mango salad", "пароль-пароль", "\u{10ffff}", " "]
        {
            assert!(!is_common(rare), "{rare}");
        }
    }
}

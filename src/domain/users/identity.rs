//! Phone, e-mail and username: their formats and their owners.

use entity::user;
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, DbErr, QueryFilter, SqlErr};

use crate::error::{Code, Error, Result};
use crate::platform::mail::is_address;
use crate::protocol::parse::Problems;

/// The identifiers that a user may log in with. Blank fields count as missing.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// Digits with an optional leading `+`.
    pub phone: Option<String>,
    /// As typed.
    pub email: Option<String>,
    /// As typed.
    pub username: Option<String>,
}

impl Identity {
    /// Normalizes the three fields and records their errors in `problems`.
    pub fn read(
        phone: Option<&str>,
        email: Option<&str>,
        username: Option<&str>,
        problems: &mut Problems,
    ) -> Self {
        let given = |text: Option<&str>| text.map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned);
        let phone = given(phone).map(|text| {
            normalize_phone(&text).unwrap_or_else(|| {
                problems.check("phone", false, "must have 3 to 30 digits, optionally with a leading +");
                text
            })
        });
        let email = given(email);
        if let Some(email) = &email {
            problems.check("email", is_address(email), "does not look like an e-mail address");
        }
        let username = given(username);
        if let Some(username) = &username {
            let fits = looks_like_username(username);
            problems.check("username", fits, "must have 3 to 32 letters, digits or _");
        }
        Self { phone, email, username }
    }

    /// Returns an error for the first of the three that another account uses.
    pub async fn taken(&self, conn: &impl ConnectionTrait, but: Option<i64>) -> Result<Option<Error>> {
        let mut any = Condition::any();
        if let Some(phone) = &self.phone {
            any = any.add(user::Column::Phone.eq(phone));
        }
        if let Some(email) = &self.email {
            any = any.add(user::Column::EmailKey.eq(email.to_lowercase()));
        }
        if let Some(username) = &self.username {
            any = any.add(user::Column::UsernameKey.eq(username.to_lowercase()));
        }
        if any.is_empty() {
            return Ok(None);
        }
        let others = user::Entity::present()
            .filter(any)
            .filter(user::Column::Id.ne(but.unwrap_or(0)))
            .all(conn)
            .await?;
        let same = |one: &Option<String>, other: &Option<String>| one.is_some() && one == other;
        let email = self.email.as_ref().map(|it| it.to_lowercase());
        Ok(others.first().map(|other| {
            if same(&self.phone, &other.phone) {
                taken("phone")
            } else if same(&email, &other.email_key) {
                taken("email")
            } else {
                taken("username")
            }
        }))
    }
}

/// Returns the error for a field that another account uses.
fn taken(field: &str) -> Error {
    let code = match field {
        "phone" => Code::PhoneTaken,
        "email" => Code::EmailTaken,
        _ => Code::UsernameTaken,
    };
    Error::field(code, field, "is taken by another account")
}

/// Converts the violation of a unique index, as in two simultaneous registrations, to the error of its field. The field
/// is found by the name of the index or column.
pub fn taken_at_insert(error: DbErr) -> Error {
    if let Some(SqlErr::UniqueConstraintViolation(message)) = error.sql_err() {
        for field in ["phone", "email", "username"] {
            if message.contains(field) {
                return taken(field);
            }
        }
    }
    Error::from(error)
}

/// Removes spaces, `-`, `(` and `)` from a phone. Returns `None` unless 3 to 30 digits remain, with an optional leading
/// `+`.
pub fn normalize_phone(text: &str) -> Option<String> {
    let plain: String = text.chars().filter(|c| !" -()".contains(*c)).collect();
    let digits = plain.strip_prefix('+').unwrap_or(&plain);
    let fits = (3..=30).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    fits.then_some(plain)
}

/// Returns a username in its stored form, or `None` if it is invalid.
pub fn read_username(text: &str) -> Option<String> {
    Some(text.trim()).filter(|it| looks_like_username(it)).map(str::to_owned)
}

/// Returns an e-mail address in its stored form, or `None` if it is invalid.
pub fn read_email(text: &str) -> Option<String> {
    Some(text.trim()).filter(|it| is_address(it)).map(str::to_owned)
}

fn looks_like_username(text: &str) -> bool {
    (3..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones_are_digits_with_an_optional_plus() {
        assert_eq!(normalize_phone("+7 (912) 345-67-89").as_deref(), Some("+79123456789"));
        assert_eq!(normalize_phone("112").as_deref(), Some("112"));
        for bad in ["", "12", "+", "12a4", "1+23", &"9".repeat(31)] {
            assert_eq!(normalize_phone(bad), None, "{bad}");
        }
    }
}

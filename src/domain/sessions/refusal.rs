//! Errors for tokens and logins that are refused. A banned user learns of the ban and its end, instead of being sent to
//! a login that would fail too.

use entity::user;
use sea_orm::{ConnectionTrait, EntityTrait};

use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::ids::UserId;
use crate::protocol::moderation::UserBanned;

/// Returns the error for a token whose session is not live at `now` (milliseconds).
pub async fn refusal(conn: &impl ConnectionTrait, user_id: UserId, now: i64) -> Result<Error> {
    let row = user::Entity::find_by_id(user_id.0).one(conn).await?;
    Ok(match row.filter(|row| row.is_banned(now)) {
        Some(row) => banned(&row),
        None => over(),
    })
}

/// Returns the error for a session that is over, for whatever reason.
pub fn over() -> Error {
    Error::new(Code::SessionEnded, "the session was ended, log in again")
}

/// Returns the error for a banned account.
pub fn banned(row: &user::Model) -> Error {
    Error::new(Code::UserBanned, describe_ban(row))
}

/// Returns the event that the connections of a banned user receive before they close.
pub fn told_of_ban(row: &user::Model) -> UserBanned {
    UserBanned {
        message: describe_ban(row),
        reason: row.ban_reason.clone().unwrap_or_default(),
        until: row.banned_until.map(Timestamp),
    }
}

/// Describes a ban to its user in one sentence: until when and why.
pub fn describe_ban(row: &user::Model) -> String {
    let until = row.banned_until.map(|until| format!(" until {}", Timestamp(until).to_rfc3339()));
    let reason = row.ban_reason.as_deref().map(|reason| format!(": {reason}"));
    format!("the account is banned{}{}", until.unwrap_or_default(), reason.unwrap_or_default())
}

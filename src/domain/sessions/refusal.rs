//! Why a token or a login is refused where there is more to say than that the session is over: a banned
//! user is told of the ban, and until when it holds, rather than sent to a login that refuses them too.

use entity::user;
use sea_orm::{ConnectionTrait, EntityTrait};

use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::ids::UserId;
use crate::protocol::moderation::UserBanned;

/// What is wrong with a token whose session does not hold at `now` (milliseconds).
pub async fn refusal(conn: &impl ConnectionTrait, user_id: UserId, now: i64) -> Result<Error> {
    let row = user::Entity::find_by_id(user_id.0).one(conn).await?;
    Ok(match row.filter(|row| row.is_banned(now)) {
        Some(row) => banned(&row),
        None => over(),
    })
}

/// The session is over, for whatever reason.
pub fn over() -> Error {
    Error::new(Code::SessionEnded, "the session was ended, log in again")
}

/// The account is banned.
pub fn banned(row: &user::Model) -> Error {
    Error::new(Code::UserBanned, describe_ban(row))
}

/// What the sockets of a banned user are told before they close.
pub fn told_of_ban(row: &user::Model) -> UserBanned {
    UserBanned {
        message: describe_ban(row),
        reason: row.ban_reason.clone().unwrap_or_default(),
        until: row.banned_until.map(Timestamp),
    }
}

/// The ban in a sentence for its user: until when and why.
pub fn describe_ban(row: &user::Model) -> String {
    let until = row.banned_until.map(|until| format!(" until {}", Timestamp(until).to_rfc3339()));
    let reason = row.ban_reason.as_deref().map(|reason| format!(": {reason}"));
    format!("the account is banned{}{}", until.unwrap_or_default(), reason.unwrap_or_default())
}

//! Contacts: which users a user follows and blocks. A contact is one user's own state: it uses their own counter,
//! and only their own devices are notified of every change. The effects on chats are checked where chats are
//! written.

mod change;
mod list;

pub use list::{List, list};

use std::collections::HashSet;

use entity::contact;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};

use crate::clock::Timestamp;
use crate::config::ContactRule;
use crate::domain::{AppContext, users};
use crate::error::{Code, Error, Result};
use crate::ids::UserId;
use crate::protocol::contacts::Contact;
use crate::protocol::users::User;

/// Returns whether `one` follows `other`.
pub async fn follows(conn: &impl ConnectionTrait, one: UserId, other: UserId) -> Result<bool> {
    let row = contact::Entity::find_by_id((one.0, other.0)).one(conn).await?;
    Ok(row.is_some_and(|row| row.followed_at.is_some()))
}

/// Returns those of `others` who block `one` or are blocked by `one`.
pub async fn blocked_between(
    conn: &impl ConnectionTrait,
    one: UserId,
    others: impl IntoIterator<Item = UserId>,
) -> Result<HashSet<UserId>> {
    let others: Vec<i64> = others.into_iter().map(|id| id.0).filter(|id| *id != one.0).collect();
    let mut found = HashSet::new();
    for some in others.chunks(1_000) {
        let rows: Vec<(i64, i64)> = contact::Entity::between(one.0, some.iter().copied())
            .select_only()
            .columns([contact::Column::UserId, contact::Column::OtherId])
            .filter(contact::Column::BlockedAt.is_not_null())
            .into_tuple()
            .all(conn)
            .await?;
        found.extend(rows.into_iter().map(|(user, other)| UserId(if user == one.0 { other } else { user })));
    }
    Ok(found)
}

/// With `CONTACT_POLICY=mutual`, refuses those of `others` who do not follow `one` or whom `one` does not follow;
/// the error names `field` and each of them.
pub async fn require_mutual(
    context: &AppContext,
    conn: &impl ConnectionTrait,
    one: UserId,
    others: &[UserId],
    field: &str,
) -> Result<()> {
    if !context.settings.contacts.requires(ContactRule::Mutual) {
        return Ok(());
    }
    let mut missing: Vec<UserId> = Vec::new();
    for some in others.chunks(1_000) {
        let rows = contact::Entity::between(one.0, some.iter().map(|id| id.0))
            .filter(contact::Column::FollowedAt.is_not_null())
            .all(conn)
            .await?;
        let follows: HashSet<(i64, i64)> = rows.into_iter().map(|row| (row.user_id, row.other_id)).collect();
        let is_mutual = |other: i64| follows.contains(&(one.0, other)) && follows.contains(&(other, one.0));
        missing.extend(some.iter().copied().filter(|other| *other != one && !is_mutual(other.0)));
    }
    if missing.is_empty() {
        return Ok(());
    }
    let authors = users::authors(conn, missing.iter().take(NAMED).map(|id| id.0)).await?;
    let problems: Vec<String> = missing
        .iter()
        .take(NAMED)
        .map(|id| {
            let name = authors.get(&id.0).and_then(|author| author.username.as_deref());
            let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
            format!("you and user {id}{name} do not follow each other")
        })
        .collect();
    let mut error = Error::new(Code::ContactRequired, format!("{field}: {}", problems.join("; ")));
    error.errors.insert(field.to_owned(), problems);
    Err(error)
}

/// Users who are named in one error.
const NAMED: usize = 50;

/// Maximum number of changed contacts that `sync` lists.
const TOLD_UP_TO: u64 = 500;

/// Returns the contacts of a user that changed after this value of their own counter; `None` if there are too many
/// to list.
pub async fn changed_since(
    conn: &impl ConnectionTrait,
    one: UserId,
    since: i64,
) -> Result<Option<Vec<Contact>>> {
    use sea_orm::QueryOrder;
    use sea_orm::sea_query::ExprTrait;

    let mut changed = contact::Entity::find()
        .filter(contact::Column::UserId.eq(one.0))
        .filter(contact::Column::UserRev.gt(since));
    if since == 0 {
        // A client without any state does not need contacts that were removed again.
        let any = contact::Column::FollowedAt.is_not_null().or(contact::Column::BlockedAt.is_not_null());
        changed = changed.filter(any);
    }
    let rows = changed.order_by_asc(contact::Column::OtherId).limit(TOLD_UP_TO + 1).all(conn).await?;
    Ok((rows.len() as u64 <= TOLD_UP_TO).then(|| rows.iter().map(show).collect()))
}

/// Converts a row to the contact that its user sees.
pub fn show(row: &contact::Model) -> Contact {
    Contact {
        user_id: UserId(row.other_id),
        following: row.followed_at.is_some(),
        blocked: row.blocked_at.is_some(),
    }
}

/// Returns the error `blocked` for a field.
pub fn blocked(field: &str) -> Error {
    Error::field(Code::Blocked, field, "one of you has blocked the other")
}

/// Removes what blocked users do not see from a profile.
pub fn hide_presence(user: &mut User) {
    user.online = false;
    user.last_seen_at = None::<Timestamp>;
}

//! Users: finding and locking their rows, their own counter, what they may be called, and how they are shown.

mod confirm;
mod identity;
mod password;
mod view;

pub use confirm::{check_tried, confirm, require_unchanged};
pub use identity::{Identity, normalize_phone, read_email, read_username, taken_at_insert};
pub use password::check_password;
pub use view::{author, authors, me, show};

use entity::user;
use sea_orm::{ColumnTrait, ConnectionTrait, QueryFilter};

use crate::error::{Code, Error, Result};
use crate::ids::UserId;

/// A present user's row.
pub async fn find(conn: &impl ConnectionTrait, id: UserId) -> Result<user::Model> {
    user::Entity::present()
        .filter(user::Column::Id.eq(id.0))
        .one(conn)
        .await?
        .ok_or_else(|| Error::not_found("user"))
}

/// The same of a user whom a request names; a refusal names the request's `field`.
pub async fn find_named(conn: &impl ConnectionTrait, id: UserId, field: &str) -> Result<user::Model> {
    find(conn, id).await.map_err(|error| match error.code {
        Code::NotFound => Error::field(Code::NotFound, field, "there is no such user"),
        _ => error,
    })
}

/// A present user's row, locked until the transaction ends; weakly enough not to wait for those who only
/// refer to it, as a new message does.
pub async fn lock(conn: &impl ConnectionTrait, id: UserId) -> Result<user::Model> {
    use sea_orm::QuerySelect;
    use sea_orm::sea_query::LockType;

    user::Entity::present()
        .filter(user::Column::Id.eq(id.0))
        .lock(LockType::NoKeyUpdate)
        .one(conn)
        .await?
        .ok_or_else(|| Error::not_found("user"))
}

/// Locks rows in the order of their ids, tombstones too: whoever writes to several users takes them so, or two could
/// wait for each other.
pub async fn lock_in_order(conn: &impl ConnectionTrait, ids: &[i64]) -> Result<()> {
    use sea_orm::sea_query::LockType;
    use sea_orm::{EntityTrait, QueryOrder, QuerySelect};

    user::Entity::find()
        .select_only()
        .column(user::Column::Id)
        .filter(user::Column::Id.is_in(ids.iter().copied()))
        .order_by_asc(user::Column::Id)
        // Weak enough not to wait for those who only refer to the row, as a new message does.
        .lock(LockType::NoKeyUpdate)
        .into_tuple::<i64>()
        .all(conn)
        .await?;
    Ok(())
}

/// Rows of one statement: its values are bounded on both databases.
const AT_ONCE: usize = 1_000;

/// Raises the users' own counters by one, and tells the new value of each. The rows are locked in the order of their
/// ids, so that two transactions do not wait for each other.
pub async fn advance(conn: &impl ConnectionTrait, ids: &[UserId]) -> Result<Vec<(UserId, i64)>> {
    use sea_orm::sea_query::{Expr, ExprTrait, Query};

    let mut ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut raised = Vec::with_capacity(ids.len());
    for some in ids.chunks(AT_ONCE) {
        lock_in_order(conn, some).await?;
        let update = Query::update()
            .table(user::Entity)
            .value(user::Column::UserRev, Expr::col(user::Column::UserRev).add(1))
            .and_where(user::Column::Id.is_in(some.iter().copied()))
            .returning(Query::returning().columns([user::Column::Id, user::Column::UserRev]))
            .to_owned();
        for row in conn.query_all(&update).await? {
            raised.push((UserId(row.try_get("", "id")?), row.try_get("", "user_rev")?));
        }
    }
    Ok(raised)
}

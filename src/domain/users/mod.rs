//! Users: finding and locking their rows, their own counter, the rules for their names and passwords, and their views.

mod confirm;
mod identity;
mod password;
mod view;

pub use confirm::{check_tried, confirm, require_unchanged};
pub use identity::{Identity, normalize_phone, read_email, read_username, taken_at_insert};
pub use password::check_password;
pub use view::{AuthorRow, author, authors, me, show, with_author_columns};

use entity::user;
use sea_orm::{ColumnTrait, ConnectionTrait, QueryFilter};

use crate::error::{Code, Error, Result};
use crate::ids::UserId;

/// Returns the row of an existing user.
pub async fn find(conn: &impl ConnectionTrait, id: UserId) -> Result<user::Model> {
    user::Entity::present()
        .filter(user::Column::Id.eq(id.0))
        .one(conn)
        .await?
        .ok_or_else(|| Error::not_found("user"))
}

/// Returns the row of a user that a request names; an error refers to the request's `field`.
pub async fn find_named(conn: &impl ConnectionTrait, id: UserId, field: &str) -> Result<user::Model> {
    find(conn, id).await.map_err(|error| match error.code {
        Code::NotFound => Error::field(Code::NotFound, field, "there is no such user"),
        _ => error,
    })
}

/// Returns the row of an existing user, locked until the transaction ends. The lock is weak: transactions that only
/// reference the row, such as the insert of a like, do not conflict with it.
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

/// Locks rows in the order of their ids, deleted users included. Transactions that write to several users must use this
/// order to avoid deadlocks.
pub async fn lock_in_order(conn: &impl ConnectionTrait, ids: &[i64]) -> Result<()> {
    use sea_orm::sea_query::LockType;
    use sea_orm::{EntityTrait, QueryOrder, QuerySelect};

    user::Entity::find()
        .select_only()
        .column(user::Column::Id)
        .filter(user::Column::Id.is_in(ids.iter().copied()))
        .order_by_asc(user::Column::Id)
        // A weak lock: transactions that only reference the row, such as the insert of a like, do not conflict with
        // it.
        .lock(LockType::NoKeyUpdate)
        .into_tuple::<i64>()
        .all(conn)
        .await?;
    Ok(())
}

/// Rows per statement: both databases limit the number of bound values.
const AT_ONCE: usize = 1_000;

/// Increments the users' own counters and returns their new values. Locks the rows in the order of their ids to avoid
/// deadlocks.
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

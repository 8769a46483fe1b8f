//! Views of users: for others, for themselves, and as authors.

use std::collections::HashMap;

use entity::user;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryResult, QuerySelect,
};

use crate::clock::Timestamp;
use crate::domain::AppContext;
use crate::error::Result;
use crate::ids::UserId;
use crate::protocol::users::{Author, Me, User};

/// Returns a user as others see them.
pub fn show(context: &AppContext, row: &user::Model) -> User {
    let id = UserId(row.id);
    User {
        id,
        username: row.username.clone(),
        name: row.name.clone(),
        photo: row.photo.clone(),
        description: row.description.clone(),
        role: row.role,
        online: row.deleted_at.is_none() && context.presence.is_online(id),
        last_seen_at: row.last_seen_at.map(Timestamp),
        created_at: Timestamp(row.created_at),
        deleted: row.deleted_at.is_some(),
    }
}

/// Returns a user as they see themselves.
pub fn me(context: &AppContext, row: user::Model) -> Me {
    Me { user: show(context, &row), phone: row.phone, email: row.email, email_verified: row.email_verified }
}

/// Returns a user as the author of something.
pub fn author(row: &user::Model) -> Author {
    Author {
        id: UserId(row.id),
        username: row.username.clone(),
        name: row.name.clone(),
        photo: row.photo.clone(),
        role: row.role,
    }
}

/// Returns the authors with these ids, deleted ones included.
pub async fn authors(
    conn: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = i64>,
) -> Result<HashMap<i64, Author>> {
    let mut ids: Vec<i64> = ids.into_iter().collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let select = user::Entity::find().filter(user::Column::Id.is_in(ids)).select_only();
    let rows = with_author_columns(select).into_model::<AuthorRow>().all(conn).await?;
    Ok(rows.into_iter().map(|AuthorRow(author)| (author.id.0, author)).collect())
}

/// The author in a row of [`with_author_columns`].
pub struct AuthorRow(pub Author);

impl FromQueryResult for AuthorRow {
    fn from_query_result(row: &QueryResult, _: &str) -> Result<Self, DbErr> {
        Ok(Self(Author {
            id: UserId(row.try_get("author_", "id")?),
            username: row.try_get("author_", "username")?,
            name: row.try_get("author_", "name")?,
            photo: row.try_get("author_", "photo")?,
            role: row.try_get("author_", "role")?,
        }))
    }
}

/// Adds the columns of [`AuthorRow`] to a query that reads `users`.
pub fn with_author_columns<Q: QuerySelect>(select: Q) -> Q {
    use user::Column;
    let column = |column: Column| Expr::col((user::Entity, column));
    select
        .expr_as(column(Column::Id), "author_id")
        .expr_as(column(Column::Username), "author_username")
        .expr_as(column(Column::Name), "author_name")
        .expr_as(column(Column::Photo), "author_photo")
        .expr_as(column(Column::Role), "author_role")
}

//! Searches for users by a part of their name or username.

use entity::user;
use sea_orm::sea_query::{Expr, ExprTrait, LikeExpr};
use sea_orm::{ColumnTrait, Condition, QueryFilter, QueryOrder, QuerySelect};

use crate::domain::users::show;
use crate::domain::{AppContext, contacts};
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::protocol::users::User;
use crate::text::fold;

/// Returns users whose username or name contains `query`, ordered by id, and the cursor of the next page.
///
/// Phones and e-mails are not searched: they can be used to log in, but must not reveal whose they are.
pub async fn search(
    context: &AppContext,
    viewer: UserId,
    query: &str,
    cursor: Option<i64>,
    limit: u64,
) -> Result<(Vec<User>, Option<i64>)> {
    let query = fold(query.trim());
    if query.is_empty() || query.chars().count() > 100 || query.contains('\0') {
        return Err(Error::invalid("query", "must have 1 to 100 characters and no NUL"));
    }
    let pattern = containing(&query);
    let mut rows = user::Entity::present()
        .filter(
            Condition::any()
                .add(Expr::col(user::Column::UsernameKey).like(pattern.clone()))
                .add(Expr::col(user::Column::NameKey).like(pattern)),
        )
        .filter(user::Column::Id.gt(cursor.unwrap_or(0)))
        .order_by_asc(user::Column::Id)
        .limit(limit + 1)
        .all(context.db.read())
        .await?;
    let more = rows.len() as u64 > limit;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|row| row.id);
    let mut found: Vec<User> = rows.iter().map(|row| show(context, row)).collect();
    let hidden = contacts::blocked_between(context.db.read(), viewer, found.iter().map(|it| it.id)).await?;
    found.iter_mut().filter(|it| hidden.contains(&it.id)).for_each(contacts::hide_presence);
    Ok((found, next))
}

/// Returns the pattern of texts that contain this text.
pub fn containing(text: &str) -> LikeExpr {
    LikeExpr::new(format!("%{}%", escape(text))).escape('\\')
}

/// Escapes the special characters of a pattern.
fn escape(text: &str) -> String {
    text.chars().flat_map(|c| ['\\', c].into_iter().skip(usize::from(!"\\%_".contains(c)))).collect()
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn signs_of_the_pattern_stand_for_themselves() {
        assert_eq!(escape(r"50%_a\b"), r"50\%\_a\\b");
    }
}

//! Lists of contacts, in pages.

use entity::{contact, user};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{blocked_between, hide_presence};
use crate::domain::{Actor, AppContext, users};
use crate::error::Result;
use crate::ids::UserId;
use crate::protocol::users::User;

/// Which of the user's contacts to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// Users whom the user follows.
    Following,
    /// Users who follow the user.
    Followers,
    /// Users whom the user blocks.
    Blocked,
}

/// Returns users in the order of their ids, starting after `cursor`, and the next cursor.
pub async fn list(
    context: &AppContext,
    actor: Actor,
    which: List,
    cursor: Option<i64>,
    limit: u64,
) -> Result<(Vec<User>, Option<i64>)> {
    use contact::Column;
    let me = actor.user_id.0;
    let (select, who) = match which {
        List::Following => (contact::Entity::followed_by(me), Column::OtherId),
        List::Followers => (contact::Entity::followers_of(me), Column::UserId),
        List::Blocked => (contact::Entity::blocked_by(me), Column::OtherId),
    };
    let mut ids: Vec<i64> = select
        .select_only()
        .column(who)
        .filter(who.gt(cursor.unwrap_or(0)))
        .order_by_asc(who)
        .limit(limit + 1)
        .into_tuple()
        .all(context.db.read())
        .await?;
    let more = ids.len() as u64 > limit;
    ids.truncate(limit as usize);
    let next = ids.last().copied().filter(|_| more);
    let rows = user::Entity::find()
        .filter(user::Column::Id.is_in(ids))
        .order_by_asc(user::Column::Id)
        .all(context.db.read())
        .await?;
    let mut people: Vec<User> = rows.iter().map(|row| users::show(context, row)).collect();
    let hidden = blocked_between(context.db.read(), UserId(me), people.iter().map(|it| it.id)).await?;
    people.iter_mut().filter(|it| hidden.contains(&it.id)).for_each(hide_presence);
    Ok((people, next))
}

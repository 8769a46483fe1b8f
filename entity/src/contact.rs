//! Which users follow or block each other.

use sea_orm::Condition;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::ExprTrait;

/// How one user relates to another, as decided by the first.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "contacts")]
pub struct Model {
    /// The user who follows or blocks.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: i64,
    /// The user who is followed or blocked.
    #[sea_orm(primary_key, auto_increment = false)]
    pub other_id: i64,
    /// Following since.
    pub followed_at: Option<i64>,
    /// Blocked since.
    pub blocked_at: Option<i64>,
    /// The user's own counter at the latest change.
    pub user_rev: i64,
}

/// The ORM follows no relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// Selects the users that a user follows.
    pub fn followed_by(user_id: i64) -> Select<Self> {
        Self::find().filter(Column::UserId.eq(user_id)).filter(Column::FollowedAt.is_not_null())
    }

    /// Selects the followers of a user.
    pub fn followers_of(user_id: i64) -> Select<Self> {
        Self::find().filter(Column::OtherId.eq(user_id)).filter(Column::FollowedAt.is_not_null())
    }

    /// Selects the users that a user blocks.
    pub fn blocked_by(user_id: i64) -> Select<Self> {
        Self::find().filter(Column::UserId.eq(user_id)).filter(Column::BlockedAt.is_not_null())
    }

    /// Selects the relations between a user and each of the others, in both directions.
    pub fn between(one: i64, others: impl IntoIterator<Item = i64>) -> Select<Self> {
        let others: Vec<i64> = others.into_iter().collect();
        Self::find().filter(
            Condition::any()
                .add(Column::UserId.eq(one).and(Column::OtherId.is_in(others.iter().copied())))
                .add(Column::OtherId.eq(one).and(Column::UserId.is_in(others))),
        )
    }

    /// Selects the users who block a user.
    pub fn blockers_of(user_id: i64) -> Select<Self> {
        Self::find().filter(Column::OtherId.eq(user_id)).filter(Column::BlockedAt.is_not_null())
    }
}

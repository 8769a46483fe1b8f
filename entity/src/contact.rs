//! Who follows and who blocks whom.

use sea_orm::Condition;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::ExprTrait;

/// What one user is to another, as the one has decided.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "contacts")]
pub struct Model {
    /// Who decided.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: i64,
    /// About whom.
    #[sea_orm(primary_key, auto_increment = false)]
    pub other_id: i64,
    /// Follows since.
    pub followed_at: Option<i64>,
    /// Blocks since.
    pub blocked_at: Option<i64>,
    /// The user's own counter at the latest change.
    pub user_rev: i64,
}

/// No relation is followed by the ORM.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// Whom a user follows.
    pub fn followed_by(user_id: i64) -> Select<Self> {
        Self::find().filter(Column::UserId.eq(user_id)).filter(Column::FollowedAt.is_not_null())
    }

    /// Who follows a user.
    pub fn followers_of(user_id: i64) -> Select<Self> {
        Self::find().filter(Column::OtherId.eq(user_id)).filter(Column::FollowedAt.is_not_null())
    }

    /// Whom a user blocks.
    pub fn blocked_by(user_id: i64) -> Select<Self> {
        Self::find().filter(Column::UserId.eq(user_id)).filter(Column::BlockedAt.is_not_null())
    }

    /// What one and each of the others are to each other, both ways.
    pub fn between(one: i64, others: impl IntoIterator<Item = i64>) -> Select<Self> {
        let others: Vec<i64> = others.into_iter().collect();
        Self::find().filter(
            Condition::any()
                .add(Column::UserId.eq(one).and(Column::OtherId.is_in(others.iter().copied())))
                .add(Column::OtherId.eq(one).and(Column::UserId.is_in(others))),
        )
    }

    /// Who blocks a user.
    pub fn blockers_of(user_id: i64) -> Select<Self> {
        Self::find().filter(Column::OtherId.eq(user_id)).filter(Column::BlockedAt.is_not_null())
    }
}

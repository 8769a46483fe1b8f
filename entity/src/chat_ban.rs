//! Users who are banned from a group.

use sea_orm::entity::prelude::*;

/// One ban.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "chat_bans")]
pub struct Model {
    /// The group.
    #[sea_orm(primary_key, auto_increment = false)]
    pub chat_id: i64,
    /// The banned user.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: i64,
    /// Who banned them.
    pub banned_by: i64,
    /// The reason.
    pub reason: Option<String>,
    /// When the ban ends; null if it has no end.
    pub until: Option<i64>,
    /// Time of the ban.
    pub created_at: i64,
}

/// The ORM follows no relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Returns whether the ban is in force.
    pub fn is_in_force(&self, now: i64) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

//! Accounts that were deleted but whose data is not yet removed everywhere. The remaining work survives a crash.

use sea_orm::entity::prelude::*;

/// One account whose deletion is unfinished.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "account_endings")]
pub struct Model {
    /// The deleted user.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: i64,
    /// The photo whose files are to be removed.
    pub photo: String,
    /// Time of deletion.
    pub created_at: i64,
}

/// The ORM follows no relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

//! Accounts that were deleted and are not yet out of everything: what is left to do outlives a crash.

use sea_orm::entity::prelude::*;

/// One account that ends.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "account_endings")]
pub struct Model {
    /// Whose it was.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: i64,
    /// The photo whose files are to go.
    pub photo: String,
    /// When it was deleted.
    pub created_at: i64,
}

/// No relation is followed by the ORM.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

//! What an import has brought over, so that it can be run again.

use sea_orm::entity::prelude::*;

/// One thing that was imported.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "imports")]
pub struct Model {
    /// Where from.
    #[sea_orm(primary_key, auto_increment = false)]
    pub source: String,
    /// `user`, `chat`, `message` or `photo`; while an import runs also `end`, where a chat of ours ended before.
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: String,
    /// Its number there.
    #[sea_orm(primary_key, auto_increment = false)]
    pub old_id: i64,
    /// Its number here.
    pub new_id: i64,
}

/// No relation is followed by the ORM.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

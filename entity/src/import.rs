//! What an import has copied, so that the import can be run again.

use sea_orm::entity::prelude::*;

/// One imported item.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "imports")]
pub struct Model {
    /// The source of the import.
    #[sea_orm(primary_key, auto_increment = false)]
    pub source: String,
    /// `user`, `chat`, `message` or `photo`; during an import also `end`: where a chat here ended before messages were
    /// imported into it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: String,
    /// Its id in the source.
    #[sea_orm(primary_key, auto_increment = false)]
    pub old_id: i64,
    /// Its id in this database.
    pub new_id: i64,
}

/// The ORM follows no relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

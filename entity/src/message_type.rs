//! The kinds of content that a message may have; filled by a migration, never changed at run time.

use sea_orm::entity::prelude::*;

/// One kind of content.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "message_types")]
pub struct Model {
    /// 1 to 25, part of the contract.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i16,
    /// Its name on the wire.
    pub name: String,
    /// Media type.
    pub mime: String,
    /// Whether it is text that a person can read.
    pub text: bool,
}

/// No relation is followed by the ORM.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

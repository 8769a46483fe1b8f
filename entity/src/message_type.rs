//! The content types of messages. Filled by a migration and never changed at run time.

use sea_orm::entity::prelude::*;

/// One content type.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "message_types")]
pub struct Model {
    /// 1 to 25, fixed by the contract.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i16,
    /// The name that is sent to clients.
    pub name: String,
    /// Media type.
    pub mime: String,
    /// Whether it is text that a person can read.
    pub text: bool,
}

/// The ORM follows no relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

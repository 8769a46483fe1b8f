//! Which messages have which attachments, in order.

use sea_orm::entity::prelude::*;

/// One attachment of one message.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "message_attachments")]
pub struct Model {
    /// The message.
    #[sea_orm(primary_key, auto_increment = false)]
    pub message_id: i64,
    /// The position among the message's attachments, from 0.
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i32,
    /// The attachment.
    pub attachment_id: i64,
}

/// The ORM follows no relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

//! Reactions of users to messages. The message's row has their numbers, so lists of messages do not read this table.

use sea_orm::entity::prelude::*;

/// One emoji of one user.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reactions")]
pub struct Model {
    /// The message.
    #[sea_orm(primary_key, auto_increment = false)]
    pub message_id: i64,
    /// The user.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: i64,
    /// The emoji, fully qualified.
    #[sea_orm(primary_key, auto_increment = false)]
    pub emoji: String,
    /// Time of the reaction.
    pub created_at: i64,
}

/// The ORM follows no relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// Selects the reactions to a message.
    pub fn of_message(message_id: i64) -> Select<Self> {
        Self::find().filter(Column::MessageId.eq(message_id))
    }
}

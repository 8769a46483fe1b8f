//! Earlier versions of edited messages. They are removed when the message is deleted.

use sea_orm::entity::prelude::*;

/// One version that an edit replaced.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "message_edits")]
pub struct Model {
    /// Rising with each edit.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The message.
    pub message_id: i64,
    /// Id of the message type, 1 to 25.
    pub message_type: i16,
    /// The content before the edit.
    #[sea_orm(column_type = "Text")]
    pub content: String,
    /// Time of the edit.
    pub replaced_at: i64,
}

/// The ORM follows no relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// Selects the earlier versions of a message.
    pub fn of_message(message_id: i64) -> Select<Self> {
        Self::find().filter(Column::MessageId.eq(message_id))
    }
}

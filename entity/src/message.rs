//! Messages. A deleted one keeps its row and its place.

use sea_orm::entity::prelude::*;

/// One message of one chat.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "messages")]
pub struct Model {
    /// Never reused.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Its chat.
    pub chat_id: i64,
    /// Its place: the value of the chat's counter that it took, for good.
    pub seq: i64,
    /// Counter value of its latest change.
    pub rev: i64,
    /// Author.
    pub user_id: i64,
    /// Id of the message type, 1 to 25.
    pub message_type: i16,
    /// As it came; empty once deleted.
    #[sea_orm(column_type = "Text")]
    pub content: String,
    /// The author's own mark of the request, unique per author for ever.
    pub client_id: Option<String>,
    /// SHA-256 (hex) of what a `client_id` stands for, kept when the content goes.
    pub fingerprint: Option<String>,
    /// The message it answers, of the same chat.
    pub reply_to: Option<i64>,
    /// Number of likes.
    pub likes: i32,
    /// Pinned in the chat since.
    pub pinned_at: Option<i64>,
    /// Latest edit.
    pub edited_at: Option<i64>,
    /// Deletion.
    pub deleted_at: Option<i64>,
    /// Commit time as the server's clock has it.
    pub created_at: i64,
}

/// No relation is followed by the ORM.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// All messages of a chat, tombstones included.
    pub fn of_chat(chat_id: i64) -> Select<Self> {
        Self::find().filter(Column::ChatId.eq(chat_id))
    }

    /// Messages that were not deleted.
    pub fn present() -> Select<Self> {
        Self::find().filter(Column::DeletedAt.is_null())
    }
}

//! Messages. A deleted message keeps its row and its position.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::ExprTrait;

/// One message of one chat.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "messages")]
pub struct Model {
    /// Never reused.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Its chat.
    pub chat_id: i64,
    /// Its position: the chat's counter value when it was sent. It never changes.
    pub seq: i64,
    /// Counter value of its latest change.
    pub rev: i64,
    /// The author.
    pub user_id: i64,
    /// Id of the message type, 1 to 25.
    pub message_type: i16,
    /// The content as received; empty after deletion.
    #[sea_orm(column_type = "Text")]
    pub content: String,
    /// The idempotency key of the request, permanently unique per author.
    pub client_id: Option<String>,
    /// SHA-256 (hex) of the request that the `client_id` stands for; kept when the content is deleted.
    pub fingerprint: Option<String>,
    /// The message in the same chat that it replies to.
    pub reply_to: Option<i64>,
    /// Number of likes.
    pub likes: i32,
    /// Ids of the mentioned users, separated by commas; `*` stands for all members.
    #[sea_orm(column_type = "Text", nullable)]
    pub mentions: Option<String>,
    /// The number of reactions by emoji, as the JSON that clients receive; null if there are none.
    #[sea_orm(column_type = "Text", nullable)]
    pub reactions: Option<String>,
    /// The author of the original of a forwarded message.
    pub forwarded_user_id: Option<i64>,
    /// When the original of a forwarded message was sent.
    pub forwarded_at: Option<i64>,
    /// Number of attachments.
    pub attachment_count: i32,
    /// Pinned in the chat since.
    pub pinned_at: Option<i64>,
    /// Time of the latest edit.
    pub edited_at: Option<i64>,
    /// Time of deletion.
    pub deleted_at: Option<i64>,
    /// Commit time by the server's clock.
    pub created_at: i64,
}

/// The ORM follows no relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// Selects all messages of a chat, including deleted ones.
    pub fn of_chat(chat_id: i64) -> Select<Self> {
        Self::find().filter(Column::ChatId.eq(chat_id))
    }

    /// Selects the messages of a chat that were changed after they were sent. They have an index by `rev`.
    pub fn changed_later(chat_id: i64) -> Select<Self> {
        Self::of_chat(chat_id).filter(Expr::col((Entity, Column::Rev)).ne(Expr::col((Entity, Column::Seq))))
    }

    /// Selects messages that are not deleted.
    pub fn present() -> Select<Self> {
        Self::find().filter(Column::DeletedAt.is_null())
    }
}

//! Who likes which message.

use sea_orm::entity::prelude::*;

/// One like.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "likes")]
pub struct Model {
    /// The message.
    #[sea_orm(primary_key, auto_increment = false)]
    pub message_id: i64,
    /// Who likes it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: i64,
    /// Since.
    pub created_at: i64,
}

/// No relation is followed by the ORM.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// Which of these messages one user likes.
    pub fn by_user(user_id: i64, messages: impl IntoIterator<Item = i64>) -> Select<Self> {
        Self::find().filter(Column::UserId.eq(user_id)).filter(Column::MessageId.is_in(messages))
    }
}

//! Which users like which messages.

use sea_orm::entity::prelude::*;

/// One like.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "likes")]
pub struct Model {
    /// The message.
    #[sea_orm(primary_key, auto_increment = false)]
    pub message_id: i64,
    /// The user who likes it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: i64,
    /// Time of the like.
    pub created_at: i64,
}

/// The ORM follows no relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// Selects the likes of one user among these messages.
    pub fn by_user(user_id: i64, messages: impl IntoIterator<Item = i64>) -> Select<Self> {
        Self::find().filter(Column::UserId.eq(user_id)).filter(Column::MessageId.is_in(messages))
    }
}

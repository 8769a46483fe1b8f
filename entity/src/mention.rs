//! Mentions of users in messages, for the number of unread ones. They follow edits and deletions of the message.

use sea_orm::entity::prelude::*;

/// The user of a mention of all members.
pub const ALL_MEMBERS: i64 = 0;

/// One user who is mentioned in one message.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "mentions")]
pub struct Model {
    /// The mentioned user, or [`ALL_MEMBERS`].
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: i64,
    /// The chat.
    #[sea_orm(primary_key, auto_increment = false)]
    pub chat_id: i64,
    /// The message's position.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    /// The message.
    pub message_id: i64,
    /// The author of the message. A mention of all members does not notify them.
    pub author_id: i64,
}

/// The ORM follows no relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

//! Who is in which chat, and what is theirs alone in it (pin, mute, archive, read mark).
//! A row stays when its user leaves: it says until when, and why.

use sea_orm::entity::prelude::*;

use crate::enums::{ChatRole, LeftReason};

/// One user in one chat.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "members")]
pub struct Model {
    /// The chat.
    #[sea_orm(primary_key, auto_increment = false)]
    pub chat_id: i64,
    /// The user.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: i64,
    /// In a direct chat everybody is a member.
    pub role: ChatRole,
    /// The latest joining.
    pub joined_at: i64,
    /// Counter value of the latest change of this membership.
    pub rev: i64,
    /// `seq` up to which the user has read.
    pub last_read_seq: i64,
    /// Pinned since.
    pub pinned_at: Option<i64>,
    /// No notice before.
    pub muted_until: Option<i64>,
    /// Archived.
    pub archived: bool,
    /// The user's own counter at the latest change of their own state here.
    pub user_rev: i64,
    /// Set while the user is not in the chat.
    pub left_at: Option<i64>,
    /// Why, while they are not.
    pub left_reason: Option<LeftReason>,
}

/// No relation is followed by the ORM.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// Memberships that hold now.
    pub fn present() -> Select<Self> {
        Self::find().filter(Column::LeftAt.is_null())
    }

    /// The present members of one chat.
    pub fn of_chat(chat_id: i64) -> Select<Self> {
        Self::present().filter(Column::ChatId.eq(chat_id))
    }

    /// The chats that one user is in now.
    pub fn of_user(user_id: i64) -> Select<Self> {
        Self::present().filter(Column::UserId.eq(user_id))
    }
}

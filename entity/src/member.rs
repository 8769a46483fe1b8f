//! Chat members and their own settings in the chat (pin, mute, archive, read position). The row stays when a user
//! leaves, with the time and the reason.

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
    /// The role. In a direct chat both users are plain members.
    pub role: ChatRole,
    /// Time of the latest joining.
    pub joined_at: i64,
    /// Counter value of the latest change of this membership.
    pub rev: i64,
    /// `seq` up to which the user has read.
    pub last_read_seq: i64,
    /// Pinned since.
    pub pinned_at: Option<i64>,
    /// No notifications until then.
    pub muted_until: Option<i64>,
    /// Whether the user has archived the chat.
    pub archived: bool,
    /// The user's own counter at the latest change of their settings in this chat.
    pub user_rev: i64,
    /// The text that the user has begun to write.
    #[sea_orm(column_type = "Text", nullable)]
    pub draft: Option<String>,
    /// The message that the draft replies to.
    pub draft_reply_to: Option<i64>,
    /// When the draft was saved.
    pub draft_saved_at: Option<i64>,
    /// When the member last sent a message in slow mode.
    pub last_sent_at: Option<i64>,
    /// When the user left; null while they are a member.
    pub left_at: Option<i64>,
    /// Why the user left; null while they are a member.
    pub left_reason: Option<LeftReason>,
}

/// The ORM follows no relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// Selects current memberships.
    pub fn present() -> Select<Self> {
        Self::find().filter(Column::LeftAt.is_null())
    }

    /// Selects the current members of one chat.
    pub fn of_chat(chat_id: i64) -> Select<Self> {
        Self::present().filter(Column::ChatId.eq(chat_id))
    }

    /// Selects the chats that one user is currently in.
    pub fn of_user(user_id: i64) -> Select<Self> {
        Self::present().filter(Column::UserId.eq(user_id))
    }
}

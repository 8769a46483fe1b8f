//! Conversations: direct ones of two people and groups.

use sea_orm::entity::prelude::*;

/// A conversation with its counter.
#[expect(clippy::struct_excessive_bools, reason = "columns as they are stored")]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "chats")]
pub struct Model {
    /// Never reused.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// False for a direct chat.
    pub is_group: bool,
    /// Groups only.
    pub name: Option<String>,
    /// Groups only.
    pub description: Option<String>,
    /// Bare name for `/static/{photo}/…`.
    pub photo: Option<String>,
    /// Who made it, for ever; 0 for the lobby, which nobody made.
    pub creator_id: i64,
    /// Who owns a group; who opened a direct chat.
    pub owner_id: i64,
    /// `low:high` user ids of a direct chat, unique; null for groups.
    pub direct_key: Option<String>,
    /// The creator's own mark of the request, unique per creator.
    pub client_id: Option<String>,
    /// Whether the other side lets the creator write on.
    pub approved: bool,
    /// One of the two of a direct chat blocks the other.
    pub blocked: bool,
    /// A direct chat is hidden from the other side's lists until it has a message.
    pub visible: bool,
    /// The chat's counter: the value that the latest change took.
    pub rev: i64,
    /// The value that the latest change of the chat itself or of its members took.
    pub meta_rev: i64,
    /// `seq` of the newest message, 0 without one.
    pub last_seq: i64,
    /// Present members.
    pub member_count: i32,
    /// What lists are ordered by.
    pub last_activity_at: i64,
    /// Creation.
    pub created_at: i64,
    /// Set once it is deleted.
    pub deleted_at: Option<i64>,
}

/// No relation is followed by the ORM.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// Chats that were not deleted.
    pub fn present() -> Select<Self> {
        Self::find().filter(Column::DeletedAt.is_null())
    }

    /// The direct chat of two users, if there is one.
    pub fn direct_of(one: i64, other: i64) -> Select<Self> {
        Self::present().filter(Column::DirectKey.eq(Self::direct_key(one, other)))
    }

    /// The key under which the direct chat of two users exists once.
    pub fn direct_key(one: i64, other: i64) -> String {
        format!("{}:{}", one.min(other), one.max(other))
    }
}

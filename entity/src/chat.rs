//! Chats: direct chats between two users, and groups.

use sea_orm::entity::prelude::*;

/// A chat with its counter.
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
    /// The name as it is compared: folded.
    pub name_key: Option<String>,
    /// Groups only.
    pub description: Option<String>,
    /// Bare name for `/static/{photo}/…`.
    pub photo: Option<String>,
    /// Who created the chat; it never changes. 0 for the lobby, which no user created.
    pub creator_id: i64,
    /// The owner of a group, or the user who opened a direct chat.
    pub owner_id: i64,
    /// `low:high` user ids of a direct chat, unique; null for groups.
    pub direct_key: Option<String>,
    /// The idempotency key of the creating request, unique per creator.
    pub client_id: Option<String>,
    /// Whether the recipient allows the creator to keep writing.
    pub approved: bool,
    /// Whether one member of the direct chat blocks the other.
    pub blocked: bool,
    /// Seconds that a member has to wait between two messages; 0 for none.
    pub slow_mode_secs: i32,
    /// Whether a new message may return the chat from the archive of a member.
    pub leaves_archive: bool,
    /// A direct chat is hidden from the recipient's lists until it has a message.
    pub visible: bool,
    /// The chat's counter: the value of its latest change.
    pub rev: i64,
    /// The counter value of the latest change to the chat itself or its members.
    pub meta_rev: i64,
    /// `seq` of the newest message; 0 if there is none.
    pub last_seq: i64,
    /// Number of present members.
    pub member_count: i32,
    /// The time by which lists are sorted.
    pub last_activity_at: i64,
    /// Time of creation.
    pub created_at: i64,
    /// Time of deletion, if it is deleted.
    pub deleted_at: Option<i64>,
}

/// The ORM follows no relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// Selects chats that are not deleted.
    pub fn present() -> Select<Self> {
        Self::find().filter(Column::DeletedAt.is_null())
    }

    /// Selects the direct chat of two users, if there is one.
    pub fn direct_of(one: i64, other: i64) -> Select<Self> {
        Self::present().filter(Column::DirectKey.eq(Self::direct_key(one, other)))
    }

    /// Returns the key that makes the direct chat of two users unique.
    pub fn direct_key(one: i64, other: i64) -> String {
        format!("{}:{}", one.min(other), one.max(other))
    }
}

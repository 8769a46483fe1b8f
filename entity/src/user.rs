//! Users. `*_key` columns hold the lower-case form that must be unique.

use sea_orm::entity::prelude::*;

use crate::enums::Role;

/// A person with an account.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    /// Never reused, even after the account is deleted.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// As typed at registration.
    pub username: Option<String>,
    /// Lower-case form of `username`, unique.
    pub username_key: Option<String>,
    /// Digits with an optional leading `+`, unique.
    pub phone: Option<String>,
    /// As typed.
    pub email: Option<String>,
    /// Lower-case form of `email`, unique.
    pub email_key: Option<String>,
    /// Whether the address was confirmed with a mailed token.
    pub email_verified: bool,
    /// Display name.
    pub name: Option<String>,
    /// Folded form of `name`, for search; SQLite's own case conversion only knows ASCII.
    pub name_key: Option<String>,
    /// Free text about the user.
    pub description: Option<String>,
    /// Bare name for `/static/{photo}/…`.
    pub photo: String,
    /// The user's role in the whole service.
    pub role: Role,
    /// Password hash as a PHC string.
    pub password_hash: String,
    /// Counter of the user's own state.
    pub user_rev: i64,
    /// When the user's last connection ended.
    pub last_seen_at: Option<i64>,
    /// Time of registration.
    pub created_at: i64,
    /// Set when the account is deleted and only its tombstone remains.
    pub deleted_at: Option<i64>,
    /// Set while the account is banned; see `banned_until`.
    pub banned_at: Option<i64>,
    /// End of the ban; null if it has no end.
    pub banned_until: Option<i64>,
    /// The reason that is shown to the user.
    pub ban_reason: Option<String>,
    /// Language of mails to the user: `en` or `ru`.
    pub language: Option<String>,
    /// Time of the latest password change.
    pub password_changed_at: Option<i64>,
}

/// The ORM follows no relations; joins name their columns.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Returns whether a ban is in effect at `now` (milliseconds).
    pub fn is_banned(&self, now: i64) -> bool {
        self.banned_at.is_some() && self.banned_until.is_none_or(|until| until > now)
    }
}

impl Entity {
    /// Selects accounts that are not deleted (a deleted one keeps its row).
    pub fn present() -> Select<Self> {
        Self::find().filter(Column::DeletedAt.is_null())
    }
}

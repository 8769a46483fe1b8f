//! Users. `*_key` columns hold the lower-case form that must be unique.

use sea_orm::entity::prelude::*;

use crate::enums::Role;

/// A person with an account.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    /// Never used again, also after the account is deleted.
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
    /// Whether a mailed token came back.
    pub email_verified: bool,
    /// Display name.
    pub name: Option<String>,
    /// Lower-case form of `name`, for searching; SQLite's own lowering knows only ASCII.
    pub name_key: Option<String>,
    /// Free text about the user.
    pub description: Option<String>,
    /// Bare name for `/static/{photo}/…`.
    pub photo: String,
    /// Their role in the whole service.
    pub role: Role,
    /// PHC string.
    pub password_hash: String,
    /// Counter of the user's own state.
    pub user_rev: i64,
    /// When the last connection ended.
    pub last_seen_at: Option<i64>,
    /// Registration.
    pub created_at: i64,
    /// Set once the account is gone and only its tombstone stays.
    pub deleted_at: Option<i64>,
    /// Set while the account is banned; see `banned_until`.
    pub banned_at: Option<i64>,
    /// End of the ban; none: until it is lifted.
    pub banned_until: Option<i64>,
    /// Why, as the user is told.
    pub ban_reason: Option<String>,
    /// What mails to them are written in: `en` or `ru`.
    pub language: Option<String>,
    /// Latest change of the password.
    pub password_changed_at: Option<i64>,
}

/// No relation is followed by the ORM; joins name their columns.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Whether a ban holds at `now` (milliseconds).
    pub fn is_banned(&self, now: i64) -> bool {
        self.banned_at.is_some() && self.banned_until.is_none_or(|until| until > now)
    }
}

impl Entity {
    /// Accounts that exist (a deleted one keeps its row).
    pub fn present() -> Select<Self> {
        Self::find().filter(Column::DeletedAt.is_null())
    }
}

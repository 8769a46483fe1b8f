//! Logins. A session is a family of refresh tokens that end together.

use sea_orm::entity::prelude::*;

/// One login of one user on one device.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    /// The `sid` of the session's tokens.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The user.
    pub user_id: i64,
    /// The `User-Agent` of the client at login.
    pub user_agent: Option<String>,
    /// The address that the login came from.
    pub address: Option<String>,
    /// Time of login.
    pub created_at: i64,
    /// Time of the last login or refresh.
    pub last_used_at: i64,
    /// No token of the session is valid after this.
    pub expires_at: i64,
    /// Set if the session was ended early.
    pub ended_at: Option<i64>,
    /// `logout`, `ended`, `refresh_reused`, …
    pub end_reason: Option<String>,
}

/// The ORM follows no relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// Selects the sessions of a user that are valid at `now` (milliseconds).
    pub fn live_of(user_id: i64, now: i64) -> Select<Self> {
        Self::find()
            .filter(Column::UserId.eq(user_id))
            .filter(Column::EndedAt.is_null())
            .filter(Column::ExpiresAt.gt(now))
    }
}

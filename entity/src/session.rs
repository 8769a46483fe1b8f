//! Logins. A session is a family of refresh tokens that ends as one.

use sea_orm::entity::prelude::*;

/// One login of one user on one device.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    /// The `sid` of the session's tokens.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Whose it is.
    pub user_id: i64,
    /// What the client called itself at login.
    pub user_agent: Option<String>,
    /// Where the login came from.
    pub address: Option<String>,
    /// Login.
    pub created_at: i64,
    /// Last login or refresh.
    pub last_used_at: i64,
    /// No token of the session lives beyond this.
    pub expires_at: i64,
    /// Set when it was ended before its time.
    pub ended_at: Option<i64>,
    /// `logout`, `ended`, `refresh_reused`, …
    pub end_reason: Option<String>,
}

/// No relation is followed by the ORM.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// Sessions of a user that are still good at `now` (milliseconds).
    pub fn live_of(user_id: i64, now: i64) -> Select<Self> {
        Self::find()
            .filter(Column::UserId.eq(user_id))
            .filter(Column::EndedAt.is_null())
            .filter(Column::ExpiresAt.gt(now))
    }
}

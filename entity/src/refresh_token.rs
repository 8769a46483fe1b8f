//! Refresh tokens, identified by the SHA-256 of their id; the token itself is never stored.

use sea_orm::entity::prelude::*;

/// One refresh token of a session's family.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "refresh_tokens")]
pub struct Model {
    /// Row number.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Hex SHA-256 of the token's `jti`, unique.
    pub token_hash: String,
    /// The session.
    pub session_id: i64,
    /// The token that was exchanged for this one; null for the first of the family.
    pub parent_id: Option<i64>,
    /// Time of issue.
    pub created_at: i64,
    /// Time of expiry.
    pub expires_at: i64,
    /// Time of the first exchange.
    pub exchanged_at: Option<i64>,
}

/// The ORM follows no relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

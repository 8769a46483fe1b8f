//! Mailed single-use tokens, identified by their SHA-256; the token itself is never stored.

use sea_orm::entity::prelude::*;

use crate::enums::TokenPurpose;

/// One token.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "one_time_tokens")]
pub struct Model {
    /// Row number.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The user whose account it is for.
    pub user_id: i64,
    /// What it may be used for.
    pub purpose: TokenPurpose,
    /// Hex SHA-256 of the token, unique.
    pub token_hash: String,
    /// The address it was mailed to, if that matters.
    pub email: Option<String>,
    /// Time of issue.
    pub created_at: i64,
    /// Time of expiry.
    pub expires_at: i64,
    /// Time when it was used or revoked.
    pub used_at: Option<i64>,
}

/// The ORM follows no relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

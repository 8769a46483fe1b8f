//! Tokens that are mailed and good for one use, by their SHA-256; the token itself is never stored.

use sea_orm::entity::prelude::*;

use crate::enums::TokenPurpose;

/// One token.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "one_time_tokens")]
pub struct Model {
    /// Row number.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Whose account it is about.
    pub user_id: i64,
    /// What it is good for.
    pub purpose: TokenPurpose,
    /// Hex SHA-256 of the token, unique.
    pub token_hash: String,
    /// The address it was mailed to, where that matters.
    pub email: Option<String>,
    /// Issued.
    pub created_at: i64,
    /// Good until.
    pub expires_at: i64,
    /// Used, or taken out of use.
    pub used_at: Option<i64>,
}

/// No relation is followed by the ORM.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

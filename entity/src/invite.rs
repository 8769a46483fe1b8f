//! Invite links of groups.

use sea_orm::entity::prelude::*;

/// One link.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "invites")]
pub struct Model {
    /// Never reused.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The group.
    pub chat_id: i64,
    /// What the link contains; whoever knows it may join.
    pub token: String,
    /// Who created it.
    pub created_by: i64,
    /// Whether the owner or an admin has to approve each user.
    pub needs_approval: bool,
    /// How many users may join with it.
    pub max_uses: Option<i32>,
    /// How many users have joined with it.
    pub uses: i32,
    /// Until when it may be used.
    pub expires_at: Option<i64>,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
    /// Time of creation.
    pub created_at: i64,
}

/// The ORM follows no relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// Selects the links of a group that were not revoked.
    pub fn of_chat(chat_id: i64) -> Select<Self> {
        Self::find().filter(Column::ChatId.eq(chat_id)).filter(Column::RevokedAt.is_null())
    }
}

impl Model {
    /// Returns whether a user may join with it now.
    pub fn is_live(&self, now: i64) -> bool {
        self.revoked_at.is_none()
            && self.expires_at.is_none_or(|at| at > now)
            && self.max_uses.is_none_or(|most| self.uses < most)
    }
}

//! Every privileged act. Rows are added, never changed.

use sea_orm::entity::prelude::*;

/// One act.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_log")]
pub struct Model {
    /// Row number.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Who; none: the command line.
    pub actor_id: Option<i64>,
    /// What, such as `user.ban`.
    pub action: String,
    /// `user`, `message` or `report`.
    pub target_kind: Option<String>,
    /// Which.
    pub target_id: Option<i64>,
    /// A JSON object.
    #[sea_orm(column_type = "Text")]
    pub details: String,
    /// Where the request came from.
    pub address: Option<String>,
    /// When.
    pub created_at: i64,
}

/// No relation is followed by the ORM.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

//! The audit log of all privileged actions. Rows are added, never changed.

use sea_orm::entity::prelude::*;

/// One action.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_log")]
pub struct Model {
    /// Row number.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Who acted; null for the command line.
    pub actor_id: Option<i64>,
    /// The action, such as `user.ban`.
    pub action: String,
    /// The kind of target: `user`, `message` or `report`.
    pub target_kind: Option<String>,
    /// The id of the target.
    pub target_id: Option<i64>,
    /// Details, a JSON object.
    #[sea_orm(column_type = "Text")]
    pub details: String,
    /// The address that the request came from.
    pub address: Option<String>,
    /// Time of the action.
    pub created_at: i64,
}

/// The ORM follows no relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

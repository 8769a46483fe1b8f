//! Reports to the moderators.

use sea_orm::entity::prelude::*;

use crate::enums::ReportState;

/// One report.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reports")]
pub struct Model {
    /// Row number.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Who reported.
    pub reporter_id: i64,
    /// Whom: the author of a reported message.
    pub user_id: i64,
    /// Where the message is.
    pub chat_id: Option<i64>,
    /// Which message; none: the user as such.
    pub message_id: Option<i64>,
    /// The message as it was when it was reported.
    #[sea_orm(column_type = "Text", nullable)]
    pub content: Option<String>,
    /// Why.
    #[sea_orm(column_type = "Text")]
    pub reason: String,
    /// Whether somebody has looked after it.
    pub state: ReportState,
    /// When.
    pub created_at: i64,
    /// When it was resolved.
    pub resolved_at: Option<i64>,
    /// By whom.
    pub resolved_by: Option<i64>,
    /// What was done.
    #[sea_orm(column_type = "Text", nullable)]
    pub resolution: Option<String>,
}

/// No relation is followed by the ORM.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

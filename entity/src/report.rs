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
    /// The user who reported; null for the word filter.
    pub reporter_id: Option<i64>,
    /// The reported user: the author, if a message was reported.
    pub user_id: i64,
    /// The chat of the reported message.
    pub chat_id: Option<i64>,
    /// The reported message; null if the report is about the user.
    pub message_id: Option<i64>,
    /// The content of the message when it was reported.
    #[sea_orm(column_type = "Text", nullable)]
    pub content: Option<String>,
    /// The reason.
    #[sea_orm(column_type = "Text")]
    pub reason: String,
    /// Whether a moderator has handled it.
    pub state: ReportState,
    /// Time of the report.
    pub created_at: i64,
    /// Time of resolution.
    pub resolved_at: Option<i64>,
    /// The moderator who resolved it.
    pub resolved_by: Option<i64>,
    /// The action taken.
    #[sea_orm(column_type = "Text", nullable)]
    pub resolution: Option<String>,
    /// The moderator who works on it.
    pub claimed_by: Option<i64>,
    /// Since when.
    pub claimed_at: Option<i64>,
    /// A note of the moderators.
    #[sea_orm(column_type = "Text", nullable)]
    pub note: Option<String>,
}

/// The ORM follows no relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

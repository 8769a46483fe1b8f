//! Every mail and its state. Its content is kept apart (`mail_outbox`), and only until it is sent or given up.

use sea_orm::entity::prelude::*;

use crate::enums::{MailState, MailTemplate};

/// One mail.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "mail_log")]
pub struct Model {
    /// Row number.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Whom it is about.
    pub user_id: Option<i64>,
    /// Which mail it is.
    pub template: MailTemplate,
    /// The address; empty once its user is deleted.
    pub recipient: String,
    /// Its subject.
    pub subject: String,
    /// `Message-ID` (RFC 5322, section 3.6.4), the same in every attempt.
    pub message_id: String,
    /// What became of it.
    pub state: MailState,
    /// Attempts so far.
    pub attempts: i32,
    /// Queued.
    pub created_at: i64,
    /// Not before.
    pub next_attempt_at: Option<i64>,
    /// A node is at it until.
    pub claimed_until: Option<i64>,
    /// The end of the one-time token that it carries: it is not sent after it.
    pub expires_at: Option<i64>,
    /// Sent, or given up.
    pub finished_at: Option<i64>,
    /// What the latest attempt failed on.
    #[sea_orm(column_type = "Text", nullable)]
    pub last_error: Option<String>,
}

/// No relation is followed by the ORM.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

//! All mails and their state. The content is stored separately (`mail_outbox`), and only until the mail is sent or
//! given up.

use sea_orm::entity::prelude::*;

use crate::enums::{MailState, MailTemplate};

/// One mail.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "mail_log")]
pub struct Model {
    /// Row number.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The user that it concerns.
    pub user_id: Option<i64>,
    /// The kind of mail.
    pub template: MailTemplate,
    /// The recipient's address; empty after the user is deleted.
    pub recipient: String,
    /// The subject.
    pub subject: String,
    /// `Message-ID` (RFC 5322, section 3.6.4), the same in every attempt.
    pub message_id: String,
    /// The state of the mail.
    pub state: MailState,
    /// Number of attempts so far.
    pub attempts: i32,
    /// Time when it was queued.
    pub created_at: i64,
    /// Earliest time of the next attempt.
    pub next_attempt_at: Option<i64>,
    /// Until when a node has claimed it for sending.
    pub claimed_until: Option<i64>,
    /// Expiry of the one-time token in it: the mail is not sent after that.
    pub expires_at: Option<i64>,
    /// Time when it was sent or given up.
    pub finished_at: Option<i64>,
    /// Error of the latest attempt.
    #[sea_orm(column_type = "Text", nullable)]
    pub last_error: Option<String>,
}

/// The ORM follows no relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

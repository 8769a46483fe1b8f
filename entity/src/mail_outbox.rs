//! The content of mails until they are sent or given up. It contains one-time tokens.

use sea_orm::entity::prelude::*;

/// One mail that is not yet sent.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "mail_outbox")]
pub struct Model {
    /// Its row in the mail log.
    #[sea_orm(primary_key, auto_increment = false)]
    pub mail_id: i64,
    /// The whole message (RFC 5322).
    #[sea_orm(column_type = "Text")]
    pub content: String,
    /// The link in it, for servers without a mail server.
    #[sea_orm(column_type = "Text", nullable)]
    pub link: Option<String>,
}

/// The ORM follows no relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

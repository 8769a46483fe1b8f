//! What mails say, until they are sent or given up: they hold one-time tokens.

use sea_orm::entity::prelude::*;

/// One mail on its way.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "mail_outbox")]
pub struct Model {
    /// Its row in the log.
    #[sea_orm(primary_key, auto_increment = false)]
    pub mail_id: i64,
    /// The whole message (RFC 5322).
    #[sea_orm(column_type = "Text")]
    pub content: String,
    /// The link in it, for servers without a peer that takes mail.
    #[sea_orm(column_type = "Text", nullable)]
    pub link: Option<String>,
}

/// No relation is followed by the ORM.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

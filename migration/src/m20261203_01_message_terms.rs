//! The terms that messages are found by. The server fills the table in the background.

use sea_orm_migration::prelude::*;

/// The migration; see the module documentation.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let statements: &[&str] = match manager.get_database_backend() {
            sea_orm::DbBackend::Postgres => &[
                "CREATE TABLE message_terms (message_id BIGINT PRIMARY KEY, terms TSVECTOR NOT NULL)",
                "CREATE INDEX message_terms_terms ON message_terms USING gin (terms)",
            ],
            // The rowid is the message's id. The server separates the terms by spaces, and all others of their
            // characters are letters or digits for this tokenizer. Positions and the text itself are not kept.
            _ => &["CREATE VIRTUAL TABLE message_terms USING fts5(\
                terms, content='', contentless_delete=1, detail=none, tokenize='ascii')"],
        };
        for sql in statements {
            manager.get_connection().execute_unprepared(sql).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sql = "DELETE FROM meta WHERE key = 'search_index'";
        manager.get_connection().execute_unprepared(sql).await?;
        manager.drop_table(Table::drop().table("message_terms").to_owned()).await
    }
}

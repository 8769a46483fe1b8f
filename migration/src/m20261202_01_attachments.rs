//! Attachments of messages.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, big_pk_auto, boolean, integer, integer_null, string, string_null,
};

/// The migration; see the module documentation.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Lists of messages read the attachments of those that have any.
        let count = integer("attachment_count").default(0).take();
        manager.alter_table(Table::alter().table("messages").add_column(count).to_owned()).await?;
        let attachments = Table::create()
            .table("attachments")
            .col(big_pk_auto("id"))
            .col(big_integer("user_id"))
            .col(big_integer("chat_id"))
            .col(string("storage_key"))
            .col(string("signing_key"))
            .col(string("name"))
            .col(string("mime"))
            .col(big_integer("size"))
            .col(integer_null("width"))
            .col(integer_null("height"))
            .col(string_null("blurhash"))
            .col(boolean("has_thumbnail"))
            .col(big_integer("created_at"))
            // From when it may be removed, because no message has it.
            .col(big_integer_null("due_at"))
            .to_owned();
        manager.create_table(attachments).await?;
        // A forwarded message has the attachments of its original.
        let links = Table::create()
            .table("message_attachments")
            .col(big_integer("message_id"))
            .col(integer("position"))
            .col(big_integer("attachment_id"))
            .primary_key(Index::create().col("message_id").col("position"))
            .to_owned();
        manager.create_table(links).await?;
        for (table, name, columns) in [
            ("attachments", "attachments_of_user", ["user_id", "id"]),
            ("attachments", "attachments_due", ["due_at", "id"]),
            ("message_attachments", "messages_of_attachment", ["attachment_id", "message_id"]),
        ] {
            let mut index = Index::create().table(table).name(name).to_owned();
            for column in columns {
                index.col(column);
            }
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["message_attachments", "attachments"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        let alter = Table::alter().table("messages").drop_column("attachment_count").to_owned();
        manager.alter_table(alter).await
    }
}

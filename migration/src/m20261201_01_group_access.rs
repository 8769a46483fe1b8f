//! Invite links, requests to join, bans from a chat, and slow mode.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, big_pk_auto, boolean, integer, integer_null, string, string_null,
};

/// The migration; see the module documentation.
#[derive(DeriveMigrationName)]
pub struct Migration;

/// New columns by table. SQLite adds one column per statement.
fn columns() -> [(&'static str, ColumnDef); 2] {
    [
        // Seconds that a member has to wait between two messages; 0 for none.
        ("chats", integer("slow_mode_secs").default(0).take()),
        // When the member last sent a message in slow mode.
        ("members", big_integer_null("last_sent_at")),
    ]
}

fn tables() -> [TableCreateStatement; 3] {
    [
        Table::create()
            .table("invites")
            .col(big_pk_auto("id"))
            .col(big_integer("chat_id"))
            .col(string("token"))
            .col(big_integer("created_by"))
            .col(boolean("needs_approval"))
            .col(integer_null("max_uses"))
            .col(integer("uses").default(0))
            .col(big_integer_null("expires_at"))
            .col(big_integer_null("revoked_at"))
            .col(big_integer("created_at"))
            .to_owned(),
        Table::create()
            .table("join_requests")
            .col(big_integer("chat_id"))
            .col(big_integer("user_id"))
            .col(big_integer("invite_id"))
            .col(big_integer("created_at"))
            .primary_key(Index::create().col("chat_id").col("user_id"))
            .to_owned(),
        Table::create()
            .table("chat_bans")
            .col(big_integer("chat_id"))
            .col(big_integer("user_id"))
            .col(big_integer("banned_by"))
            .col(string_null("reason"))
            .col(big_integer_null("until"))
            .col(big_integer("created_at"))
            .primary_key(Index::create().col("chat_id").col("user_id"))
            .to_owned(),
    ]
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, column) in columns() {
            manager.alter_table(Table::alter().table(table).add_column(column).to_owned()).await?;
        }
        for table in tables() {
            manager.create_table(table).await?;
        }
        let mut token = Index::create();
        token.unique().table("invites").name("invites_token_unique").col("token");
        manager.create_index(token).await?;
        let mut of_chat = Index::create();
        of_chat.table("invites").name("invites_of_chat").col("chat_id").col("id");
        manager.create_index(of_chat).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["chat_bans", "join_requests", "invites"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        for (table, column) in columns() {
            let name = column.get_column_name().clone();
            manager.alter_table(Table::alter().table(table).drop_column(name).to_owned()).await?;
        }
        Ok(())
    }
}

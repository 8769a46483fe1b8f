//! Reactions, mentions, forwarded messages, earlier versions of edited messages, drafts, and chats that return from the
//! archive.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, big_pk_auto, boolean, small_integer, string, text, text_null,
};

/// The migration; see the module documentation.
#[derive(DeriveMigrationName)]
pub struct Migration;

/// New columns by table. SQLite adds one column per statement.
fn columns() -> [(&'static str, ColumnDef); 8] {
    [
        // Ids of the mentioned users, separated by commas; `*` stands for all members.
        ("messages", text_null("mentions")),
        // The reactions of all users, as JSON.
        ("messages", text_null("reactions")),
        // The author of the original, and when it was sent.
        ("messages", big_integer_null("forwarded_user_id")),
        ("messages", big_integer_null("forwarded_at")),
        ("members", text_null("draft")),
        ("members", big_integer_null("draft_reply_to")),
        ("members", big_integer_null("draft_saved_at")),
        // Whether a new message may return the chat from the archive of a member.
        ("chats", boolean("leaves_archive").default(false).take()),
    ]
}

fn tables() -> [TableCreateStatement; 3] {
    [
        Table::create()
            .table("reactions")
            .col(big_integer("message_id"))
            .col(big_integer("user_id"))
            .col(string("emoji"))
            .col(big_integer("created_at"))
            .primary_key(Index::create().col("message_id").col("user_id").col("emoji"))
            .to_owned(),
        // The user is 0 for a mention of all members.
        Table::create()
            .table("mentions")
            .col(big_integer("user_id"))
            .col(big_integer("chat_id"))
            .col(big_integer("seq"))
            .col(big_integer("message_id"))
            .col(big_integer("author_id"))
            .primary_key(Index::create().col("user_id").col("chat_id").col("seq"))
            .to_owned(),
        Table::create()
            .table("message_edits")
            .col(big_pk_auto("id"))
            .col(big_integer("message_id"))
            .col(small_integer("message_type"))
            .col(text("content"))
            .col(big_integer("replaced_at"))
            .to_owned(),
    ]
}

fn indexes() -> [IndexCreateStatement; 5] {
    let index = |table: &'static str, name: &'static str, columns: &[&'static str]| {
        let mut index = Index::create().table(table).name(name).to_owned();
        for column in columns {
            index.col(*column);
        }
        index
    };
    let archived = index("members", "members_archived", &["chat_id"])
        .and_where(Expr::col("archived").eq(true))
        .to_owned();
    let pinned = index("messages", "messages_pinned", &["chat_id", "pinned_at"])
        .and_where(Expr::col("pinned_at").is_not_null())
        .to_owned();
    [
        archived,
        pinned,
        index("reactions", "reactions_of_user", &["user_id"]),
        index("mentions", "mentions_of_message", &["message_id"]),
        index("message_edits", "edits_of_message", &["message_id"]),
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
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, index) in [("members", "members_archived"), ("messages", "messages_pinned")] {
            manager.drop_index(Index::drop().name(index).table(table).to_owned()).await?;
        }
        for table in ["message_edits", "mentions", "reactions"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        for (table, column) in columns() {
            let name = column.get_column_name().clone();
            manager.alter_table(Table::alter().table(table).drop_column(name).to_owned()).await?;
        }
        Ok(())
    }
}

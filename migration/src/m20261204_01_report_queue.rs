//! The queue of reports: moderators claim them and add notes. A report of the word filter has no reporter.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, big_pk_auto, string, text, text_null};

/// The migration; see the module documentation.
#[derive(DeriveMigrationName)]
pub struct Migration;

/// The columns before this migration.
const COLUMNS: [&str; 12] = [
    "id",
    "reporter_id",
    "user_id",
    "chat_id",
    "message_id",
    "content",
    "reason",
    "state",
    "created_at",
    "resolved_at",
    "resolved_by",
    "resolution",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() == sea_orm::DbBackend::Postgres {
            let sql = "ALTER TABLE reports ALTER COLUMN reporter_id DROP NOT NULL, \
                ADD COLUMN claimed_by BIGINT, ADD COLUMN claimed_at BIGINT, ADD COLUMN note TEXT";
            manager.get_connection().execute_unprepared(sql).await?;
            return Ok(());
        }
        let mut table = base(big_integer_null("reporter_id"));
        table.col(big_integer_null("claimed_by")).col(big_integer_null("claimed_at")).col(text_null("note"));
        rebuild(manager, table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Those of the word filter cannot be kept.
        let automatic =
            Query::delete().from_table("reports").and_where(Expr::col("reporter_id").is_null()).to_owned();
        manager.execute(automatic).await?;
        if manager.get_database_backend() == sea_orm::DbBackend::Postgres {
            let sql = "ALTER TABLE reports ALTER COLUMN reporter_id SET NOT NULL, \
                DROP COLUMN claimed_by, DROP COLUMN claimed_at, DROP COLUMN note";
            manager.get_connection().execute_unprepared(sql).await?;
            return Ok(());
        }
        rebuild(manager, base(big_integer("reporter_id"))).await
    }
}

fn base(reporter: ColumnDef) -> TableCreateStatement {
    let mut table = Table::create();
    table
        .table("new_reports")
        .col(big_pk_auto("id"))
        .col(reporter)
        .col(big_integer("user_id"))
        .col(big_integer_null("chat_id"))
        .col(big_integer_null("message_id"))
        .col(text_null("content"))
        .col(text("reason"))
        .col(string("state"))
        .col(big_integer("created_at"))
        .col(big_integer_null("resolved_at"))
        .col(big_integer_null("resolved_by"))
        .col(text_null("resolution"));
    for column in ["reporter_id", "user_id"] {
        table.foreign_key(ForeignKey::create().from("reports", column).to("users", "id"));
    }
    table
}

/// Replaces the table of a SQLite database, which cannot change a column.
async fn rebuild(manager: &SchemaManager<'_>, table: TableCreateStatement) -> Result<(), DbErr> {
    manager.create_table(table).await?;
    let columns = COLUMNS.join(", ");
    for sql in [
        format!("INSERT INTO new_reports ({columns}) SELECT {columns} FROM reports"),
        "DROP TABLE reports".to_owned(),
        "ALTER TABLE new_reports RENAME TO reports".to_owned(),
        "CREATE INDEX reports_by_state ON reports (state, id)".to_owned(),
        "CREATE INDEX reports_of_reporter ON reports (reporter_id, id)".to_owned(),
    ] {
        manager.get_connection().execute_unprepared(&sql).await?;
    }
    Ok(())
}

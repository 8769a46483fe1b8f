//! Messages no longer reference their chat and author in PostgreSQL: the two checks took a sixth of the time of a send and a
//! lock on the author's row. Each statement that inserts messages reads chat and author itself, and rows of chats and
//! users are never deleted. A message that is being sent while its author deletes their account may now be stored after
//! the deletion.

use sea_orm::DbBackend;
use sea_orm_migration::prelude::*;

/// The migration; see the module documentation.
#[derive(DeriveMigrationName)]
pub struct Migration;

/// Columns and the tables that they refer to.
const REFERENCES: [(&str, &str); 2] = [("chat_id", "chats"), ("user_id", "users")];

/// Returns the name that PostgreSQL gave the constraint.
fn name(column: &str) -> String {
    format!("messages_{column}_fkey")
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() == DbBackend::Postgres {
            for (column, _) in REFERENCES {
                let drop = ForeignKey::drop().table("messages").name(name(column)).to_owned();
                manager.drop_foreign_key(drop).await?;
            }
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() == DbBackend::Postgres {
            for (column, table) in REFERENCES {
                let create = ForeignKey::create()
                    .name(name(column))
                    .from("messages", column)
                    .to(table, "id")
                    .on_delete(ForeignKeyAction::Cascade)
                    .to_owned();
                manager.create_foreign_key(create).await?;
            }
        }
        Ok(())
    }
}

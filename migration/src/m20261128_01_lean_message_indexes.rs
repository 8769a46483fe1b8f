//! Fewer index entries for each sent message: only messages that were changed later are indexed by `rev`, because the
//! others are found by `seq`. In SQLite, where every index page that a transaction touches is written to its log, the index
//! of client ids also finds the messages of a user.

use sea_orm::DbBackend;
use sea_orm_migration::prelude::*;

/// The migration; see the module documentation.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name("messages_by_rev").table("messages").to_owned()).await?;
        let changed = Index::create()
            .name("messages_changed")
            .table("messages")
            .col("chat_id")
            .col("rev")
            .and_where(Expr::col("rev").ne(Expr::col("seq")))
            .to_owned();
        manager.create_index(changed).await?;
        if manager.get_database_backend() == DbBackend::Sqlite {
            manager.drop_index(Index::drop().name("messages_of_user").table("messages").to_owned()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name("messages_changed").table("messages").to_owned()).await?;
        manager.create_index(plain("messages_by_rev", ["chat_id", "rev"])).await?;
        if manager.get_database_backend() == DbBackend::Sqlite {
            manager.create_index(plain("messages_of_user", ["user_id", "id"])).await?;
        }
        Ok(())
    }
}

fn plain(name: &'static str, columns: [&'static str; 2]) -> IndexCreateStatement {
    let mut index = Index::create().table("messages").name(name).to_owned();
    for column in columns {
        index.col(column);
    }
    index
}

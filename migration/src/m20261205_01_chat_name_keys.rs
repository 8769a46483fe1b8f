//! Names of groups are found whatever their case: `name_key` has the folded name, as for users.

use sea_orm::{FromQueryResult, Statement};
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::string_null;

use crate::m20261127_01_fold_names::fold;

/// The migration; see the module documentation.
#[derive(DeriveMigrationName)]
pub struct Migration;

/// Number of rows that are read at a time.
const SOME: i64 = 1_000;

#[derive(FromQueryResult)]
struct Named {
    id: i64,
    name: String,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = string_null("name_key").take();
        manager.alter_table(Table::alter().table("chats").add_column(column).to_owned()).await?;
        let (db, backend) = (manager.get_connection(), manager.get_database_backend());
        let mut after = 0;
        loop {
            let sql = format!(
                "SELECT id, name FROM chats WHERE name IS NOT NULL AND id > {after} ORDER BY id LIMIT {SOME}"
            );
            let found = Named::find_by_statement(Statement::from_string(backend, sql)).all(db).await?;
            let Some(last) = found.last() else { return Ok(()) };
            after = last.id;
            for row in &found {
                let update = Query::update()
                    .table("chats")
                    .value("name_key", fold(&row.name))
                    .and_where(Expr::col("id").eq(row.id))
                    .to_owned();
                manager.execute(update).await?;
            }
        }
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table("chats").drop_column("name_key").to_owned()).await
    }
}

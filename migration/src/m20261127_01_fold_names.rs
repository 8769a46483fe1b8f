//! Names are compared by Unicode case folding: `name_key` changes from the lower-case name to the folded one. It is not
//! unique, so two names that become equal do no harm.

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizerBorrowed;
use sea_orm::{FromQueryResult, Statement};
use sea_orm_migration::prelude::*;

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

/// Folds a name as it is compared from this migration on.
pub(crate) fn fold(text: &str) -> String {
    let nfkc = ComposingNormalizerBorrowed::new_nfkc();
    let folded = CaseMapper::new().fold_string(&nfkc.normalize(text)).into_owned();
    let plain = folded.replace("i\u{307}", "i").replace('ё', "е");
    nfkc.normalize(&plain).into_owned()
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        rewrite(manager, fold).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        rewrite(manager, str::to_lowercase).await
    }
}

/// Recomputes the key of every name.
async fn rewrite(manager: &SchemaManager<'_>, key_of: fn(&str) -> String) -> Result<(), DbErr> {
    let (db, backend) = (manager.get_connection(), manager.get_database_backend());
    let mut after = 0;
    loop {
        let rows = Query::select()
            .columns([Alias::new("id"), Alias::new("name")])
            .from(Alias::new("users"))
            .and_where(Expr::col(Alias::new("name")).is_not_null())
            .and_where(Expr::col(Alias::new("id")).gt(after))
            .order_by(Alias::new("id"), Order::Asc)
            .limit(SOME as u64)
            .to_owned();
        let (sql, values) = match backend {
            sea_orm::DbBackend::Postgres => rows.build(PostgresQueryBuilder),
            _ => rows.build(SqliteQueryBuilder),
        };
        let found =
            Named::find_by_statement(Statement::from_sql_and_values(backend, sql, values)).all(db).await?;
        let Some(last) = found.last() else { return Ok(()) };
        after = last.id;
        for row in &found {
            let update = Query::update()
                .table(Alias::new("users"))
                .value(Alias::new("name_key"), key_of(&row.name))
                .and_where(Expr::col(Alias::new("id")).eq(row.id))
                .to_owned();
            manager.execute(update).await?;
        }
    }
}

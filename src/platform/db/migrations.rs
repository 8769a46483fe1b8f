//! Migrations: applying them, rolling one back, and listing which are applied.

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement, TransactionTrait};

use super::{Db, ServingLock, postgres, sqlite};
use crate::clock::Clock;
use crate::error::{Error, Result};

/// An arbitrary number. All nodes take this PostgreSQL advisory lock while they migrate.
const MIGRATION_LOCK: i64 = 0x6d61_6e67_6f01;

/// Returns the names of this version's migrations.
pub fn known_migrations() -> Vec<String> {
    Migrator::get_migration_files().iter().map(|file| file.name().to_owned()).collect()
}

impl Db {
    /// Applies all pending migrations. Nodes that start together wait for each other.
    pub async fn migrate_up(&self) -> Result<()> {
        self.migrating(async |db| Migrator::up(db, None).await).await
    }

    /// Rolls back one migration. Fails while a server uses the database, because that server would use tables that no
    /// longer exist.
    pub async fn migrate_down(&self) -> Result<()> {
        let _lock = ServingLock::take(&self.url, Clock::system().now())?;
        if self.backend() == DbBackend::Postgres
            && let Some(server) = postgres::other_process(self.read()).await?
        {
            return Err(Error::unavailable(format!("the database is in use by {server}: stop it first")));
        }
        self.migrating(async |db| Migrator::down(db, Some(1)).await).await
    }

    /// Returns the name of every migration, and whether it is applied.
    pub async fn migration_status(&self) -> Result<Vec<(String, bool)>> {
        let pending: Vec<String> = Migrator::get_pending_migrations_read_only(&self.write)
            .await?
            .iter()
            .map(|it| it.name().to_owned())
            .collect();
        Ok(Migrator::get_migration_files()
            .iter()
            .map(|it| (it.name().to_owned(), !pending.iter().any(|name| name == it.name())))
            .collect())
    }

    #[expect(clippy::disallowed_methods, reason = "the lock lives as long as this transaction")]
    async fn migrating(
        &self,
        work: impl AsyncFnOnce(&DatabaseConnection) -> std::result::Result<(), DbErr>,
    ) -> Result<()> {
        if self.backend() != DbBackend::Postgres {
            let _lock = match self.file.clone() {
                Some(file) => Some(sqlite::lock_beside(file).await?),
                None => None,
            };
            return work(&self.write).await.map_err(Error::from);
        }
        let unlimited = postgres::connect_for_migrations(&self.url).await?;
        let lock = unlimited.begin().await?;
        lock.execute_raw(Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT pg_advisory_xact_lock($1)",
            [MIGRATION_LOCK.into()],
        ))
        .await?;
        let done = work(&unlimited).await;
        lock.rollback().await?;
        // Statements that were prepared before the migration do not fit the changed tables.
        self.patience.freshness.renew();
        unlimited.close().await?;
        done.map_err(Error::from)
    }
}

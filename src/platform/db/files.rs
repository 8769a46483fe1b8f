//! Operations on a SQLite database file: copying, checking and closing it.

use std::path::Path;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tokio::time::timeout;

use super::Db;
use crate::error::{Error, Result};

/// How long closing the connections may take.
const CLOSE: Duration = Duration::from_secs(2);

impl Db {
    /// Returns the SQLite file; `None` for an in-memory database and for PostgreSQL.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Writes a complete copy of the current SQLite database to `target`, which must not exist. Others can read and
    /// write meanwhile.
    pub async fn copy_into(&self, target: &Path) -> Result<()> {
        let target = target.to_str().ok_or_else(|| Error::unavailable("the path is not UTF-8"))?;
        let copy = Statement::from_sql_and_values(DbBackend::Sqlite, "VACUUM INTO $1", [target.into()]);
        self.background().execute_raw(copy).await?;
        Ok(())
    }

    /// Returns the first problem that `PRAGMA quick_check` finds in a SQLite database. It reads the whole file.
    pub async fn damage(&self) -> Result<Option<String>> {
        self.first_fault("PRAGMA quick_check(1)", |found| found != "ok").await
    }

    /// Returns the first problem that a thorough check finds in a SQLite database: it also compares indexes with their
    /// tables and checks foreign keys, and takes several times as long.
    pub async fn damage_in_depth(&self) -> Result<Option<String>> {
        if let Some(fault) = self.first_fault("PRAGMA integrity_check(1)", |found| found != "ok").await? {
            return Ok(Some(fault));
        }
        let broken = self.first_fault("PRAGMA foreign_key_check", |_| true).await?;
        Ok(broken.map(|table| format!("a row of {table} refers to one that is missing")))
    }

    async fn first_fault(&self, pragma: &str, is_fault: impl Fn(&str) -> bool) -> Result<Option<String>> {
        let rows = self.read().query_all_raw(Statement::from_string(DbBackend::Sqlite, pragma)).await?;
        let found = rows.first().map(|row| row.try_get_by_index::<String>(0)).transpose()?;
        Ok(found.filter(|found| is_fault(found)).map(|found| found.replace('\n', " ")))
    }

    /// Closes the connections. All clones of this handle fail from then on.
    pub async fn close(self) -> Result<()> {
        self.checkpoint().await?;
        let closing = async {
            // Clones share their pools.
            self.write.close_by_ref().await?;
            self.read.close().await?;
            self.background.close().await
        };
        timeout(CLOSE, closing)
            .await
            .map_err(|_| Error::unavailable("the database did not close in time"))?
            .map_err(Error::from)
    }
}

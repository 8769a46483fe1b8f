//! A PostgreSQL server for one test, which may stop, kill and misconfigure it.

use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use tempfile::TempDir;

use crate::checker::postgres::Postgres;

/// A PostgreSQL server with an empty database `mango`.
pub struct PrivatePostgres {
    /// The server; it stops before its folder is removed.
    pub server: Postgres,
    _folder: TempDir,
}

impl PrivatePostgres {
    /// Starts a server with these settings and an empty database `mango`.
    pub async fn start(settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = [&["fsync=off"], settings].concat();
        let server = Postgres::start_in(folder.path(), &settings).expect("PostgreSQL starts");
        let made = Self { server, _folder: folder };
        made.run("postgres", &["CREATE DATABASE mango"]).await;
        made
    }

    /// Returns the URL of the database `mango`.
    pub fn url(&self) -> String {
        self.server.url("mango")
    }

    /// Opens a connection to one of its databases, for administration.
    pub async fn connect(&self, database: &str) -> DatabaseConnection {
        Database::connect(self.server.url(database)).await.expect("PostgreSQL answers")
    }

    /// Runs these statements one after the other, each on its own.
    pub async fn run(&self, database: &str, statements: &[&str]) {
        let connection = self.connect(database).await;
        for statement in statements {
            connection.execute_unprepared(statement).await.unwrap_or_else(|it| panic!("{statement}: {it}"));
        }
        connection.close().await.expect("closed");
    }
}

//! A PostgreSQL that one test has to itself, so that it may be stopped, killed and misconfigured.

use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use tempfile::TempDir;

use crate::checker::postgres::Postgres;

/// See the file.
pub struct PrivatePostgres {
    /// The server; it ends before its folder is removed.
    pub server: Postgres,
    _folder: TempDir,
}

impl PrivatePostgres {
    /// One with an empty database `mango`.
    pub async fn start(settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = [&["fsync=off"], settings].concat();
        let server = Postgres::start_in(folder.path(), &settings).expect("PostgreSQL starts");
        let made = Self { server, _folder: folder };
        made.run("postgres", &["CREATE DATABASE mango"]).await;
        made
    }

    /// The URL of the database `mango`.
    pub fn url(&self) -> String {
        self.server.url("mango")
    }

    /// A connection to one of its databases, for an operator.
    pub async fn connect(&self, database: &str) -> DatabaseConnection {
        Database::connect(self.server.url(database)).await.expect("PostgreSQL answers")
    }

    /// Runs these statements, one after the other and each on its own.
    pub async fn run(&self, database: &str, statements: &[&str]) {
        let connection = self.connect(database).await;
        for statement in statements {
            connection.execute_unprepared(statement).await.unwrap_or_else(|it| panic!("{statement}: {it}"));
        }
        connection.close().await.expect("closed");
    }
}

//! A server with a database of its own, which is filled while the server does not run.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use rustix::process::Signal;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
use serde_json::json;
use time::OffsetDateTime;

use crate::Result;
use crate::compare::postgres::Postgres;
use crate::compare::program::Program;
use crate::compare::server::free_port;
use crate::users::User;

/// Signs the tokens.
const SECRET: &str = "a secret of the growth bench, 32 bytes or more";

/// The name of the database of PostgreSQL. One exists at a time.
const NAME: &str = "growth";

/// How long a token is valid, in seconds.
const TOKEN_SECONDS: i64 = 3_600;

/// A server and its data.
pub struct Site {
    program: PathBuf,
    folder: PathBuf,
    database_url: String,
    running: Option<(Program, u16)>,
}

impl Site {
    /// Creates a folder below `temp`, and an empty database if it is in PostgreSQL.
    pub async fn create(temp: &Path, program: &Path, postgres: Option<&Postgres>) -> Result<Self> {
        let folder = temp.join("server");
        fs::create_dir_all(folder.join("data"))?;
        let database_url = match postgres {
            Some(postgres) => postgres.create_database(NAME).await?,
            None => format!("sqlite://{}", folder.join("data/mango.db").display()),
        };
        Ok(Self { program: program.to_owned(), folder, database_url, running: None })
    }

    /// Starts the server, which creates the tables if there are none.
    pub fn start(&mut self) -> Result<()> {
        let port = free_port()?;
        let path = |name: &str| self.folder.join(name).to_string_lossy().into_owned();
        let settings = [
            ("MANGO_ENV", "test".to_owned()),
            ("BIND", format!("127.0.0.1:{port}")),
            ("DATABASE_URL", self.database_url.clone()),
            ("DATA_DIR", path("data")),
            ("LOG_DIR", path("logs")),
            ("JWT_SECRET", SECRET.into()),
            ("PASSWORD_HASH", "argon2id,m=64,t=1,p=1".into()),
            ("RATE_LIMIT", "off".into()),
            ("MAX_SOCKETS_PER_ADDRESS", "1000000".into()),
        ];
        let command = [self.program.to_string_lossy().into_owned(), "serve".into()];
        let log = self.folder.join("output");
        let mut program = Program::start(&command, &settings, &self.folder, &log, Signal::TERM)?;
        program.wait_for("listening")?;
        self.running = Some((program, port));
        Ok(())
    }

    /// Stops the server.
    pub fn stop(&mut self) {
        self.running = None;
    }

    /// Removes the data of the stopped server.
    pub async fn remove(self, postgres: Option<&Postgres>) -> Result<()> {
        if let Some(postgres) = postgres {
            postgres.drop_database(NAME).await?;
        }
        Ok(fs::remove_dir_all(&self.folder)?)
    }

    /// Opens one connection to the database.
    pub async fn connect(&self) -> Result<DatabaseConnection> {
        let mut options = ConnectOptions::new(&self.database_url);
        options.max_connections(1).sqlx_logging(false).connect_timeout(Duration::from_secs(20));
        let db = Database::connect(options).await?;
        if self.database_url.starts_with("sqlite") {
            // The data can be written again, so it need not be synced.
            db.execute_unprepared("PRAGMA synchronous = OFF").await?;
        }
        Ok(db)
    }

    /// Waits until the file of SQLite is on the disk, so that it is not written during the measurements.
    pub fn sync(&self) -> Result<()> {
        match self.database_url.strip_prefix("sqlite://") {
            Some(path) => Ok(fs::File::open(path)?.sync_all()?),
            None => Ok(()),
        }
    }

    /// Returns the URL of the running server.
    pub fn url(&self) -> Result<String> {
        let (_, port) = self.running.as_ref().ok_or("the server does not run")?;
        Ok(format!("http://127.0.0.1:{port}"))
    }

    /// Returns the process id of the running server.
    pub fn pid(&self) -> Result<u32> {
        Ok(self.running.as_ref().ok_or("the server does not run")?.0.pid())
    }
}

/// Returns a planted user with an access token of the session of the same id.
pub fn user(id: i64) -> User {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = encode(json!({"alg": "HS256", "typ": "JWT"}));
    let claims = encode(json!({
        "sub": id.to_string(), "sid": id, "typ": "access", "iat": now, "exp": now + TOKEN_SECONDS,
        "jti": format!("{id:032x}"),
    }));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, format!("{header}.{claims}").as_bytes()));
    User { id, token: format!("{header}.{claims}.{signature}") }
}

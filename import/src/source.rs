//! The Mango database. It is read in one snapshot, so chats, members and messages are consistent even if they
//! change meanwhile. Rows are read through cursors, so memory does not grow with the source.

use std::collections::HashMap;
use std::time::Duration;

use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::{ConnectOptions as _, Connection, PgConnection};
use sea_orm::{
    AccessMode, ConnectOptions, ConnectionTrait, Database, DatabaseTransaction, DbBackend, DbErr,
    IsolationLevel, QueryResult, Statement, TransactionOptions, TransactionTrait,
};
use tokio::time::timeout;

use crate::error::{Error, Result};
use crate::schema::{Catalogue, Schema};

/// Timeout for connecting to the source.
const CONNECT: Duration = Duration::from_secs(10);

/// Timeout of one statement; the first rows may wait until all rows are sorted.
const ANSWER: Duration = Duration::from_mins(15);

/// A user of Mango.
pub struct SourceUser {
    /// The id in the source.
    pub id: i64,
    /// The phone number.
    pub phone: Option<String>,
    /// The password hash.
    pub password: Option<String>,
    /// The display name.
    pub name: Option<String>,
    /// The path of the photo, as the source stores it.
    pub photo: Option<String>,
    /// The profile text.
    pub description: Option<String>,
    /// When the user registered; see [`crate::read_time`].
    pub created_at: Option<String>,
    /// The username; older databases have none.
    pub username: Option<String>,
    /// The e-mail address; older databases have none.
    pub email: Option<String>,
}

/// A chat of Mango.
pub struct SourceChat {
    /// The id in the source.
    pub id: i64,
    /// The name of a group.
    pub name: Option<String>,
    /// Whether the chat is a group.
    pub is_group: bool,
    /// When the chat was created; see [`crate::read_time`].
    pub created_at: Option<String>,
    /// The text about the group.
    pub description: Option<String>,
    /// The user who created the chat.
    pub owner: Option<i64>,
    /// The author of the oldest message.
    pub first_author: Option<i64>,
    /// The ids of the members, ascending.
    pub members: Vec<i64>,
    /// The ids of the users who pinned the chat, ascending.
    pub pins: Vec<i64>,
}

/// A message of Mango.
pub struct SourceMessage {
    /// The id in the source.
    pub id: i64,
    /// The id of the chat.
    pub chat: Option<i64>,
    /// The id of the author.
    pub author: Option<i64>,
    /// The message type: a number or a name.
    pub kind: Option<String>,
    /// The content.
    pub content: Option<String>,
    /// When the message was sent; see [`crate::read_time`].
    pub created_at: Option<String>,
    /// The ids of the users who liked the message, ascending.
    pub likes: Vec<i64>,
}

/// A connection to a Mango database, with its snapshot.
pub struct Source {
    tx: DatabaseTransaction,
    batch: usize,
    /// The statements that read it.
    pub schema: Schema,
}

impl Source {
    /// Connects, and checks that it is a Mango database.
    #[expect(clippy::disallowed_methods, reason = "a transaction that only reads, of another database")]
    pub async fn open(url: &str, batch: usize) -> Result<Self> {
        let url = url_of(url)?;
        knock(&url).await?;
        let mut options = ConnectOptions::new(url);
        options.max_connections(1).connect_timeout(CONNECT).acquire_timeout(CONNECT).sqlx_logging(false);
        let pool = Database::connect(options).await.map_err(|error| away(&error))?;
        let snapshot = TransactionOptions {
            isolation_level: Some(IsolationLevel::RepeatableRead),
            access_mode: Some(AccessMode::ReadOnly),
            sqlite_transaction_mode: None,
        };
        let tx = pool.begin_with_options(snapshot).await.map_err(|error| away(&error))?;
        for setting in [
            "SET LOCAL TIME ZONE 'UTC'",
            "SET LOCAL datestyle = 'ISO'",
            "SET LOCAL statement_timeout = 0",
            "SET LOCAL idle_in_transaction_session_timeout = 0",
        ] {
            tx.execute_unprepared(setting).await.map_err(|error| away(&error))?;
        }
        let schema = Schema::find(&catalogue(&tx).await?)?;
        Ok(Self { tx, batch, schema })
    }

    /// Ends the snapshot.
    pub async fn close(self) -> Result<()> {
        self.tx.rollback().await.map_err(|error| away(&error))
    }

    /// Returns a text that identifies this Mango database, even after a move to another server: the id and the
    /// creation time of its first user. `None` while it has no users.
    pub async fn mark(&self) -> Result<Option<String>> {
        let sql = format!("SELECT id, created_at FROM ({}) u ORDER BY id LIMIT 1", self.schema.users);
        let rows = self.query(&sql).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let (id, created_at): (i64, Option<String>) = (get(row, "id")?, get(row, "created_at")?);
        Ok(Some(format!("{id}\n{}", created_at.unwrap_or_default())))
    }

    /// Runs a statement that returns one number.
    pub async fn number(&self, sql: &str) -> Result<u64> {
        let rows = self.query(sql).await?;
        let number: i64 = rows.first().map_or(Ok(0), |row| get(row, "count"))?;
        Ok(number.unsigned_abs())
    }

    /// Opens a cursor for a statement, to read it in pages.
    pub async fn declare(&self, cursor: &str, sql: &str) -> Result<()> {
        let sql = format!("DECLARE {cursor} NO SCROLL CURSOR FOR {sql}");
        let done = timeout(ANSWER, self.tx.execute_unprepared(&sql)).await.map_err(|_| too_slow())?;
        done.map(drop).map_err(|error| away(&error))
    }

    /// Returns the next page; empty at the end.
    pub async fn fetch<T>(&self, cursor: &str, read: fn(&QueryResult) -> Result<T>) -> Result<Vec<T>> {
        let rows = self.query(&format!("FETCH {} FROM {cursor}", self.batch)).await?;
        rows.iter().map(read).collect()
    }

    async fn query(&self, sql: &str) -> Result<Vec<QueryResult>> {
        query(&self.tx, sql).await
    }
}

async fn query(tx: &DatabaseTransaction, sql: &str) -> Result<Vec<QueryResult>> {
    let rows = tx.query_all_raw(Statement::from_string(DbBackend::Postgres, sql));
    timeout(ANSWER, rows).await.map_err(|_| too_slow())?.map_err(|error| away(&error))
}

/// Connects once to get the reason of a failure: a pool retries and then reports only a timeout.
async fn knock(url: &str) -> Result<()> {
    let problem = |error: sea_orm::sqlx::Error| Error::Invalid(format!("cannot connect: {error}"));
    let options: PgConnectOptions = url.parse().map_err(problem)?;
    let connection = timeout(CONNECT, PgConnection::connect_with(&options.disable_statement_logging())).await;
    let connection =
        connection.map_err(|_| Error::Invalid("cannot connect: no response in time".to_owned()))?;
    connection.map_err(problem)?.close().await.map_err(problem)
}

/// Converts a URL to the form `postgres://…`; in `SQLAlchemy`'s form the scheme also names a driver.
fn url_of(text: &str) -> Result<String> {
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    let scheme = scheme.split('+').next().unwrap_or_default();
    if matches!(scheme, "postgres" | "postgresql") && !rest.is_empty() {
        return Ok(format!("postgres://{rest}"));
    }
    Err(Error::Invalid("must be postgres://USER@HOST:PORT/DATABASE".to_owned()))
}

async fn catalogue(tx: &DatabaseTransaction) -> Result<Catalogue> {
    let sql = "SELECT table_name::text AS t, column_name::text AS c, data_type::text AS d \
               FROM information_schema.columns WHERE table_schema = current_schema()";
    let mut tables: Catalogue = HashMap::new();
    for row in query(tx, sql).await? {
        let (table, column, kind): (String, String, String) =
            (get(&row, "t")?, get(&row, "c")?, get(&row, "d")?);
        tables.entry(table).or_default().insert(column, kind);
    }
    Ok(tables)
}

fn away(error: &DbErr) -> Error {
    Error::Failed(format!("the source failed: {error}"))
}

fn too_slow() -> Error {
    Error::Failed("the source did not respond in time".to_owned())
}

fn get<T: sea_orm::TryGetable>(row: &QueryResult, column: &str) -> Result<T> {
    row.try_get("", column).map_err(|error| away(&error))
}

/// Reads a column of numbers separated by commas.
fn numbers(row: &QueryResult, column: &str) -> Result<Vec<i64>> {
    let text: Option<String> = get(row, column)?;
    let mut numbers: Vec<i64> = text.iter().flat_map(|it| it.split(',')).flat_map(str::parse).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Reads a row of [`Schema::users`].
pub fn read_user(row: &QueryResult) -> Result<SourceUser> {
    Ok(SourceUser {
        id: get(row, "id")?,
        phone: get(row, "phone")?,
        password: get(row, "password")?,
        name: get(row, "name")?,
        photo: get(row, "photo")?,
        description: get(row, "description")?,
        created_at: get(row, "created_at")?,
        username: get(row, "username")?,
        email: get(row, "email")?,
    })
}

/// Reads a row of [`Schema::chats`].
pub fn read_chat(row: &QueryResult) -> Result<SourceChat> {
    Ok(SourceChat {
        id: get(row, "id")?,
        name: get(row, "name")?,
        is_group: get(row, "is_group")?,
        created_at: get(row, "created_at")?,
        description: get(row, "description")?,
        owner: get(row, "owner")?,
        first_author: get(row, "first_author")?,
        members: numbers(row, "members")?,
        pins: numbers(row, "pins")?,
    })
}

/// Reads a row of [`Schema::messages`].
pub fn read_message(row: &QueryResult) -> Result<SourceMessage> {
    Ok(SourceMessage {
        id: get(row, "id")?,
        chat: get(row, "chat")?,
        author: get(row, "author")?,
        kind: get(row, "kind")?,
        content: get(row, "content")?,
        created_at: get(row, "created_at")?,
        likes: numbers(row, "likes")?,
    })
}

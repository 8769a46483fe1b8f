//! `floor`: how many messages per second the database stores if each is its own transaction, with the server's
//! connection settings, columns and indexes, but none of its code.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use clap::Args;
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, Statement};
use tokio::time::Instant;

use crate::Result;
use crate::report::Report;

/// Connections to `PostgreSQL`, as many as the server's pool has.
const POSTGRES_CONNECTIONS: u32 = 16;

/// Options of `floor`.
#[derive(Args)]
pub struct Options {
    /// `sqlite://FILE` or `postgres://…`. The bench creates the table `bench_floor` there and drops it at the end.
    #[arg(long)]
    database_url: String,
    /// Measured seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Tasks that insert at the same time.
    #[arg(long, default_value_t = 16)]
    tasks: usize,
    /// A name for this run in the output.
    #[arg(long)]
    label: Option<String>,
}

/// Runs the bench.
pub async fn run(options: Options) -> Result<bool> {
    let db = connect(&options.database_url).await?;
    create_table(&db).await?;
    let result = insert_for(&db, options.tasks, Duration::from_secs(options.seconds.max(1))).await;
    db.execute_unprepared("DROP TABLE bench_floor").await?;
    let mut micros = result?;
    let mut report = Report::new("floor", options.label.as_deref());
    report.number("tasks", options.tasks as f64, "tasks, each inserting one row after the other");
    let rate = micros.len() as f64 / options.seconds.max(1) as f64;
    report.number("inserts_per_s", rate, "rows per second, one INSERT per transaction");
    report.latency(
        "insert",
        std::mem::take(&mut micros),
        "of one insert, including the wait for a connection",
    );
    Ok(report.finish(true))
}

/// Opens one connection to `SQLite`, as the server's writer does, or sixteen to `PostgreSQL`.
async fn connect(url: &str) -> Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    let connections = if url.starts_with("sqlite") { 1 } else { POSTGRES_CONNECTIONS };
    options
        .min_connections(connections)
        .max_connections(connections)
        .acquire_timeout(Duration::from_mins(1))
        .test_before_acquire(false)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(|sqlite| {
            sqlite
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(Duration::from_secs(5))
                .foreign_keys(true)
        });
    Ok(Database::connect(options).await?)
}

async fn create_table(db: &DatabaseConnection) -> Result<()> {
    let id = match db.get_database_backend() {
        sea_orm::DbBackend::Sqlite => "integer PRIMARY KEY AUTOINCREMENT",
        _ => "bigserial PRIMARY KEY",
    };
    let table = format!(
        "CREATE TABLE bench_floor (id {id}, chat_id bigint NOT NULL, seq bigint NOT NULL, rev bigint NOT NULL, \
         user_id bigint NOT NULL, message_type smallint NOT NULL, content text NOT NULL, client_id varchar, \
         fingerprint varchar, reply_to bigint, likes integer NOT NULL DEFAULT 0, pinned_at bigint, \
         edited_at bigint, deleted_at bigint, created_at bigint NOT NULL)"
    );
    for statement in [
        "DROP TABLE IF EXISTS bench_floor",
        &table,
        "CREATE UNIQUE INDEX bench_floor_seq ON bench_floor (chat_id, seq)",
        "CREATE INDEX bench_floor_rev ON bench_floor (chat_id, rev)",
        "CREATE UNIQUE INDEX bench_floor_client_id ON bench_floor (user_id, client_id)",
    ] {
        db.execute_unprepared(statement).await?;
    }
    Ok(())
}

/// Inserts rows from several tasks for this time; returns the duration of every insert in microseconds.
async fn insert_for(db: &DatabaseConnection, tasks: usize, time: Duration) -> Result<Vec<u32>> {
    let until = Instant::now() + time;
    let number = Arc::new(AtomicI64::new(0));
    let running: Vec<_> =
        (0..tasks.max(1)).map(|_| tokio::spawn(insert_until(db.clone(), number.clone(), until))).collect();
    let mut durations = Vec::new();
    for task in running {
        durations.extend(task.await??);
    }
    Ok(durations)
}

async fn insert_until(db: DatabaseConnection, number: Arc<AtomicI64>, until: Instant) -> Result<Vec<u32>> {
    const SQL: &str = "INSERT INTO bench_floor (chat_id, seq, rev, user_id, message_type, content, created_at) \
                       VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let content = "x".repeat(72);
    let mut micros = Vec::new();
    loop {
        let (next, began) = (number.fetch_add(1, Ordering::Relaxed), Instant::now());
        let (chat, seq) = (next % 50, next / 50);
        let values = [
            chat.into(),
            seq.into(),
            seq.into(),
            chat.into(),
            1_i16.into(),
            content.as_str().into(),
            next.into(),
        ];
        db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), SQL, values)).await?;
        let done = Instant::now();
        if done >= until {
            return Ok(micros);
        }
        micros.push(u32::try_from(done.duration_since(began).as_micros()).unwrap_or(u32::MAX));
    }
}

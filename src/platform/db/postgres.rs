//! Connecting to PostgreSQL: what is checked at the start, what every connection is told, and when one is replaced.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sea_orm::sqlx::pool::PoolOptions;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection, Error as SqlxError, Executor, Postgres, Row, query,
};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use tokio::time::{Instant, sleep, timeout};

use super::freshness::Freshness;
use super::{Pools, Reader, SLICES};
use crate::config::DatabaseLimits;
use crate::error::{Error, Result};
use crate::random;

/// What the names of our processes begin with.
const PROGRAM: &str = "mango-chat";

/// A connection that has not been used for this long is asked whether it is still there before it is used.
const ASKED_AFTER: Duration = Duration::from_secs(1);

/// How long the answer to that may take, before and after a connection is used.
const PING: Duration = Duration::from_secs(1);

/// What a server that is just starting gets at least before the start is given up.
const STARTING: Duration = Duration::from_secs(5);

/// The connections of this node: half of them write, a small part is for what happens in the background, the rest
/// reads. So none of the three can take the connections of the others.
pub async fn connect(url: &str, limits: &DatabaseLimits, freshness: &Arc<Freshness>) -> Result<Pools> {
    let allowed = examine(url, limits).await?;
    let most = limits.max_connections.min(allowed).max(3);
    if most < limits.max_connections {
        tracing::warn!(
            wanted = limits.max_connections,
            allowed,
            "PostgreSQL allows fewer connections than DB_MAX_CONNECTIONS; this node opens no more than that"
        );
    }
    let background = (most / 8).max(1);
    let write = most / 2;
    let read = most - write - background;
    let settings = session_settings(limits);
    let open =
        |connections| open(url, connections, limits.acquire_timeout, settings.clone(), freshness.clone());
    Ok(Pools {
        write: open(write).await?,
        read: open(read).await?,
        background: open(background).await?,
        writers: write as usize,
    })
}

/// How this process is called in `pg_stat_activity`.
fn process_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let chance = random::hex(4).unwrap_or_default();
        format!("{PROGRAM} {} {chance}", std::process::id())
    })
}

/// Another process of ours that has connections to the database, in words.
pub async fn other_process(reader: &Reader) -> Result<Option<String>> {
    let sql = "SELECT application_name || COALESCE(' at ' || host(client_addr), '') AS process \
               FROM pg_stat_activity WHERE datname = current_database() \
               AND application_name LIKE $1 || ' %' AND application_name <> $2 LIMIT 1";
    let values = [PROGRAM.into(), process_name().into()];
    let found =
        reader.query_one_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await?;
    Ok(found.map(|row| row.try_get("", "process")).transpose()?)
}

/// Two connections without time limits: a migration of a large table takes its time.
pub async fn connect_for_migrations(url: &str) -> Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(2).acquire_timeout(STARTING).sqlx_logging(false);
    Ok(Database::connect(options).await?)
}

async fn open(
    url: &str,
    connections: u32,
    acquire: Duration,
    settings: Arc<str>,
    freshness: Arc<Freshness>,
) -> Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(acquire / SLICES)
        .test_before_acquire(false)
        .sqlx_logging(false)
        .map_sqlx_postgres_opts(|options| options.application_name(process_name()))
        .map_sqlx_postgres_pool_opts(move |pool| watched(pool, &settings, &freshness));
    Ok(Database::connect(options).await?)
}

/// Tells every new connection its settings, and replaces those that do not answer in time.
///
/// sqlx pings a connection when it is given back, without a limit: on a network that is gone it would count as in use
/// until TCP gives up, a quarter of an hour later. So it has to answer a ping of ours first.
fn watched(
    pool: PoolOptions<Postgres>,
    settings: &Arc<str>,
    freshness: &Arc<Freshness>,
) -> PoolOptions<Postgres> {
    let (settings, at_release, at_acquire) = (settings.clone(), freshness.clone(), freshness.clone());
    pool.after_connect(move |connection, _| {
        let settings = settings.clone();
        Box::pin(async move { connection.execute(AssertSqlSafe(settings.to_string())).await.map(drop) })
    })
    .after_release(move |connection, used| {
        let is_fresh = at_release.allows(used.age);
        Box::pin(async move { Ok(is_fresh && answers(connection).await) })
    })
    .before_acquire(move |connection, used| {
        let is_fresh = at_acquire.allows(used.age);
        Box::pin(async move { Ok(is_fresh && (used.idle_for < ASKED_AFTER || answers(connection).await)) })
    })
}

async fn answers(connection: &mut PgConnection) -> bool {
    matches!(timeout(PING, connection.ping()).await, Ok(Ok(())))
}

/// What a connection is told when it is opened. By `SET` rather than by startup options, which poolers refuse. The
/// server notices a node that is gone within 20 s and gives up what it held.
fn session_settings(limits: &DatabaseLimits) -> Arc<str> {
    let DatabaseLimits { statement_timeout, lock_timeout, .. } = limits;
    let (statement, lock) = (statement_timeout.as_millis(), lock_timeout.as_millis());
    format!(
        "SET statement_timeout = {statement}; SET lock_timeout = {lock}; \
         SET idle_in_transaction_session_timeout = {}; \
         SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 2",
        statement * 2
    )
    .into()
}

/// Opens one connection, to learn in PostgreSQL's own words why that fails, and looks whether the database can be
/// used. Answers how many connections it allows us.
async fn examine(url: &str, limits: &DatabaseLimits) -> Result<u32> {
    // The libraries' own words for a bad URL repeat it, password and all.
    let options = url.parse::<PgConnectOptions>().map_err(|_| {
        refused("is not a valid PostgreSQL URL; percent-encode special characters in the password")
    })?;
    let position = format!("PostgreSQL at {}:{}", options.get_host(), options.get_port());
    let mut connection = knock(&options, limits.acquire_timeout.max(STARTING))
        .await
        .map_err(|cause| refused(&format!("{position} cannot be used: {cause}")))?;
    let sql = "SELECT current_setting('server_encoding') AS encoding, \
                      least(nullif(r.rolconnlimit, -1), nullif(d.datconnlimit, -1), \
                            current_setting('max_connections')::int \
                            - current_setting('superuser_reserved_connections')::int) AS allowed \
               FROM pg_database d, pg_roles r \
               WHERE d.datname = current_database() AND r.rolname = current_user";
    let asked = async {
        let row = query(sql).fetch_one(&mut connection).await?;
        Ok::<(String, i32), SqlxError>((row.try_get("encoding")?, row.try_get("allowed")?))
    };
    let asked =
        timeout(STARTING, asked).await.map_err(|_| refused(&format!("{position} does not answer")))?;
    let (encoding, allowed) =
        asked.map_err(|error| refused(&format!("{position} cannot be used: {error}")))?;
    // Whatever it says to the goodbye, the connection is dropped.
    drop(timeout(PING, connection.close()).await);
    if encoding != "UTF8" {
        return Err(refused(&format!(
            "the database has the encoding {encoding}, which cannot hold every text; create it with ENCODING 'UTF8'"
        )));
    }
    Ok(allowed.unsigned_abs())
}

/// One connection; a server that is still starting is asked again until `patience` is over.
async fn knock(options: &PgConnectOptions, patience: Duration) -> std::result::Result<PgConnection, String> {
    let until = Instant::now() + patience;
    loop {
        let starting = match timeout(patience, options.clone().disable_statement_logging().connect()).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(SqlxError::Io(error))) => error.to_string(),
            // It says that it is starting or shutting down.
            Ok(Err(SqlxError::Database(error))) if error.code().as_deref() == Some("57P03") => {
                error.message().to_owned()
            }
            Ok(Err(SqlxError::Database(error))) => return Err(error.message().to_owned()),
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err("it does not answer".into()),
        };
        if Instant::now() >= until {
            return Err(starting);
        }
        sleep(Duration::from_millis(200)).await;
    }
}

fn refused(problem: &str) -> Error {
    Error::invalid("DATABASE_URL", problem)
}

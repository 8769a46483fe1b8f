//! Connecting to PostgreSQL: checks at startup, settings of each connection, and when a connection is replaced.

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

/// Prefix of this program's `application_name`.
const PROGRAM: &str = "mango-chat";

/// A connection that has been idle for this long is pinged before it is used.
const ASKED_AFTER: Duration = Duration::from_secs(1);

/// How long the reply to a ping may take, before and after a connection is used.
const PING: Duration = Duration::from_secs(1);

/// Minimum time to wait for a database server that is still starting.
const STARTING: Duration = Duration::from_secs(5);

/// Opens the connections of this node: half of them for writing, a small part for background work, the rest for
/// reading. None of the three can use up the connections of the others.
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

/// Returns the name of this process in `pg_stat_activity`.
fn process_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let chance = random::hex(4).unwrap_or_default();
        format!("{PROGRAM} {} {chance}", std::process::id())
    })
}

/// Describes another mango-chat process that is connected to the database, if there is one.
pub async fn other_process(reader: &Reader) -> Result<Option<String>> {
    let sql = "SELECT application_name || COALESCE(' at ' || host(client_addr), '') AS process \
               FROM pg_stat_activity WHERE datname = current_database() \
               AND application_name LIKE $1 || ' %' AND application_name <> $2 LIMIT 1";
    let values = [PROGRAM.into(), process_name().into()];
    let found =
        reader.query_one_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await?;
    Ok(found.map(|row| row.try_get("", "process")).transpose()?)
}

/// Opens two connections without time limits, because migrating a large table may take long.
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

/// Applies the settings to every new connection, and replaces connections that do not answer in time.
///
/// sqlx pings a connection without a time limit when it is returned to the pool. If the network has failed, it would
/// count as in use until TCP gives up a quarter of an hour later. So this pings it first, with a limit.
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

/// Returns the `SET` statements for a new connection. Startup options would do the same, but poolers refuse them. The
/// server notices a node that has disappeared within 20 s and releases its locks.
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

/// Opens one connection to get PostgreSQL's own error message if that fails, and checks that the database is usable.
/// Returns how many connections it allows.
async fn examine(url: &str, limits: &DatabaseLimits) -> Result<u32> {
    // The libraries' error messages for an invalid URL repeat it, including the password.
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
    // The connection is dropped whatever the reply to the close is.
    drop(timeout(PING, connection.close()).await);
    if encoding != "UTF8" {
        return Err(refused(&format!(
            "the database has the encoding {encoding}, which cannot hold every text; create it with ENCODING 'UTF8'"
        )));
    }
    Ok(allowed.unsigned_abs())
}

/// Opens one connection, retrying until `patience` has passed if the server is still starting.
async fn knock(options: &PgConnectOptions, patience: Duration) -> std::result::Result<PgConnection, String> {
    let until = Instant::now() + patience;
    loop {
        let starting = match timeout(patience, options.clone().disable_statement_logging().connect()).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(SqlxError::Io(error))) => error.to_string(),
            // The server reports that it is starting or shutting down.
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

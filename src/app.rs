//! Wires everything together: opens the database, starts the publisher and the transports, and stops them again in the
//! right order.

use std::fs;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tower::Layer;
use tower::util::MapRequestLayer;

use crate::backup;
use crate::clock::Clock;
use crate::config::{Environment, Settings, Verification};
use crate::domain::chats::TypingNow;
use crate::domain::mail::worker::Worker;
use crate::domain::presence::Presence;
use crate::domain::{AppContext, accounts, attachments, chats, demo, search, sessions, verification};
use crate::error::{Error, Result};
use crate::platform::bus::Bus;
use crate::platform::db::{Db, ServingLock, check_before, explain_migrate, explain_open, file_of};
use crate::platform::{log, memory};
use crate::random;
use crate::realtime::RealtimeState;
use crate::realtime::publisher::Publisher;
use crate::transport::http::frames::close_frame;
use crate::transport::http::listener::BackpressureListener;
use crate::transport::http::serve;
use crate::transport::socketio::SocketIo;
use crate::transport::{router, websocket};

/// Number of bus lanes. Each lane is served by one task.
const LANES: usize = 4;

/// How long a send queue may drain before its transport is closed.
const DRAIN: Duration = Duration::from_millis(200);

/// Every start checks a SQLite database of up to this many bytes. A larger one is checked only after an unclean
/// shutdown.
const ALWAYS_CHECKED: u64 = 1_024 * 1_024 * 1_024;

/// How long a WebSocket client may take to receive its close frame.
const CLOSE: Duration = Duration::from_millis(500);

/// A running server.
pub struct Server {
    /// The address that it listens on.
    pub address: SocketAddr,
    /// The domain layer, for tests and commands.
    pub context: Arc<AppContext>,
    realtime: Arc<RealtimeState>,
    io: SocketIo,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    mailing: Worker,
    /// Held until everything else is dropped, so that no other server uses the database before then.
    _lock: Option<ServingLock>,
}

/// Opens the database that the settings name, and migrates it if they allow that.
pub async fn open_database(settings: &Settings) -> Result<Db> {
    let db = connect(settings).await?;
    bring_up_to_date(settings, &db).await?;
    Ok(db)
}

/// Opens the database for a server. Fails if the database is damaged, or if `alone` is set and another server uses it.
async fn open_for_serving(settings: &Settings, alone: bool) -> Result<(Db, Option<ServingLock>)> {
    let had_log = file_of(&settings.database.url).is_some_and(|file| has_log(&file));
    let db = connect(settings).await?;
    let take = || ServingLock::take(&settings.database.url, Clock::system().now());
    let lock = alone.then(take).transpose()?;
    backup::refuse_half_restored(settings)?;
    if let Some(file) = db.file() {
        let size = file.metadata().map_or(0, |it| it.len());
        let found = if had_log || size <= ALWAYS_CHECKED { db.damage().await } else { Ok(None) };
        let damage = found.unwrap_or_else(|error| Some(error.chain()));
        if let Some(damage) = damage {
            return Err(Error::unavailable(format!(
                "DATABASE_URL: {} is damaged ({damage}): restore a backup with `mango-chat restore`",
                file.display()
            )));
        }
    }
    bring_up_to_date(settings, &db).await?;
    Ok((db, lock))
}

/// Returns whether SQLite left a write-ahead log behind, as it does after an unclean shutdown.
fn has_log(file: &Path) -> bool {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    fs::metadata(log).is_ok_and(|it| it.len() > 0)
}

async fn bring_up_to_date(settings: &Settings, db: &Db) -> Result<()> {
    let checked = if settings.database.migrate_on_start {
        db.migrate_up().await
    } else {
        db.migration_status().await.and_then(|status| {
            if status.iter().all(|(_, applied)| *applied) {
                Ok(())
            } else {
                Err(Error::unavailable("the database is not up to date: run `mango-chat migrate up`"))
            }
        })
    };
    match checked {
        Ok(()) => Ok(()),
        Err(error) if error.source.is_none() => Err(error),
        Err(error) => Err(explain_migrate(&settings.database.url, db, error).await),
    }
}

/// Opens the database without migrating it.
pub async fn connect(settings: &Settings) -> Result<Db> {
    make_data_dir(settings)?;
    let url = &settings.database.url;
    check_before(url)?;
    Db::connect(url, &settings.database.limits).await.map_err(|error| explain_open(url, error))
}

/// Opens the domain layer without any transport, for commands.
pub async fn open_context(settings: Settings) -> Result<Arc<AppContext>> {
    let db = open_database(&settings).await?;
    let (bus, _) = Bus::new(1);
    let secret = jwt_secret(&settings)?;
    AppContext::open(Arc::new(settings), Clock::system(), db, bus, &secret).await
}

/// Starts everything as the only server of its database, if that is SQLite: two servers would not see each other's
/// events.
pub async fn start_alone(settings: Settings) -> Result<Server> {
    Box::pin(launch(settings, true)).await
}

/// Starts everything.
pub async fn start(settings: Settings) -> Result<Server> {
    Box::pin(launch(settings, false)).await
}

async fn launch(settings: Settings, alone: bool) -> Result<Server> {
    settings.require_for_serving().map_err(Error::internal)?;
    let settings = Arc::new(settings);
    let (db, serving_lock) = open_for_serving(&settings, alone).await?;
    // Bind before anything else: if the address is taken, for example by a server that already runs, nothing is
    // changed.
    let listener = BackpressureListener::bind(settings.bind, &settings.rates)
        .await
        .map_err(|error| Error::internal(format!("BIND: cannot listen on {}: {error}", settings.bind)))?;
    let address = listener.local_addr().map_err(Error::internal)?;
    let (bus, lanes) = Bus::new(LANES);
    let secret = jwt_secret(&settings)?;
    let context = AppContext::open(settings.clone(), Clock::system(), db, bus, &secret).await?;
    let publisher = Arc::new(Publisher::default());
    publisher.start(&context, lanes);
    publisher.watch_tokens(&context);
    publisher.watch_database(&context);
    publisher.watch_backlogs(&context);
    let connections = publisher.clone();
    context.keep("memory", move |_| {
        let connections = connections.clone();
        memory::trim_after_waves(move || connections.connection_count())
    });
    context.keep("log files", async |context| {
        loop {
            tokio::time::sleep(Duration::from_hours(24)).await;
            log::remove_old(&context.settings.log.dir);
        }
    });
    Presence::watch(&context);
    TypingNow::watch(&context);
    attachments::watch(&context);
    search::watch(&context);
    sessions::prune::watch(&context);
    chats::lobby::prepare(&context).await?;
    if settings.mail.smtp.is_none() && settings.mail.verification != Verification::Off {
        tracing::warn!("EMAIL_VERIFICATION is on without SMTP_URL: mails are only logged, they reach no one");
    }
    if settings.mail.verification == Verification::Required {
        let unconfirmed = verification::count_unconfirmed(&context).await?;
        if unconfirmed > 0 {
            tracing::warn!(
                accounts = unconfirmed,
                "EMAIL_VERIFICATION=required keeps accounts out whose e-mail address is not confirmed: \
                 a login with the right password mails them a link"
            );
        }
    }
    let mailing = Worker::start(&context);
    context.rates.watch(&context.background);
    if settings.environment == Environment::Prod && !settings.rates.on {
        tracing::warn!(
            "RATE_LIMIT is off in prod: nothing slows down guessing, flooding and mass registration"
        );
    }
    accounts::watch(&context);
    if settings.environment == Environment::Local && demo::is_empty(&context).await? {
        let people = demo::seed(&context).await?;
        tracing::info!(?people, password = demo::PASSWORD, "demo users, for this machine only");
        // Hashing their passwords took many megabytes.
        memory::trim();
    }
    let realtime = RealtimeState::new(context.clone(), publisher);
    let io = SocketIo::new(&realtime);
    let router = MapRequestLayer::new(trim_slash).layer(router::router(&realtime, io.routes()));
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve::serve(listener, router, stop.clone()));
    tracing::info!("listening on http://{address}");
    Ok(Server { address, context, realtime, io, stop, serving, mailing, _lock: serving_lock })
}

impl Server {
    /// Stops accepting connections, announces the shutdown to clients, finishes and acknowledges the requests that were
    /// received, and closes the transports.
    pub async fn shutdown(self) {
        let grace = self.context.settings.shutdown_grace;
        let deadline = Instant::now() + grace;
        tracing::info!("shutting down");
        self.stop.cancel();
        // No mail is started from here on. Mail that is queued later stays in the outbox until the next start.
        let mailing = tokio::spawn(self.mailing.stop(deadline));
        self.realtime.publisher.announce_shutdown(grace.min(Duration::from_secs(5)));
        self.realtime.publisher.pause_all();
        if timeout_at(deadline - grace / 4, self.realtime.settled()).await.is_err() {
            tracing::warn!("some received requests and events could not be finished in time");
        }
        self.realtime.publisher.shut_down_all();
        sleep(DRAIN.min(grace / 10)).await;
        // socketioxide closes sessions with a packet that stops python-socketio from reconnecting, so the sessions end
        // before it.
        self.realtime
            .publisher
            .close_websockets(&close_frame(websocket::SHUTDOWN), CLOSE.min(grace / 10))
            .await;
        self.realtime.publisher.end_all();
        let closing = deadline.min(Instant::now() + Duration::from_secs(1));
        if timeout_at(closing, self.io.close()).await.is_err() {
            tracing::debug!("some transports did not close by themselves");
        }
        // Requests that were received earlier have the rest of the grace period. Polling requests ended with their
        // sessions.
        if timeout_at(deadline, self.serving).await.is_err() {
            tracing::warn!("some requests were cut off");
        }
        self.context.mail.settled(deadline).await;
        drop(mailing.await);
        if let Err(error) = self.context.db.checkpoint().await {
            tracing::warn!(%error, "the write-ahead log stays: keep it together with the database file");
        }
        tracing::info!("stopped");
    }
}

/// Removes a trailing slash: `/user/` is handled as `/user`. Socket.IO and the API documents keep theirs.
fn trim_slash(mut request: Request) -> Request {
    let path = request.uri().path();
    let keeps =
        path.len() <= 1 || !path.ends_with('/') || path.contains("/socket.io") || path.starts_with("/docs");
    if keeps {
        return request;
    }
    let trimmed = path.trim_end_matches('/');
    let trimmed = if trimmed.is_empty() { "/" } else { trimmed };
    let target = match request.uri().query() {
        Some(query) => format!("{trimmed}?{query}"),
        None => trimmed.to_owned(),
    };
    if let Ok(uri) = target.parse() {
        *request.uri_mut() = uri;
    }
    request
}

/// Creates the data folder, readable by its owner only: it contains password hashes and the secret.
fn make_data_dir(settings: &Settings) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&settings.data_dir).map_err(|error| {
        Error::internal(format!("DATA_DIR: cannot use {}: {error}", settings.data_dir.display()))
    })
}

/// Returns the secret that signs tokens: the one from the settings, or one that is generated once and stored.
fn jwt_secret(settings: &Settings) -> Result<String> {
    if let Some(secret) = &settings.tokens.secret {
        return Ok(secret.clone());
    }
    let path = settings.data_dir.join("jwt.secret");
    if let Some(secret) = read_secret(&path)? {
        return Ok(secret);
    }
    let fresh = random::hex(32)?;
    // Write a draft and link it into place: if two processes start at the same time, one of them wins, with a complete
    // file.
    let draft = settings.data_dir.join(format!(".jwt.{}", random::hex(4)?));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .map_err(Error::internal)?;
    file.write_all(fresh.as_bytes()).and_then(|()| file.sync_all()).map_err(Error::internal)?;
    let linked = fs::hard_link(&draft, &path);
    fs::remove_file(&draft).map_err(Error::internal)?;
    match linked {
        Ok(()) => Ok(fresh),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            read_secret(&path)?.ok_or_else(|| Error::internal("the generated secret vanished"))
        }
        Err(error) => Err(Error::internal(error)),
    }
}

fn read_secret(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) if text.trim().len() >= 32 => Ok(Some(text.trim().to_owned())),
        Ok(_) => Err(Error::internal(format!("{} does not hold a secret; remove it", path.display()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::internal(error)),
    }
}

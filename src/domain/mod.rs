//! The business logic, in slices. A slice uses the database, the clock and the interfaces of the platform; it does
//! not know HTTP or sockets. Transports call [`dispatch`] or a slice's public functions.

pub mod accounts;
pub mod attachments;
pub mod audit;
pub mod chats;
pub mod contacts;
pub mod demo;
pub mod dispatch;
pub mod epoch;
pub mod events;
pub mod import;
pub mod links;
pub mod mail;
pub mod mentions;
pub mod message_view;
pub mod messages;
pub mod moderation;
pub mod photos;
pub mod presence;
pub mod profiles;
pub mod recovery;
pub mod search;
pub mod sessions;
pub mod sync;
pub mod users;
pub mod verification;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use tokio::task::JoinHandle;
use tracing::Instrument;

use crate::clock::Clock;
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::ids::{ChatId, ConnId, SessionId, UserId};
use crate::platform::background::Background;
use crate::platform::bus::{Batch, Bus};
use crate::platform::db::{Db, Outcome, OutcomeParts};
use crate::platform::images::{ImageWorker, Limits as ImageLimits};
use crate::platform::limits::RateLimits;
use crate::platform::passwords::Passwords;
use crate::platform::storage::Storage;
use crate::platform::telemetry::Telemetry;
use crate::platform::tokens::Tokens;
use crate::protocol::parse::Limits;
use crate::text::word_list::WordList;

/// Images that may wait for a worker.
const IMAGE_QUEUE: usize = 64;

/// Maximum size of a page on the wire, in bytes; below 1 MB including its envelope.
pub const PAGE_BYTES: usize = 950_000;

/// The user and session that act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The user.
    pub user_id: UserId,
    /// The session.
    pub session_id: SessionId,
}

/// The origin of a command.
#[derive(Clone)]
pub struct Caller {
    /// The user and session that act.
    pub actor: Actor,
    /// The socket that the command arrived on; its acknowledgement replaces some events.
    pub conn: Option<ConnId>,
    /// The only chat that the socket can reach, if it belongs to one chat.
    pub scope: Option<ChatId>,
    /// When the socket's token expires (milliseconds since the Unix epoch); `authenticate` renews it.
    pub expires_at: Option<Arc<AtomicI64>>,
}

impl Caller {
    /// Returns whether the caller may reach this chat.
    pub fn may_reach(&self, chat: ChatId) -> bool {
        self.scope.is_none_or(|scope| scope == chat)
    }

    /// Creates a caller without a socket.
    pub fn without_socket(actor: Actor) -> Self {
        Self { actor, conn: None, scope: None, expires_at: None }
    }
}

/// The services that the slices work with.
pub struct AppContext {
    /// The settings, as read at startup.
    pub settings: Arc<Settings>,
    /// The clock.
    pub clock: Clock,
    /// The database.
    pub db: Db,
    /// Loops that run as long as the server.
    pub background: Arc<Background>,
    /// The bus for events of committed changes.
    pub bus: Bus,
    /// Password hashing.
    pub passwords: Passwords,
    /// Token signing.
    pub tokens: Tokens,
    /// Image processing.
    pub images: ImageWorker,
    /// File storage.
    pub storage: Storage,
    /// The users who are connected.
    pub presence: Arc<presence::Presence>,
    /// The users who are typing, by chat.
    pub typing: Arc<chats::TypingNow>,
    /// Cache of the sessions that are valid.
    pub sessions: Arc<sessions::Live>,
    /// Rate limits.
    pub rates: RateLimits,
    /// Limits of payloads.
    pub limits: Limits,
    /// The epoch of the database, which identifies its history.
    pub epoch: String,
    /// Words that messages must not contain.
    pub forbidden_words: WordList,
    /// The writer of messages.
    pub writer: messages::Writer,
    /// The writer of read marks.
    pub read_marks: chats::ReadMarks,
    /// What the server has done lately.
    pub telemetry: Arc<Telemetry>,
    /// When the server was started, milliseconds since the Unix epoch.
    pub started_at: i64,
    /// Notified when files were released that may be removed.
    pub released_attachments: Arc<tokio::sync::Notify>,
    /// E-mail.
    pub mail: Arc<mail::Mail>,
}

impl AppContext {
    /// Opens all services that the settings name and starts the writer of messages.
    pub async fn open(
        settings: Arc<Settings>,
        clock: Clock,
        db: Db,
        bus: Bus,
        secret: &str,
    ) -> Result<Arc<Self>> {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        let image_limits =
            ImageLimits { max_bytes: settings.photos.max_bytes, max_pixels: settings.photos.max_pixels };
        let limits = Limits {
            max_message_bytes: settings.chats.max_message_bytes,
            max_group_members: settings.chats.max_group_members,
        };
        let epoch = epoch::current(&db).await?;
        let lines = settings.word_filter.iter().flat_map(|filter| &filter.lines);
        let forbidden_words = WordList::new(lines.map(String::as_str));
        let typing = Arc::<chats::TypingNow>::default();
        let background = Arc::<Background>::default();
        let telemetry = Arc::<Telemetry>::default();
        let options = messages::WriterOptions {
            typing: typing.clone(),
            base: settings.public_url.as_str().into(),
            window: settings.contacts.duplicate_window.as_millis() as i64,
            telemetry: telemetry.clone(),
        };
        let writer = messages::Writer::start(&background, db.clone(), bus.clone(), clock.clone(), options);
        let read_marks = chats::ReadMarks::start(&background, &db, &bus);
        Ok(Arc::new(Self {
            passwords: Passwords::new(settings.passwords.cost, threads)?,
            tokens: Tokens::new(secret, clock.clone()),
            images: ImageWorker::new(threads, IMAGE_QUEUE, image_limits)?,
            storage: Storage::open(&settings)?,
            presence: Arc::default(),
            typing,
            sessions: Arc::default(),
            rates: RateLimits::new(&settings.rates),
            limits,
            epoch,
            forbidden_words,
            writer,
            read_marks,
            telemetry,
            started_at: clock.now(),
            released_attachments: Arc::default(),
            mail: Arc::new(mail::Mail::open(&settings)?),
            background,
            settings,
            clock,
            db,
            bus,
        }))
    }

    /// Runs a named loop as long as the server runs; restarts it if it panics.
    pub fn keep<F>(
        self: &Arc<Self>,
        name: &'static str,
        run: impl Fn(Arc<Self>) -> F + Send + 'static,
    ) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send,
    {
        let context = self.clone();
        self.background.keep(name, move || run(context.clone()))
    }

    /// Returns what the URLs of attachments are made of now.
    pub fn links(&self) -> links::Links<'_> {
        links::Links { base: self.settings.public_url.as_str(), now: self.clock.now() }
    }

    /// Publishes the events of a committed change and returns its reply.
    pub async fn publish<T>(&self, outcome: Outcome<T>) -> T {
        let OutcomeParts { reply, events, order, .. } = outcome.into_parts();
        self.bus.publish(Batch { deliveries: events, ..Batch::default() }).await;
        drop(order);
        reply
    }
}

/// Runs work to its end even if the caller is cancelled, because nothing may stop between a commit and the
/// publication of its events.
pub async fn run_detached<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    tokio::spawn(work.in_current_span()).await.map_err(Error::internal)?
}

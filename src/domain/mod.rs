//! The rules, in slices. A slice knows the database, the clock and the seams of the platform; it knows no
//! HTTP and no sockets. Transports call [`dispatch`] or a slice's public functions.

pub mod accounts;
pub mod audit;
pub mod chats;
pub mod contacts;
pub mod demo;
pub mod dispatch;
pub mod epoch;
pub mod events;
pub mod import;
pub mod mail;
pub mod message_view;
pub mod messages;
pub mod moderation;
pub mod photos;
pub mod presence;
pub mod profiles;
pub mod recovery;
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
use crate::platform::tokens::Tokens;
use crate::protocol::parse::Limits;

/// Pictures that may wait for a worker.
const IMAGE_QUEUE: usize = 64;

/// Bytes of a page on the wire; below 1 MB with what surrounds it.
pub const PAGE_BYTES: usize = 950_000;

/// Who acts: a user in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Who.
    pub user_id: UserId,
    /// In which session.
    pub session_id: SessionId,
}

/// Where a command comes from.
#[derive(Clone)]
pub struct Caller {
    /// Who acts.
    pub actor: Actor,
    /// The socket it came on; its ack stands for some events.
    pub conn: Option<ConnId>,
    /// The only chat that socket is about, for a chat's own socket.
    pub scope: Option<ChatId>,
    /// When that socket's token ends (milliseconds), renewed by `authenticate`.
    pub expires_at: Option<Arc<AtomicI64>>,
}

impl Caller {
    /// Whether what is in this chat may be reached from where the command comes from.
    pub fn may_reach(&self, chat: ChatId) -> bool {
        self.scope.is_none_or(|scope| scope == chat)
    }

    /// A caller without a socket.
    pub fn without_socket(actor: Actor) -> Self {
        Self { actor, conn: None, scope: None, expires_at: None }
    }
}

/// Everything that the slices work with.
pub struct AppContext {
    /// As read at start.
    pub settings: Arc<Settings>,
    /// Time.
    pub clock: Clock,
    /// Database.
    pub db: Db,
    /// Loops that run as long as the server.
    pub background: Arc<Background>,
    /// Where committed events go.
    pub bus: Bus,
    /// Hashing.
    pub passwords: Passwords,
    /// Signing.
    pub tokens: Tokens,
    /// Pictures.
    pub images: ImageWorker,
    /// Files.
    pub storage: Storage,
    /// Who is connected.
    pub presence: Arc<presence::Presence>,
    /// Who is typing where.
    pub typing: Arc<chats::TypingNow>,
    /// Which sessions hold, from memory.
    pub sessions: Arc<sessions::Live>,
    /// How often.
    pub rates: RateLimits,
    /// Bounds of payloads.
    pub limits: Limits,
    /// Which history this database has.
    pub epoch: String,
    /// The one that writes messages.
    pub writer: messages::Writer,
    /// Mail.
    pub mail: Arc<mail::Mail>,
}

impl AppContext {
    /// Opens everything that the settings name, and starts the writer of messages.
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
        let typing = Arc::<chats::TypingNow>::default();
        let background = Arc::<Background>::default();
        let writer = messages::Writer::start(
            &background,
            db.clone(),
            bus.clone(),
            clock.clone(),
            typing.clone(),
            settings.contacts.duplicate_window.as_millis() as i64,
        );
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
            writer,
            mail: Arc::new(mail::Mail::open(&settings)?),
            background,
            settings,
            clock,
            db,
            bus,
        }))
    }

    /// Runs a loop of this name as long as the server; one that panics is begun again.
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

    /// Publishes what a commit announces, and gives its reply.
    pub async fn publish<T>(&self, outcome: Outcome<T>) -> T {
        let OutcomeParts { reply, events, order, .. } = outcome.into_parts();
        self.bus.publish(Batch { deliveries: events, ..Batch::default() }).await;
        drop(order);
        reply
    }
}

/// Runs work to its end even if the caller goes away: between a commit and its publishing nothing may stop.
pub async fn run_detached<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    tokio::spawn(work.in_current_span()).await.map_err(Error::internal)?
}

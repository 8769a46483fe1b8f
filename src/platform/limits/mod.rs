//! Rate limits: token buckets, a throttle for failed logins, and limits on concurrent use by one address. This module
//! counts and refuses; the layers above decide which key a request counts for.
//!
//! The buckets are stored in this process (`local`). With `RATE_LIMIT=off` nothing is counted or refused.

mod concurrency;
mod key;
mod local;
mod login_throttle;
mod turns;

pub use concurrency::{ConcurrencyLimit, ConcurrencyPermit};
pub use key::Key;
pub use login_throttle::{Attempt, LoginThrottle};
pub use turns::{Turn, Turns};

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use self::local::LocalStore;
use crate::config::Rates;
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::platform::background::Background;

/// Large bodies that one address may send at the same time, so that one client cannot use the whole capacity.
const LARGE_BODIES_PER_ADDRESS: usize = 4;

/// Reads of one user that are processed at the same time.
const READS_PER_USER: usize = 8;

/// Files that one user may upload at the same time.
const UPLOADS_PER_USER: usize = 4;

/// The kinds of token buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bucket {
    /// Logins, per address and per account.
    Login,
    /// Registrations, per address.
    Register,
    /// Mails caused by requests, per address and per account.
    Mail,
    /// Notices to users about their account. As many as mails, but requests for mails cannot use them up.
    Notice,
    /// Mails caused by registrations, per account. As many as mails, but other people's requests for mails cannot use
    /// them up.
    Welcome,
    /// Token refreshes, per user.
    Refresh,
    /// `send_message`, per user.
    Send,
    /// All other events, and REST requests that change something, per user.
    Event,
    /// Photos and files, per user, or per address before login.
    Upload,
    /// REST requests that only read, per user.
    Read,
    /// New connections, per user.
    Connect,
    /// Users added to chats, per acting user.
    Member,
    /// Changes of a chat that send the whole chat to all members, per user.
    ChatChange,
}

impl Bucket {
    /// All buckets, in the order of their numbers.
    pub const ALL: [Self; 13] = [
        Self::Login,
        Self::Register,
        Self::Mail,
        Self::Notice,
        Self::Welcome,
        Self::Refresh,
        Self::Send,
        Self::Event,
        Self::Upload,
        Self::Read,
        Self::Connect,
        Self::Member,
        Self::ChatChange,
    ];

    fn told(self) -> &'static str {
        match self {
            Self::Login => "too many logins, try again later",
            Self::Register => "too many registrations from this address, try again later",
            Self::Mail | Self::Notice | Self::Welcome => "too many mails, try again later",
            Self::Refresh => "too many exchanges of tokens, slow down",
            Self::Send => "too many messages, slow down",
            Self::Event => "too many events, slow down",
            Self::Upload => "too many uploads, slow down",
            Self::Read => "too many requests, slow down",
            Self::Connect => "too many new connections, slow down",
            Self::Member => "too many users added to chats, slow down",
            Self::ChatChange => "too many changes of chats, slow down",
        }
    }
}

/// All rate limits; see the module documentation.
pub struct RateLimits {
    /// `None` if the limits are off.
    store: Option<Arc<LocalStore>>,
    /// Failed logins.
    pub failures: LoginThrottle,
    /// Unauthenticated sockets.
    pub pending: ConcurrencyLimit,
    /// Large bodies in transfer.
    pub large_bodies: ConcurrencyLimit,
    /// Connections, by user.
    pub user_sockets: ConcurrencyLimit,
    /// Connections, by address.
    pub address_sockets: ConcurrencyLimit,
    /// Reads, by user.
    pub reads: Turns,
    /// Uploads of files at the same time per user.
    pub uploads: Turns,
    /// Creation of large groups, by user.
    pub large_groups: Turns,
}

impl RateLimits {
    /// Creates the limits from the settings.
    pub fn new(rates: &Rates) -> Self {
        Self {
            store: rates.on.then(|| Arc::new(LocalStore::new(rates))),
            failures: LoginThrottle::new(rates.on),
            pending: ConcurrencyLimit::new(
                rates.on.then_some(rates.pending_sockets),
                "too many sockets of this address wait to authenticate, try again in a moment",
            ),
            large_bodies: ConcurrencyLimit::new(
                rates.on.then_some(LARGE_BODIES_PER_ADDRESS),
                "too many large bodies come from this address at once, try again in a moment",
            ),
            user_sockets: ConcurrencyLimit::new(
                rates.on.then_some(rates.user_sockets),
                "you have too many connections, close some of them",
            ),
            address_sockets: ConcurrencyLimit::new(
                rates.on.then_some(rates.address_sockets),
                "too many connections from this address",
            ),
            uploads: Turns::new(
                rates.on.then_some(UPLOADS_PER_USER),
                "too many uploads at once, wait until one is done",
            ),
            reads: Turns::new(rates.on.then_some(READS_PER_USER), "too many requests at once, slow down"),
            large_groups: Turns::new(
                rates.on.then_some(1),
                "too many large groups at once, try again in a moment",
            ),
        }
    }

    /// Admits one more connection of a user, and returns its permits for the user and the address.
    pub async fn admit(&self, user: UserId, address: Option<IpAddr>) -> Result<[ConcurrencyPermit; 2]> {
        self.take(Bucket::Connect, Key::user(user)).await?;
        Ok([self.user_sockets.enter_as(Key::user(user))?, self.address_sockets.enter(address)?])
    }

    /// Removes full buckets every minute, so that many unknown addresses do not use up memory.
    pub fn watch(&self, background: &Arc<Background>) {
        let Some(store) = self.store.clone() else { return };
        background.keep("limits", move || {
            let store = store.clone();
            async move {
                let mut minute = tokio::time::interval(Duration::from_mins(1));
                loop {
                    minute.tick().await;
                    store.sweep();
                }
            }
        });
    }

    /// Takes one token from the bucket of `key`. Fails with `rate_limited` if there is none.
    pub async fn take(&self, bucket: Bucket, key: Key) -> Result<()> {
        self.take_many(bucket, key, 1).await
    }

    /// Takes this many tokens at once, or none.
    #[expect(clippy::unused_async, reason = "a store that several nodes share answers over the network")]
    pub async fn take_many(&self, bucket: Bucket, key: Key, tokens: u32) -> Result<()> {
        let Some(store) = &self.store else { return Ok(()) };
        match store.take(bucket, key, tokens) {
            Ok(()) => Ok(()),
            Err(wait) => {
                let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
                tracing::debug!(?bucket, ms, "a limit holds");
                Err(Error::rate_limited(bucket.told(), ms))
            }
        }
    }

    /// Takes tokens for a mail that is requested (forgotten password, repeated confirmation) from `address` for
    /// `account`, as it was entered. Call it before looking up the account, so that the reply does not reveal whether
    /// it exists.
    pub async fn take_mail(&self, address: Option<IpAddr>, account: &str) -> Result<()> {
        self.take(Bucket::Mail, Key::address(address)).await?;
        self.take(Bucket::Mail, Key::account(account)).await
    }

    /// Checks whether a password may be tried for `account`, as it was entered. Call it before hashing, and pass the
    /// result to [`LoginThrottle::settle`]. `now` is in milliseconds of the clock's uptime.
    pub async fn begin_login(&self, address: Option<IpAddr>, account: &str, now: i64) -> Result<Attempt> {
        let (network, account) = (Key::address(address), Key::account(account));
        self.take(Bucket::Login, network).await?;
        let attempt = self.failures.begin(account, network, now)?;
        // A client at an address from which the account has logged in before does not share the account's tokens with
        // others.
        let taken = self.take(Bucket::Login, attempt.counted_as()).await;
        taken.inspect_err(|_| self.failures.give_back(attempt))?;
        Ok(attempt)
    }
}

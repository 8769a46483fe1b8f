//! Rate limits: token buckets, a throttle for failed logins, and limits on what one address has open at the same time.
//! This module counts and refuses; the layers above decide what is counted against whom.
//!
//! The buckets are kept in this process (`local`). With `RATE_LIMIT=off` nothing is counted and nothing is refused.

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

/// Large bodies that one address may send at the same time: they take turns, and one client shall not hold all.
const LARGE_BODIES_PER_ADDRESS: usize = 4;

/// Reads of one user that are answered at the same time.
const READS_PER_USER: usize = 8;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bucket {
    /// Logins, per address and per account.
    Login,
    /// Registrations, per address.
    Register,
    /// Mails that somebody causes, per address and per account.
    Mail,
    /// Notices to a user of what happens to their account; as many as mails, but nobody can use them up by
    /// asking for mails.
    Notice,
    /// Mails that registrations cause, per account; as many as mails, but nobody can use them up for somebody else by
    /// asking for mails.
    Welcome,
    /// Exchanges of tokens, per user.
    Refresh,
    /// `send_message`, per user.
    Send,
    /// All other events, and REST requests that change something, per user.
    Event,
    /// Photos and files, per user, or per address before login.
    Upload,
    /// REST requests that only read, per user.
    Read,
    /// Connections that are made, per user.
    Connect,
    /// People who are put into chats, per user who does it.
    Member,
    /// Changes of a chat that all of its members are told whole, per user.
    ChatChange,
}

impl Bucket {
    /// Every one, in the order of their numbers.
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

/// See the file.
pub struct RateLimits {
    /// Nothing where the limits are off.
    store: Option<Arc<LocalStore>>,
    /// Failed logins.
    pub failures: LoginThrottle,
    /// Sockets that have not authenticated.
    pub pending: ConcurrencyLimit,
    /// Large bodies on their way.
    pub large_bodies: ConcurrencyLimit,
    /// Connections, by user.
    pub user_sockets: ConcurrencyLimit,
    /// Connections, by address.
    pub address_sockets: ConcurrencyLimit,
    /// Reads, by user.
    pub reads: Turns,
    /// Groups of many people that are being made, by user.
    pub large_groups: Turns,
}

impl RateLimits {
    /// As the settings say.
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
            reads: Turns::new(rates.on.then_some(READS_PER_USER), "too many requests at once, slow down"),
            large_groups: Turns::new(
                rates.on.then_some(1),
                "too many large groups at once, try again in a moment",
            ),
        }
    }

    /// A place for one more connection of a user: of theirs, and of their address.
    pub async fn admit(&self, user: UserId, address: Option<IpAddr>) -> Result<[ConcurrencyPermit; 2]> {
        self.take(Bucket::Connect, Key::user(user)).await?;
        Ok([self.user_sockets.enter_as(Key::user(user))?, self.address_sockets.enter(address)?])
    }

    /// Forgets full buckets every minute, so that many strangers leave nothing behind.
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

    /// Takes one token from the bucket of `key`; `rate_limited` where there is none.
    pub async fn take(&self, bucket: Bucket, key: Key) -> Result<()> {
        self.take_many(bucket, key, 1).await
    }

    /// Takes so many tokens at once, or none.
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

    /// A mail is about to be caused (password forgotten, confirmation once more) from `address`, for the
    /// account that `account` names, as it was typed. To be asked before looking whether there is one, so that
    /// the answer tells nothing.
    pub async fn take_mail(&self, address: Option<IpAddr>, account: &str) -> Result<()> {
        self.take(Bucket::Mail, Key::address(address)).await?;
        self.take(Bucket::Mail, Key::account(account)).await
    }

    /// Whether somebody may try a password for the account that `account` names, as it was typed; to be asked
    /// before hashing. What became of it goes to [`LoginThrottle::settle`]. `now` in milliseconds.
    pub async fn begin_login(&self, address: Option<IpAddr>, account: &str, now: i64) -> Result<Attempt> {
        let (network, account) = (Key::address(address), Key::account(account));
        self.take(Bucket::Login, network).await?;
        let attempt = self.failures.begin(account, network, now)?;
        // Whoever has been let in from here before does not share the account's tokens with strangers.
        let taken = self.take(Bucket::Login, attempt.counted_as()).await;
        taken.inspect_err(|_| self.failures.give_back(attempt))?;
        Ok(attempt)
    }
}

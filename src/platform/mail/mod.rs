//! Mail leaves through here: to an SMTP peer, or, where none is set, into the log. One mail at a time, whole,
//! and what became of it; when it is tried again is not decided here.

mod log;
mod message;
mod smtp;

pub use message::{Draft, compose, is_address};
pub use smtp::CONVERSATION;

use log::Log;
use smtp::Peer;

use crate::config::{Environment, Settings};
use crate::error::Result;

/// A mail that is ready to go.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The address.
    pub recipient: String,
    /// Which kind of mail it is, for the log.
    pub template: &'static str,
    /// The link in it, for the log.
    pub link: Option<String>,
    /// The whole message (RFC 5322).
    pub content: String,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendStatus {
    /// The peer took it.
    Sent,
    /// It was logged: there is no peer.
    Logged,
    /// Not now; why.
    Later(String),
    /// Not ever; why.
    Never(String),
}

/// The two ways out.
pub enum Mailer {
    /// An SMTP peer.
    Smtp(Box<Peer>),
    /// The log.
    Log(Log),
}

impl Mailer {
    /// What the settings name.
    pub fn open(settings: &Settings) -> Result<Self> {
        Ok(match &settings.mail.smtp {
            Some(smtp) => {
                let mut smtp = smtp.clone();
                smtp.hello = smtp.hello.or_else(|| own_name(settings.public_url.as_str()));
                Self::Smtp(Box::new(Peer::new(smtp, &settings.mail.from)?))
            }
            None => Self::Log(Log { with_link: settings.environment != Environment::Prod }),
        })
    }

    /// Tries once. It is over within [`smtp::CONVERSATION`].
    pub async fn send(&self, mail: &Outgoing) -> SendStatus {
        match self {
            Self::Smtp(peer) => peer.send(mail).await,
            Self::Log(log) => log.send(mail),
        }
    }
}

/// What we call ourselves at the peer (RFC 5321, section 4.1.4): the name that clients reach us by, if it is one.
fn own_name(public_url: &str) -> Option<String> {
    match url::Url::parse(public_url).ok()?.host()? {
        url::Host::Domain(name) if name.contains('.') => Some(name.to_owned()),
        _ => None,
    }
}

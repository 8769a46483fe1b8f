//! Sends mail to an SMTP server, or to the log if none is configured. Each call sends one mail and returns the result;
//! callers decide about retries.

mod log;
mod message;
mod smtp;

pub use message::{Draft, compose, is_address};
pub use smtp::CONVERSATION;

use log::Log;
use smtp::Peer;

use crate::config::{Environment, Settings};
use crate::error::Result;

/// A mail that is ready to be sent.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The recipient's address.
    pub recipient: String,
    /// The kind of mail, for the log.
    pub template: &'static str,
    /// The link in it, for the log.
    pub link: Option<String>,
    /// The whole message (RFC 5322).
    pub content: String,
}

/// The result of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendStatus {
    /// The mail server accepted it.
    Sent,
    /// It was logged because no mail server is configured.
    Logged,
    /// It failed temporarily, for this reason.
    Later(String),
    /// It failed permanently, for this reason.
    Never(String),
}

/// How mail is sent.
pub enum Mailer {
    /// To an SMTP server.
    Smtp(Box<Peer>),
    /// To the log.
    Log(Log),
}

impl Mailer {
    /// Creates the mailer that the settings configure.
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

    /// Tries to send a mail once. Takes at most [`smtp::CONVERSATION`].
    pub async fn send(&self, mail: &Outgoing) -> SendStatus {
        match self {
            Self::Smtp(peer) => peer.send(mail).await,
            Self::Log(log) => log.send(mail),
        }
    }
}

/// Returns the name to send in EHLO (RFC 5321, section 4.1.4): the host of the public URL, if it is a domain name.
fn own_name(public_url: &str) -> Option<String> {
    match url::Url::parse(public_url).ok()?.host()? {
        url::Host::Domain(name) if name.contains('.') => Some(name.to_owned()),
        _ => None,
    }
}

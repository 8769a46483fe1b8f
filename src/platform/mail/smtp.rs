//! Sends one mail per SMTP session (RFC 5321), command by command over lettre's connection, because the step at which
//! it fails matters:
//!
//! - Before the final dot is sent, the server cannot have accepted the mail: it is retried.
//! - After the final dot is sent and before the 250 is read, the result is unknown (RFC 1047; RFC 5321, section 6.1,
//!   tells servers to keep that time short). The mail is retried with the same `Message-ID`, by which servers and
//!   mailboxes recognise a duplicate.
//! - After the 250 is read, the mail is sent, whatever happens to the connection: the reply to QUIT is not awaited.
//!
//! A rejection (5xx) of the sender, the recipient or the message is final. An earlier one (greeting, TLS, login)
//! concerns this server and not the mail: the mail waits until an operator has fixed it.

use std::time::Duration;

use lettre::Address;
use lettre::message::Mailbox;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Quit, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use tokio::time::timeout;

use super::message::address;
use super::{Outgoing, SendStatus};
use crate::config::{Security, Smtp};
use crate::error::{Error, Result};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How long the whole session may take, including connecting.
pub const CONVERSATION: Duration = Duration::from_mins(1);

/// How long the reply to QUIT may take; no caller waits for it.
const GOODBYE: Duration = Duration::from_secs(5);

/// Rejections of MAIL that concern the login (RFC 4954, section 6) and not the mail.
const ABOUT_LOGIN: [u16; 4] = [530, 534, 535, 538];

/// The mail server.
pub struct Peer {
    smtp: Smtp,
    tls: Option<TlsParameters>,
    hello: ClientId,
    sender: Address,
}

/// Why an attempt failed.
enum Failure {
    /// The session failed before the mail was offered.
    Early(SmtpError),
    /// The server did not accept the mail.
    Late(SmtpError),
    /// The server cannot accept this mail at all.
    Unfit(&'static str),
}

impl Peer {
    /// Checks the settings as far as possible without connecting. Certificates are verified against the system's roots
    /// (`SSL_CERT_FILE` names others).
    pub fn new(smtp: Smtp, from: &str) -> Result<Self> {
        let from: Mailbox = from.parse().map_err(Error::internal)?;
        let tls = match smtp.security {
            Security::Plain => None,
            _ => Some(TlsParameters::new(smtp.host.clone()).map_err(Error::internal)?),
        };
        let hello = smtp.hello.clone().map_or_else(ClientId::default, ClientId::Domain);
        Ok(Self { smtp, tls, hello, sender: from.email })
    }

    /// Tries to send a mail once.
    pub async fn send(&self, mail: &Outgoing) -> SendStatus {
        let Some(recipient) = address(&mail.recipient) else {
            return SendStatus::Never("not a valid mail address".into());
        };
        match timeout(CONVERSATION, self.converse(recipient, mail.content.as_bytes())).await {
            Ok(Ok(())) => SendStatus::Sent,
            Ok(Err(Failure::Late(error))) if is_final(&error) => SendStatus::Never(error.to_string()),
            Ok(Err(Failure::Early(error) | Failure::Late(error))) => SendStatus::Later(error.to_string()),
            Ok(Err(Failure::Unfit(why))) => SendStatus::Never(why.into()),
            Err(_) => SendStatus::Later(format!("not done within {} s", CONVERSATION.as_secs())),
        }
    }

    async fn converse(&self, recipient: Address, content: &[u8]) -> std::result::Result<(), Failure> {
        let mut peer = self.connect().await.map_err(Failure::Early)?;
        let told = self.hand_over(&mut peer, recipient, content).await;
        tokio::spawn(async move {
            // The reply to QUIT changes nothing.
            drop(timeout(GOODBYE, peer.command(Quit)).await);
        });
        told
    }

    async fn connect(&self) -> std::result::Result<AsyncSmtpConnection, SmtpError> {
        let wrapped = self.tls.clone().filter(|_| self.smtp.security == Security::Wrapped);
        let place = (self.smtp.host.as_str(), self.smtp.port);
        let mut peer =
            AsyncSmtpConnection::connect_tokio1(place, Some(CONNECT), &self.hello, wrapped, None).await?;
        let upgrade = match self.smtp.security {
            Security::Required => true,
            Security::Opportunistic => peer.can_starttls(),
            Security::Plain | Security::Wrapped => false,
        };
        if let Some(tls) = self.tls.clone().filter(|_| upgrade) {
            peer.starttls(tls, &self.hello).await?;
        }
        if let Some((user, password)) = self.smtp.credentials.clone() {
            let credentials = Credentials::new(user, password);
            peer.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await?;
        }
        Ok(peer)
    }

    async fn hand_over(
        &self,
        peer: &mut AsyncSmtpConnection,
        recipient: Address,
        content: &[u8],
    ) -> std::result::Result<(), Failure> {
        let offers = |extension| peer.server_info().supports_feature(extension);
        let mut parameters = Vec::new();
        let wide = |address: &Address| !AsRef::<str>::as_ref(address).is_ascii();
        if wide(&recipient) || wide(&self.sender) {
            if !offers(Extension::SmtpUtfEight) {
                return Err(Failure::Unfit("the mail server accepts ASCII addresses only (no SMTPUTF8)"));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !content.is_ascii() {
            if !offers(Extension::EightBitMime) {
                return Err(Failure::Unfit("the mail server accepts ASCII messages only (no 8BITMIME)"));
            }
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        peer.command(Mail::new(Some(self.sender.clone()), parameters)).await.map_err(Failure::Late)?;
        peer.command(Rcpt::new(recipient, Vec::new())).await.map_err(Failure::Late)?;
        peer.command(Data).await.map_err(Failure::Late)?;
        peer.message(content).await.map_err(Failure::Late)?;
        Ok(())
    }
}

fn is_final(error: &SmtpError) -> bool {
    let about_login = error.status().is_some_and(|code| ABOUT_LOGIN.contains(&u16::from(code)));
    error.is_permanent() && !about_login
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_says_nothing_costs_a_bounded_time() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("smtp://{}", silent.local_addr().expect("an address"));
        let peer = Peer::new(Smtp::parse(&url).expect("a URL"), "chat@example.org").expect("a peer");
        let mail = Outgoing {
            recipient: "a@example.org".into(),
            template: "test",
            link: None,
            content: "Subject: x\r\n\r\nx".into(),
        };
        let started = tokio::time::Instant::now();
        let status = peer.send(&mail).await;
        assert!(matches!(&status, SendStatus::Later(_)), "{status:?}");
        assert!(started.elapsed() <= CONVERSATION + Duration::from_secs(1));
        let nobody = Outgoing { recipient: "a@example.org\r\nRCPT TO:<b@example.org>".into(), ..mail };
        assert!(
            matches!(peer.send(&nobody).await, SendStatus::Never(_)),
            "nothing gets between the commands"
        );
    }
}

//! Settings of mail.

use super::reader::{BadSetting, Reader};
use super::smtp::Smtp;

/// Whether e-mail addresses must be confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// No confirmation mails are sent.
    Off,
    /// A confirmation mail is sent; nothing depends on it.
    Optional,
    /// Users cannot log in before they have confirmed their address.
    Required,
}

/// How mail is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// See [`Verification`].
    pub verification: Verification,
    /// The mail server; without one, mails are only logged.
    pub smtp: Option<Smtp>,
    /// The sender's address.
    pub from: String,
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mail({:?}, {:?}, {})", self.verification, self.smtp, self.from)
    }
}

pub(super) fn read(r: &mut Reader<'_>) -> Result<Mail, BadSetting> {
    let verification = r.read(
        "EMAIL_VERIFICATION",
        "off",
        "whether e-mail addresses must be confirmed: off, optional, or required before the first login",
        "off, optional or required",
        |value| match value {
            "off" => Some(Verification::Off),
            "optional" => Some(Verification::Optional),
            "required" => Some(Verification::Required),
            _ => None,
        },
    )?;
    let smtp = r.read(
        "SMTP_URL",
        "",
        "smtps://user:password@host, or smtp://host:587?tls=required; without it mails are only logged",
        "smtps://user:password@host, smtp://host?tls=required, smtp://host?tls=opportunistic or smtp://host",
        |value| if value.is_empty() { Some(None) } else { Smtp::parse(value).map(Some) },
    )?;
    let from = r.read(
        "MAIL_FROM",
        "",
        "sender of mails, such as chat@example.org or Mango Chat <chat@example.org>; required with SMTP_URL",
        "an e-mail address, optionally with a name before it",
        |value| {
            (value.is_empty() || value.parse::<lettre::message::Mailbox>().is_ok()).then(|| value.to_owned())
        },
    )?;
    if smtp.is_some() && from.is_empty() {
        return Err(BadSetting("MAIL_FROM: is not set; SMTP_URL requires it".into()));
    }
    Ok(Mail { verification, smtp, from })
}

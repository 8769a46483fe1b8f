//! Settings about people: mail, contacts and how many chats one may have.

use std::time::Duration;

use super::reader::{BadSetting, Reader};
use super::smtp::Smtp;

/// Whether an account's e-mail has to be confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// No mail is sent for it.
    Off,
    /// A mail is sent; nothing depends on its coming back.
    Optional,
    /// Nobody logs in before it came back.
    Required,
}

/// How mail leaves.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// See [`Verification`].
    pub verification: Verification,
    /// The peer that takes mail; none: mails are only logged.
    pub smtp: Option<Smtp>,
    /// The sender's address.
    pub from: String,
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mail({:?}, {:?}, {})", self.verification, self.smtp, self.from)
    }
}

/// Who may talk to whom, and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contacts {
    /// A direct chat by somebody whom the other does not follow waits for approval.
    pub approval: bool,
    /// Members of a group and its creator follow each other.
    pub mutual: bool,
    /// Name of a group that everybody is a member of.
    pub lobby_chat: Option<String>,
    /// The same text by the same user in the same chat is refused within this time.
    pub duplicate_window: Duration,
    /// Chats that one may be in.
    pub max_chats: usize,
    /// Groups that one may have made.
    pub max_groups: usize,
}

/// Reads what is about mail.
pub fn read_mail(r: &mut Reader<'_>) -> Result<Mail, BadSetting> {
    let verification = r.read(
        "EMAIL_VERIFICATION",
        "off",
        "whether an e-mail has to be confirmed; required: before the first login",
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
        "smtps://user:password@host, or smtp://host:587?tls=required; empty: mails are only logged",
        "smtps://user:password@host, smtp://host?tls=required, smtp://host?tls=opportunistic or smtp://host",
        |value| if value.is_empty() { Some(None) } else { Smtp::parse(value).map(Some) },
    )?;
    let from = r.read(
        "MAIL_FROM",
        "",
        "sender of mails, as chat@example.org or Mango Chat <chat@example.org>; needed with SMTP_URL",
        "an e-mail address, with a name before it if wished",
        |value| {
            (value.is_empty() || value.parse::<lettre::message::Mailbox>().is_ok()).then(|| value.to_owned())
        },
    )?;
    if smtp.is_some() && from.is_empty() {
        return Err(BadSetting("MAIL_FROM: got nothing, SMTP_URL needs it".into()));
    }
    Ok(Mail { verification, smtp, from })
}

/// Reads who may talk to whom.
pub fn read_contacts(r: &mut Reader<'_>) -> Result<Contacts, BadSetting> {
    let (approval, mutual) = r.read(
        "CONTACT_POLICY",
        "",
        "list of approval (direct chats of strangers wait) and mutual (groups are for people who follow each other); empty is open",
        "a comma list of approval and mutual",
        |value| {
            let words: Vec<&str> = value.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
            let known = words.iter().all(|word| matches!(*word, "approval" | "mutual"));
            known.then(|| (words.contains(&"approval"), words.contains(&"mutual")))
        },
    )?;
    let lobby_chat = r.read(
        "LOBBY_CHAT",
        "",
        "name of a group that everybody is a member of; empty: there is none",
        "1 to 100 characters",
        |value| (value.chars().count() <= 100).then(|| Some(value.to_owned()).filter(|it| !it.is_empty())),
    )?;
    let duplicate_window = r
        .number(
            "DUPLICATE_WINDOW_MS",
            0,
            "the same text by the same user in the same chat is refused within, milliseconds; 0 takes all",
            0,
            86_400_000,
        )
        .map(Duration::from_millis)?;
    let max_chats = r.number("MAX_CHATS_PER_USER", 5_000, "chats that one may be in", 1, 20_000)?;
    let max_groups = r.number("MAX_GROUPS_PER_USER", 1_000, "groups that one may have made", 1, 20_000)?;
    Ok(Contacts { approval, mutual, lobby_chat, duplicate_window, max_chats, max_groups })
}

//! Builds messages (RFC 5322) from an HTML and a text part. The only user input in the headers is the address, which
//! the library's own parser has checked.

use std::time::{Duration, UNIX_EPOCH};

use lettre::message::{Mailbox, Message, MultiPart, header};
use lettre::{Address, message::header::HeaderName};

use crate::error::{Error, Result};
use crate::random;

/// The sender if none is configured: such a mail is only logged.
const NOBODY: &str = "mango-chat@localhost";

/// The parts of a message.
pub struct Draft<'a> {
    /// The sender from `MAIL_FROM`; may be empty.
    pub from: &'a str,
    /// The recipient's address.
    pub to: &'a str,
    /// One line.
    pub subject: &'a str,
    /// The plain text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
    /// Time of creation in milliseconds.
    pub date: i64,
    /// Language of subject and text, such as `en`.
    pub language: &'static str,
}

/// Returns whether mail can be sent to the entered address. Registration and sending use the same check; it does not
/// show that mail arrives. The host must be a name, because mail servers may refuse an IP address.
pub fn is_address(text: &str) -> bool {
    address(text).is_some()
}

/// Parses an address into its wire form: a host with characters beyond ASCII is converted to ASCII (RFC 5890), so that
/// servers without SMTPUTF8 accept it.
pub(super) fn address(text: &str) -> Option<Address> {
    let (_, host) = text.split_once('@')?;
    let last = host.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit());
    let strange = |c: char| c.is_whitespace() || c.is_control() || "<>,;\"()[]\\".contains(c);
    if text.len() > 254 || !host.contains('.') || numeric || text.chars().any(strange) {
        return None;
    }
    let address: Address = text.parse().ok()?;
    if address.domain().is_ascii() {
        return Some(address);
    }
    match url::Host::parse(address.domain()).ok()? {
        url::Host::Domain(host) => Address::new(address.user(), host).ok(),
        _ => None,
    }
}

/// Builds the message and returns it with its `Message-ID`.
pub fn compose(draft: Draft<'_>) -> Result<(String, String)> {
    let from = if draft.from.is_empty() { NOBODY } else { draft.from };
    let from: Mailbox = from.parse().map_err(Error::internal)?;
    let to = address(draft.to).ok_or_else(|| Error::internal("not a valid mail address"))?;
    let id = format!("<{}@{}>", random::hex(16)?, from.email.domain());
    // The library encodes header values; line breaks are removed before.
    let subject: String = draft.subject.chars().filter(|c| !c.is_control()).collect();
    let date = UNIX_EPOCH + Duration::from_millis(draft.date.unsigned_abs());
    let message = Message::builder()
        .from(from)
        .to(to.into())
        .subject(subject)
        .date(date)
        .message_id(Some(id.clone()))
        // Ask for no automatic replies, such as out-of-office messages (RFC 3834).
        .raw_header(plain("Auto-Submitted", "auto-generated"))
        .raw_header(plain("Content-Language", draft.language))
        .multipart(MultiPart::alternative_plain_html(draft.text, draft.html))
        .map_err(Error::internal)?;
    let text = String::from_utf8(message.formatted()).map_err(Error::internal)?;
    Ok((text, id))
}

fn plain(name: &'static str, value: &str) -> header::HeaderValue {
    header::HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft<'a>(to: &'a str, subject: &'a str) -> Draft<'a> {
        Draft {
            from: "Манго <chat@example.org>",
            to,
            subject,
            text: "Hello\n.\nПривет".into(),
            html: "<p>Hello</p>".into(),
            date: 1_795_000_000_000,
            language: "en",
        }
    }

    #[test]
    fn a_line_break_never_makes_a_header() {
        let sly = "Hi\r\nBcc: victim@example.org\r\n\r\nbody";
        let (text, _) = compose(draft("a@example.org", sly)).expect("composed");
        let headers = text.split("\r\n\r\n").next().expect("headers");
        assert!(!headers.lines().any(|line| line.starts_with("Bcc")), "{headers}");
        for to in [
            "a@example.org\r\nBcc: victim@example.org",
            "a@example.org\nX: y",
            "a\r@example.org",
            "a@example.org, b@example.org",
            "<a@example.org>",
            "A <a@example.org>",
            "a@example.org\0",
            "",
            "a",
            "a@",
            "@b.c",
        ] {
            assert!(!is_address(to), "{to:?}");
            assert!(compose(draft(to, "Hi")).is_err(), "{to:?}");
        }
    }

    #[test]
    fn a_message_is_whole_and_ascii() {
        let (text, id) = compose(draft("кто@bücher.example", "Ключ 🥭 от входа")).expect("composed");
        assert!(text.contains(&format!("Message-ID: {id}\r\n")) && id.ends_with("@example.org>"), "{text}");
        assert!(text.contains("@xn--bcher-kva.example"), "{text}");
        let (text, _) = compose(draft("a@bücher.example", "Ключ 🥭 от входа")).expect("composed");
        assert!(text.is_ascii(), "{text}");
        assert!(text.contains("Date: Wed, 18 Nov 2026 11:06:40 +0000"), "{text}");
        assert!(
            text.contains("multipart/alternative") && text.contains("Auto-Submitted: auto-generated"),
            "{text}"
        );
        let (text, _) = compose(Draft { from: "", ..draft("a@example.org", "Hi") }).expect("composed");
        assert!(text.contains("From: mango-chat@localhost"), "{text}");
    }

    #[test]
    fn emails_have_two_sides_and_nothing_that_breaks_a_header() {
        for good in ["a.b+c@example.org", "o'neill@mail.example.org", "кто@пример.рф"] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "",
            "a",
            "@b.c",
            "a@b",
            "a@b@c.d",
            "a b@c.d",
            "a\r\n@b.c",
            "<a@b.c>",
            "a@.c",
            "a@b.c.",
            "a..b@c.d",
            ".a@c.d",
            "a@127.0.0.1",
            "a@[127.0.0.1]",
            "a@b.c\r\nBcc: d@e.f",
            "\"a b\"@c.d",
            "a@-b.c",
            "a\u{0}@b.c",
            "a\u{85}@b.c",
            &format!("{}@b.c", "a".repeat(65)),
        ] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}

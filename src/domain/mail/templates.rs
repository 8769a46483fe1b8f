//! The content of mails: templates in `assets/mail/{language}/`, one for text (its first line is the subject) and one
//! for HTML. The template engine escapes the HTML; the text needs no escaping.
//!
//! Mails to an unconfirmed address contain nothing that a user typed (no name, no greeting): otherwise an attacker
//! could use the server to send arbitrary text to any address.

use entity::enums::MailTemplate;
use entity::user;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use rust_embed::RustEmbed;

use super::Language;
use super::tokens::Issued;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::platform::mail::{Draft, compose};

#[derive(RustEmbed)]
#[folder = "assets/mail"]
#[include = "*.txt"]
#[include = "*.html"]
struct Sources;

/// Returns the page that a mail's link leads to.
fn page_of(template: MailTemplate) -> Option<&'static str> {
    match template {
        MailTemplate::VerifyEmail | MailTemplate::EmailChange => Some("verify"),
        MailTemplate::ResetPassword => Some("reset"),
        MailTemplate::PasswordChanged | MailTemplate::EmailChanged | MailTemplate::NewDevice => None,
    }
}

/// A mail to render.
pub struct Email<'a> {
    /// The template.
    pub template: MailTemplate,
    /// The user whose account the mail is about.
    pub user: &'a user::Model,
    /// The recipient's address.
    pub to: &'a str,
    /// The token in the mail's link.
    pub token: Option<&'a Issued>,
    /// Further values for the template.
    pub facts: Value,
}

impl Email<'_> {
    /// Returns the link, with the token behind `#`: browsers send the fragment to no server, so it appears in no log.
    pub(super) fn link(&self, public_url: &str) -> Option<String> {
        let (page, token) = (page_of(self.template)?, self.token?);
        Some(format!("{public_url}/account/{page}#token={}", token.text))
    }
}

/// A rendered mail.
pub struct Written {
    /// The subject, one line.
    pub subject: String,
    /// The `Message-ID`.
    pub id: String,
    /// The whole message.
    pub content: String,
}

/// The parsed templates.
pub struct Templates {
    environment: Environment<'static>,
}

impl Templates {
    /// Parses all templates.
    pub fn open() -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|name| {
            if name.to_ascii_lowercase().ends_with(".html") { AutoEscape::Html } else { AutoEscape::None }
        });
        for name in Sources::iter() {
            let source = Sources::get(&name).ok_or_else(|| Error::internal("a template vanished"))?;
            let text = String::from_utf8(source.data.into_owned()).map_err(Error::internal)?;
            environment.add_template_owned(name.into_owned(), text).map_err(Error::internal)?;
        }
        Ok(Self { environment })
    }

    /// Renders a mail. `from` is `MAIL_FROM`.
    pub fn write(&self, email: &Email<'_>, public_url: &str, from: &str, now: i64) -> Result<Written> {
        let language = Language::of(email.user.language.as_deref());
        let link = email.link(public_url);
        let host = public_url.split_once("://").map_or(public_url, |(_, host)| host);
        let facts = context! {
            link, host, language => language.as_str(), account => email.user.username.clone(), ..email.facts.clone()
        };
        let render = |kind: &str| {
            let name = format!("{}/{}.{kind}", language.as_str(), email.template.as_str());
            self.environment
                .get_template(&name)
                .and_then(|template| template.render(&facts))
                .map_err(Error::internal)
        };
        let (text, html) = (render("txt")?, render("html")?);
        let (subject, text) = text.split_once('\n').unwrap_or((&text, ""));
        let draft = Draft {
            from,
            to: email.to,
            subject,
            text: text.trim_start().to_owned(),
            html,
            date: now,
            language: language.as_str(),
        };
        let (content, id) = compose(draft)?;
        Ok(Written { subject: subject.to_owned(), id, content })
    }
}

/// Masks an address for a notice, so that only its owner recognizes it.
pub fn masked(address: &str) -> String {
    let (local, host) = address.rsplit_once('@').unwrap_or((address, ""));
    let first: String = local.chars().take(1).collect();
    format!("{first}…@{host}")
}

/// Formats a time (milliseconds) for a notice.
pub fn moment(at: i64) -> String {
    let text = Timestamp(at).to_rfc3339();
    format!("{} UTC", text.get(..16).unwrap_or(&text).replace('T', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(language: &str) -> user::Model {
        user::Model {
            id: 1,
            username: Some("alice".into()),
            username_key: None,
            phone: None,
            email: None,
            email_key: None,
            email_verified: false,
            name: None,
            name_key: None,
            description: None,
            photo: String::new(),
            role: entity::enums::Role::User,
            password_hash: String::new(),
            user_rev: 0,
            last_seen_at: None,
            created_at: 0,
            deleted_at: None,
            banned_at: None,
            banned_until: None,
            ban_reason: None,
            language: Some(language.into()),
            password_changed_at: None,
        }
    }

    #[test]
    fn every_template_renders_in_every_language() {
        let templates = Templates::open().expect("templates");
        let token = Issued { text: "t0ken".into(), expires_at: 1 };
        for language in Language::ALL {
            let user = user(language.as_str());
            for template in MailTemplate::ALL.iter().copied() {
                for pending in [false, true] {
                    let email = Email {
                        template,
                        user: &user,
                        to: "a@example.org",
                        token: page_of(template).map(|_| &token),
                        facts: context! {
                            at => moment(0), address => "10.0.0.1", device => "<b>\r\nBcc: x@y.z</b>", pending,
                            new => "b…@example.org",
                        },
                    };
                    let written = templates
                        .write(&email, "https://chat.example.org", "chat@example.org", 0)
                        .unwrap_or_else(|error| {
                            panic!("{} {}: {error}", language.as_str(), template.as_str())
                        });
                    assert!(!written.subject.is_empty() && !written.subject.contains('\r'));
                    assert!(written.content.is_ascii());
                    let headers = written.content.split("\r\n\r\n").next().expect("headers");
                    assert!(!headers.contains("Bcc"), "{headers}");
                }
            }
        }
    }

    #[test]
    fn html_is_escaped_and_text_is_not() {
        let templates = Templates::open().expect("templates");
        let facts = context! { at => "", address => "", device => "<b>&", account => "", host => "", language => "en" };
        let render = |name| templates.environment.get_template(name).expect("a template").render(&facts);
        assert!(render("en/new_device.html").expect("rendered").contains("&lt;b&gt;&amp;"));
        assert!(render("en/new_device.txt").expect("rendered").contains("<b>&"));
    }

    #[test]
    fn an_address_is_masked_but_for_its_first_letter() {
        assert_eq!(masked("alice@example.org"), "a…@example.org");
        assert_eq!(masked("ы@пример.рф"), "ы…@пример.рф");
        assert_eq!(moment(0), "1970-01-01 00:00 UTC");
    }
}

//! Parses `SMTP_URL`. The syntax is that of lettre's `from_url`, which does not expose what it has parsed. This parser
//! is stricter: it rejects at startup what it does not understand instead of ignoring it.

use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// When an SMTP connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Never: for a mail server on the same machine or in a private network.
    Plain,
    /// With STARTTLS if the server offers it. An attacker in between can remove the offer.
    Opportunistic,
    /// With STARTTLS, or mail is not sent.
    Required,
    /// TLS from the first byte.
    Wrapped,
}

/// The mail server.
#[derive(Clone, PartialEq, Eq)]
pub struct Smtp {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// See [`Security`].
    pub security: Security,
    /// The name sent in EHLO; if it is `None`, the server's address.
    pub hello: Option<String>,
    /// User name and password.
    pub credentials: Option<(String, String)>,
}

impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Omit the password.
        write!(f, "Smtp({}:{}, {:?})", self.host, self.port, self.security)
    }
}

impl Smtp {
    /// Parses `smtps://user:password@host` (port 465), `smtp://…?tls=required` or `?tls=opportunistic` (587), or
    /// `smtp://…` without encryption (25). The path is the name to send in EHLO.
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let mut tls = None;
        for (name, value) in url.query_pairs() {
            if name != "tls" || tls.replace(value.into_owned()).is_some() {
                return None;
            }
        }
        let (security, port) = match (url.scheme(), tls.as_deref()) {
            ("smtps", None) => (Security::Wrapped, 465),
            ("smtp", Some("required")) => (Security::Required, 587),
            ("smtp", Some("opportunistic")) => (Security::Opportunistic, 587),
            ("smtp", None) => (Security::Plain, 25),
            _ => return None,
        };
        let host = match url.host()? {
            Host::Domain(name) if !name.is_empty() && !name.contains('%') => name.to_owned(),
            Host::Domain(_) => return None,
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let hello = Some(url.path().trim_matches('/').to_owned()).filter(|it| !it.is_empty());
        if hello
            .as_deref()
            .is_some_and(|it| !it.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c)))
        {
            return None;
        }
        let decode =
            |text: &str| percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned);
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (user, Some(password)) if !user.is_empty() => Some((decode(user)?, decode(password)?)),
            _ => return None,
        };
        let port = url.port().unwrap_or(port);
        (url.fragment().is_none() && port != 0).then_some(Self { host, port, security, hello, credentials })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_how() {
        let smtp = Smtp::parse("smtps://me%40example.org:p%3As%2F%40@mail.example.org").expect("fits");
        assert_eq!(
            (smtp.host.as_str(), smtp.port, smtp.security),
            ("mail.example.org", 465, Security::Wrapped)
        );
        assert_eq!(smtp.credentials, Some(("me@example.org".into(), "p:s/@".into())));
        assert!(!format!("{smtp:?}").contains("p:s"), "the password is not shown");
        for (text, port, security) in [
            ("smtp://localhost", 25, Security::Plain),
            ("smtp://localhost:2525", 2525, Security::Plain),
            ("smtp://localhost?tls=required", 587, Security::Required),
            ("smtp://localhost?tls=opportunistic", 587, Security::Opportunistic),
            ("smtps://localhost:1465", 1465, Security::Wrapped),
        ] {
            let smtp = Smtp::parse(text).expect(text);
            assert_eq!((smtp.port, smtp.security), (port, security), "{text}");
        }
        assert_eq!(
            Smtp::parse("smtp://[::1]/chat.example.org").expect("fits").hello.as_deref(),
            Some("chat.example.org")
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "",
            "smtp:",
            "smtp://",
            "http://mail.example.org",
            "mail.example.org:25",
            "smtp://host?tls=none",
            "smtp://host?tls=required&tls=opportunistic",
            "smtp://host?starttls=true",
            "smtps://host?tls=required",
            "smtp://user@host",
            "smtp://:password@host",
            "smtp://host:99999",
            "smtp://host:0",
            "smtp://host/a%20b",
            "smtp://host#x",
            "smtp://ho%0ast",
        ] {
            assert!(Smtp::parse(text).is_none(), "{text}");
        }
    }
}

//! Finds the access token of a request; the first one found counts.

use axum::http::{HeaderMap, header};
use serde_json::Value;

use super::origin;
use crate::domain::AppContext;

/// The token that a request carries, until the payload of a CONNECT packet is known.
#[derive(Default)]
pub struct Credentials {
    token: Option<Box<str>>,
    /// Whether the token is that of the cookie, which counts last.
    is_cookie: bool,
}

impl Credentials {
    /// Reads the headers of a request.
    pub fn read(context: &AppContext, headers: &HeaderMap) -> Self {
        if let Some(token) = header_token(headers) {
            return Self { token: Some(token.into()), is_cookie: false };
        }
        // A page of another origin can make a browser send its cookies; those do not count.
        let may_use_cookies = origin::may_use_cookies(&context.settings, headers);
        let cookie = may_use_cookies.then(|| origin::cookie(headers, "access_token")).flatten();
        Self { token: cookie.map(Into::into), is_cookie: true }
    }

    /// Returns the token of the `auth` header, `Authorization: Bearer`, the CONNECT payload `{token}` or the
    /// `access_token` cookie, in this order.
    pub fn token<'a>(&'a self, payload: Option<&'a Value>) -> Option<&'a str> {
        let own = self.token.as_deref();
        let payload = payload.and_then(|it| it.get("token")).and_then(Value::as_str).and_then(given_token);
        if self.is_cookie { payload.or(own) } else { own.or(payload) }
    }

    /// Returns the token of a header, and that of the cookie; at most one of them is there.
    pub fn into_parts(self) -> (Option<Box<str>>, Option<Box<str>>) {
        if self.is_cookie { (None, self.token) } else { (self.token, None) }
    }
}

/// Returns the token of the `auth` header, or else of `Authorization: Bearer`.
fn header_token(headers: &HeaderMap) -> Option<String> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    header("auth")
        .and_then(given_token)
        .or_else(|| header(header::AUTHORIZATION.as_str()).filter(|it| has_bearer(it)).and_then(given_token))
        .map(str::to_owned)
}

/// Returns a token without the word `Bearer`, which some clients send with it; `None` if nothing is left.
pub fn given_token(text: &str) -> Option<&str> {
    Some(without_bearer(text)).filter(|it| !it.is_empty())
}

fn has_bearer(text: &str) -> bool {
    text.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("bearer "))
}

fn without_bearer(text: &str) -> &str {
    if has_bearer(text) { text.get(7..).unwrap_or_default().trim() } else { text.trim() }
}

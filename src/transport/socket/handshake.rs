//! Who is at the door: the token of a handshake, first found.

use std::fmt;

use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde_json::Value;

use crate::domain::{Actor, Core, sessions};
use crate::error::{Code, Error, Result};
use crate::transport::rest::origin;

/// Why somebody is not let in; its text is what `connect_error` carries.
pub struct Refused(Error);

impl From<Error> for Refused {
    /// Our own faults are logged here.
    fn from(error: Error) -> Self {
        if error.source.is_some() {
            tracing::error!(%error, "a handshake could not be judged");
        }
        Self(error)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unauthorized: {}", self.0.code.as_str())
    }
}

/// The user and session of a handshake, and when its token ends (milliseconds).
pub async fn authenticate(core: &Core, parts: &Parts, payload: Option<&Value>) -> Result<(Actor, i64)> {
    let token = find_token(core, &parts.headers, payload)
        .ok_or_else(|| Error::new(Code::TokenMissing, "no token came with the handshake"))?;
    sessions::authenticate(core, &token).await
}

/// `auth` header, `Authorization: Bearer`, CONNECT payload `{token}`, `access_token` cookie.
pub fn find_token(core: &Core, headers: &HeaderMap, payload: Option<&Value>) -> Option<String> {
    header_token(headers)
        .or_else(|| payload.and_then(|it| it.get("token")).and_then(Value::as_str).and_then(given_token))
        .or_else(|| {
            // A page of another origin can make a browser send its cookies along: those do not count.
            origin::may_use_cookies(&core.settings, headers)
                .then(|| origin::cookie(headers, "access_token"))
                .flatten()
        })
}

/// The token of the `auth` header, else of `Authorization: Bearer`.
pub fn header_token(headers: &HeaderMap) -> Option<String> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    header("auth")
        .and_then(given_token)
        .or_else(|| header(header::AUTHORIZATION.as_str()).filter(|it| has_bearer(it)).and_then(given_token))
}

/// A token as it came, without the word before it that some send along; none where nothing is left.
pub fn given_token(text: &str) -> Option<String> {
    Some(without_bearer(text)).filter(|it| !it.is_empty()).map(str::to_owned)
}

fn has_bearer(text: &str) -> bool {
    text.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("bearer "))
}

fn without_bearer(text: &str) -> &str {
    if has_bearer(text) { text.get(7..).unwrap_or_default().trim() } else { text.trim() }
}

//! Authenticates the handshake of a Socket.IO client.

use std::fmt;

use axum::http::request::Parts;
use serde_json::Value;

use crate::domain::{Actor, AppContext, sessions};
use crate::error::{Code, Error, Result};
use crate::transport::http::token::find_token;

/// The reason why a client is refused; `connect_error` carries its text.
pub struct Refused(Error);

impl From<Error> for Refused {
    /// Logs internal errors.
    fn from(error: Error) -> Self {
        if error.source.is_some() {
            tracing::error!(%error, "a handshake could not be checked");
        }
        Self(error)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unauthorized: {}", self.0.code.as_str())
    }
}

/// Authenticates a handshake. Returns the user and session, and when the token expires (milliseconds).
pub async fn authenticate(
    context: &AppContext,
    parts: &Parts,
    payload: Option<&Value>,
) -> Result<(Actor, i64)> {
    let token = find_token(context, &parts.headers, payload)
        .ok_or_else(|| Error::new(Code::TokenMissing, "the handshake has no token"))?;
    sessions::authenticate(context, &token).await
}

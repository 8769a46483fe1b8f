//! Finds the access token of a request; the first one found counts.

use axum::http::{HeaderMap, header};
use serde_json::Value;

use super::origin;
use crate::domain::AppContext;

/// Returns the token of the `auth` header, `Authorization: Bearer`, the CONNECT payload `{token}` or the `access_token`
/// cookie, in this order.
pub fn find_token(context: &AppContext, headers: &HeaderMap, payload: Option<&Value>) -> Option<String> {
    header_token(headers)
        .or_else(|| payload.and_then(|it| it.get("token")).and_then(Value::as_str).and_then(given_token))
        .or_else(|| {
            // A page of another origin can make a browser send its cookies; those do not count.
            origin::may_use_cookies(&context.settings, headers)
                .then(|| origin::cookie(headers, "access_token"))
                .flatten()
        })
}

/// Returns the token of the `auth` header, or else of `Authorization: Bearer`.
pub fn header_token(headers: &HeaderMap) -> Option<String> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    header("auth")
        .and_then(given_token)
        .or_else(|| header(header::AUTHORIZATION.as_str()).filter(|it| has_bearer(it)).and_then(given_token))
}

/// Returns a token without the word `Bearer`, which some clients send with it; `None` if nothing is left.
pub fn given_token(text: &str) -> Option<String> {
    Some(without_bearer(text)).filter(|it| !it.is_empty()).map(str::to_owned)
}

fn has_bearer(text: &str) -> bool {
    text.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("bearer "))
}

fn without_bearer(text: &str) -> &str {
    if has_bearer(text) { text.get(7..).unwrap_or_default().trim() } else { text.trim() }
}

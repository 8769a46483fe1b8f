//! Checks and accepts WebSocket handshakes (RFC 6455, section 4), for both realtime transports. axum's own would bring a
//! second WebSocket library.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::error::{Code, Error, Result};

/// Returns the key of a WebSocket handshake, or an error that names what is missing.
///
/// A proxy removes `Upgrade` and `Connection` unless it is configured to pass them; without this check the client would
/// wait for a response that never arrives.
pub fn require(headers: &HeaderMap) -> Result<HeaderValue> {
    let lacks = |what: &str| {
        Err(Error::new(
            Code::UpgradeRequired,
            format!("this is for WebSocket (RFC 6455): {what}; a proxy in between must pass it on"),
        ))
    };
    if !has_word(headers, header::CONNECTION, "upgrade") {
        return lacks("`Connection: Upgrade` is missing");
    }
    if !has_word(headers, header::UPGRADE, "websocket") {
        return lacks("`Upgrade: websocket` is missing");
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return lacks("`Sec-WebSocket-Version: 13` is missing");
    }
    match headers.get(header::SEC_WEBSOCKET_KEY) {
        Some(key) => Ok(key.clone()),
        None => lacks("`Sec-WebSocket-Key` is missing"),
    }
}

/// Returns the response that accepts a WebSocket handshake.
pub fn accept(headers: &HeaderMap) -> Result<Response> {
    let key = require(headers)?;
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let accept = derive_accept_key(key.as_bytes());
    let all = response.headers_mut();
    all.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    all.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    all.insert(header::SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&accept).map_err(Error::internal)?);
    Ok(response)
}

fn has_word(headers: &HeaderMap, name: header::HeaderName, word: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|it| it.trim().eq_ignore_ascii_case(word))
}

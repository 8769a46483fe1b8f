//! Guards the HTTP requests of the engine below socketioxide.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use super::StockState;
use super::session::{Session, UpgradeClaim};
use crate::error::{Code, Error, Result};
use crate::platform::limits::ConcurrencyPermit;
use crate::realtime::transport::PATIENCE;
use crate::realtime::write_queue::WriteQueue;
use crate::transport::http::listener::Peer;
use crate::transport::http::problem::Problem;
use crate::transport::http::timed_body::{BODY_WITHIN, TooSlow};
use crate::transport::http::{client_address, origin, upgrade_request};
use crate::transport::socketio::{PACKETS, SEPARATOR};

/// Headers that decide the handshake, or that the engine needs for its upgrade. The engine keeps a session's first
/// request as long as the session, and a header keeps the whole buffer that it was read into.
const KEPT_HEADERS: [HeaderName; 10] = [
    HeaderName::from_static("auth"),
    header::AUTHORIZATION,
    header::HOST,
    header::ORIGIN,
    header::CONNECTION,
    header::UPGRADE,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_EXTENSIONS,
];

/// Returns the session that began with this request.
pub fn session(parts: &Parts) -> Result<Arc<Session>> {
    parts.extensions.get().cloned().ok_or_else(|| Error::internal("a session without its session"))
}

fn wants_websocket(request: &Request) -> bool {
    let query = request.uri().query().unwrap_or_default();
    request.method() == Method::GET && query.split('&').any(|pair| pair == "transport=websocket")
}

/// Maximum size of the packet that opens a session, bytes.
const LONGEST_OPEN: usize = 4_096;

/// How long an upgrade waits for a client to fetch the packets that are kept for it.
const FETCHED_WITHIN: Duration = Duration::from_secs(5);

/// Interval between checks whether the client has fetched them.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Refuses requests of ended sessions, registers the backpressure of a session that upgrades, delays a polling client
/// while too many of its events are in flight, and counts the bytes of its responses.
pub async fn guard(State(state): State<Arc<StockState>>, request: Request, next: Next) -> Response {
    let response = guarded(&state, request, next).await;
    if response.status() == StatusCode::BAD_REQUEST { with_number(response).await } else { response }
}

/// Replaces the text code in an error of the engine by a number, as the protocol and its clients expect.
async fn with_number(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    // The body is already in memory.
    let Ok(body) = to_bytes(body, LONGEST_OPEN).await else {
        return Response::from_parts(parts, Body::empty());
    };
    let mut error: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let code = error["code"].as_str().and_then(|code| code.parse::<u8>().ok());
    let Some(code) = code else { return Response::from_parts(parts, body.into()) };
    error["code"] = code.into();
    let body = error.to_string();
    parts.headers.insert(header::CONTENT_LENGTH, body.len().into());
    Response::from_parts(parts, body.into())
}

async fn guarded(state: &Arc<StockState>, request: Request, next: Next) -> Response {
    let is_websocket = wants_websocket(&request);
    if is_websocket && let Err(error) = upgrade_request::require(request.headers()) {
        return Problem(error).into_response();
    }
    let Some(sid) = sid(&request) else {
        return if is_websocket {
            open_websocket(state, request, next).await
        } else {
            open_polling(state, request, next).await
        };
    };
    let session = state.session(sid);
    if session.as_ref().is_some_and(|session| session.transport.has_ended()) {
        return unknown_session();
    }
    if is_websocket {
        return upgrade(session, request, next).await;
    }
    let is_post = request.method() == Method::POST;
    let Some(session) = session else { return unknown_session() };
    // The session has become a WebSocket; the engine reports that to the client.
    let Some(backpressure) = session.transport.polling() else { return next.run(request).await };
    if is_post {
        drop(timeout(PATIENCE, backpressure.room()).await);
        return post(&session, state.realtime.context.settings.sockets.max_frame_bytes, request, next).await;
    }
    if request.method() == Method::GET
        && let Some(kept) = session.kept()
    {
        session.transport.answered(kept.len() as u64);
        return (StatusCode::OK, [(header::CONTENT_TYPE, PACKETS)], kept).into_response();
    }
    let response = tokio::select! {
        biased;
        () = session.transport.ended() => return unknown_session(),
        response = next.run(request) => response,
    };
    // Discard the engine's last packets. The session may have ended between the polls of the two branches above.
    if session.transport.has_ended() {
        return unknown_session();
    }
    let (mut parts, body) = response.into_parts();
    // The body is already in memory.
    let mut body = match to_bytes(body, usize::MAX).await {
        Ok(body) => body,
        Err(error) => return Problem(Error::internal(error)).into_response(),
    };
    if parts.status == StatusCode::OK {
        match without_close(body) {
            Some(packets) => body = session.split(packets),
            None => return unknown_session(),
        }
        parts.headers.insert(header::CONTENT_LENGTH, body.len().into());
    }
    session.transport.answered(body.len() as u64);
    Response::from_parts(parts, body.into())
}

/// Returns the packets of a response without the one that closes the session; `None` if there is no other.
/// python-socketio treats that packet as final and does not reconnect, but every client opens a new session if its
/// session is unknown.
fn without_close(packets: Bytes) -> Option<Bytes> {
    match packets.strip_suffix(b"1") {
        Some([]) => None,
        Some([before @ .., SEPARATOR]) => Some(packets.slice_ref(before)),
        _ => Some(packets),
    }
}

/// Returns the engine's response for an unknown session, after which the client opens a new one.
fn unknown_session() -> Response {
    let body = r#"{"code":1,"message":"Session ID unknown"}"#;
    (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Upgrades a polling session to a WebSocket, once: if a second attempt failed, the engine would end the session. The
/// session changes only after the engine has accepted the upgrade.
async fn upgrade(session: Option<Arc<Session>>, request: Request, next: Next) -> Response {
    // The session is unknown, or began as a WebSocket.
    let (Some(session), Some(writes)) = (session, writes(&request)) else {
        return unknown_session();
    };
    if !claimed(&session).await {
        let body = r#"{"code":3,"message":"Bad request"}"#;
        return (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    }
    let response = next.run(request).await;
    match response.status() {
        StatusCode::SWITCHING_PROTOCOLS => {
            writes.backpressure().upgrade();
            session.transport.become_websocket(&writes);
        }
        _ => session.release_upgrade(),
    }
    response
}

/// Waits until the client has fetched the packets that are kept for it, then claims the upgrade. Returns whether it
/// succeeded.
async fn claimed(session: &Session) -> bool {
    let claiming = async {
        loop {
            match session.claim_upgrade() {
                UpgradeClaim::Granted => return true,
                UpgradeClaim::Taken => return false,
                UpgradeClaim::Later => sleep(LOOK_AGAIN).await,
            }
        }
    };
    timeout(FETCHED_WITHIN, claiming).await.unwrap_or(false)
}

fn writes(request: &Request) -> Option<Arc<WriteQueue>> {
    request.extensions().get::<ConnectInfo<Peer>>().map(|ConnectInfo(peer)| peer.writes.clone())
}

/// Prepares the request that begins a session. The session counts as an unauthenticated socket of its address until it
/// joins a namespace or ends: the permit is in the request's extensions, which the engine keeps as long as the session.
fn begin(state: &StockState, request: &mut Request) -> Result<(Arc<Session>, Arc<ConcurrencyPermit>)> {
    let address = client_address::noted(request.extensions());
    let session = Arc::new(Session::new(state.realtime.publisher.backlog_limit.clone()));
    let pending = Arc::new(state.realtime.context.rates.pending.enter(address)?);
    trim(request);
    request.extensions_mut().insert(session.clone());
    request.extensions_mut().insert(pending.clone());
    Ok((session, pending))
}

/// Copies the needed parts of a request that the engine keeps, and drops the rest.
fn trim(request: &mut Request) {
    let copy = |value: &HeaderValue| HeaderValue::from_bytes(value.as_bytes()).ok();
    let headers = request.headers();
    let mut kept: HeaderMap = KEPT_HEADERS
        .iter()
        .flat_map(|name| headers.get_all(name).iter().filter_map(copy).map(|value| (name.clone(), value)))
        .collect();
    let cookie = origin::cookie(headers, "access_token");
    if let Some(cookie) = cookie.and_then(|it| HeaderValue::try_from(format!("access_token={it}")).ok()) {
        kept.insert(header::COOKIE, cookie);
    }
    *request.headers_mut() = kept;
    if let Ok(uri) = request.uri().to_string().parse::<Uri>() {
        *request.uri_mut() = uri;
    }
}

async fn open_websocket(state: &StockState, mut request: Request, next: Next) -> Response {
    let writes = writes(&request);
    let (session, pending) = match begin(state, &mut request) {
        Ok(begun) => begun,
        Err(error) => return Problem(error).into_response(),
    };
    let response = next.run(request).await;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS
        && let Some(writes) = writes
    {
        writes.backpressure().upgrade();
        session.transport.become_websocket(&writes);
        writes.backpressure().hold(pending);
    }
    response
}

async fn open_polling(state: &StockState, mut request: Request, next: Next) -> Response {
    let session = match begin(state, &mut request) {
        Ok((session, _)) => session,
        Err(error) => return Problem(error).into_response(),
    };
    let (parts, body) = next.run(request).await.into_parts();
    let body = match to_bytes(body, LONGEST_OPEN).await {
        Ok(body) => body,
        Err(error) => return Problem(Error::internal(error)).into_response(),
    };
    if let Some(sid) = opened(&body) {
        state.sessions.insert(sid, Arc::downgrade(&session));
    }
    Response::from_parts(parts, body.into())
}

/// Reads the session's id from the packet that opens it. Before, only the engine knows the id.
fn opened(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Open {
        sid: String,
    }
    let open: Open = serde_json::from_slice(body.strip_prefix(b"0")?).ok()?;
    Some(open.sid)
}

/// Releases the permit of an unauthenticated session once it has joined a namespace.
pub fn admitted(parts: &Parts) {
    if let Some(pending) = parts.extensions.get::<Arc<ConcurrencyPermit>>() {
        pending.release();
    }
}

/// Forwards the packets of a polling client after checking the limits of the body and the number of packets.
async fn post(session: &Session, most: usize, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let packets = match timeout(BODY_WITHIN, Limited::new(body, most).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Problem(Error::new(Code::TooLarge, "more than `maxPayload` bytes at once"))
                .into_response();
        }
        Ok(Err(_)) => return Problem(Error::invalid("payload", "broke off")).into_response(),
        Err(_) => return Problem(TooSlow.into()).into_response(),
    };
    if !session.accepts(&packets) {
        session.transport.end();
        return unknown_session();
    }
    next.run(Request::from_parts(parts, packets.into())).await
}

fn sid(request: &Request) -> Option<&str> {
    request.uri().query()?.split('&').find_map(|pair| pair.strip_prefix("sid=")).filter(|sid| sid.len() <= 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packet_that_closes_a_session_is_taken_out_and_no_other() {
        let left = |packets: &'static [u8]| without_close(Bytes::from_static(packets));
        assert_eq!(left(b"1"), None);
        assert_eq!(left(b"42[\"a\"]\x1e1").as_deref(), Some(&b"42[\"a\"]"[..]));
        for kept in [&b"6"[..], b"42[1", b"42[\"a\"]", b"2\x1e31", b"bAAA1", b""] {
            assert_eq!(left(kept).as_deref(), Some(kept));
        }
    }
}

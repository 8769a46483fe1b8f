//! The engine below Socket.IO: its limits, and a guard in front of its HTTP requests.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body::Body;
use socketioxide::SocketIo;
use tokio::time::timeout;

use super::Door;
use crate::config::Settings;
use crate::error::{Code, Error};
use crate::platform::limits::Place;
use crate::transport::client_address;
use crate::transport::listener::{Gate, Peer};
use crate::transport::problem::Problem;
use crate::transport::timed_body::{BODY_WITHIN, TooSlow};

/// Packets that may wait for one client. Idle it costs nothing; full, the connection ends.
const OUTBOX_PACKETS: usize = 4_096;

/// The engine as the settings say, at both of its paths.
pub fn build(settings: &Settings) -> (Router, SocketIo) {
    let (service, io) = SocketIo::builder()
        .req_path("/")
        .ping_interval(settings.ping_interval)
        .ping_timeout(settings.ping_timeout)
        .connect_timeout(settings.connect_timeout)
        .max_buffer_size(OUTBOX_PACKETS)
        .max_payload(settings.max_frame_bytes as u64)
        .ws_max_message_size(settings.max_frame_bytes)
        .ws_max_frame_size(settings.max_frame_bytes)
        .ws_read_buffer_size(4 * 1_024)
        .build_svc();
    let paths =
        Router::new().nest_service("/ws/socket.io", service.clone()).nest_service("/socket.io", service);
    (paths, io)
}

/// The gate of the websocket that a session began as; none where it began with polling.
pub fn websocket_gate(parts: &Parts) -> Option<Arc<Gate>> {
    let websocket = is_websocket(&parts.headers, parts.uri.query());
    parts
        .extensions
        .get::<ConnectInfo<Peer>>()
        .filter(|_| websocket)
        .map(|ConnectInfo(peer)| peer.gate.clone())
}

fn is_websocket(headers: &HeaderMap, query: Option<&str>) -> bool {
    headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && query.is_some_and(|query| query.split('&').any(|pair| pair == "transport=websocket"))
}

/// What a waiting polling client gets before its events are taken though too many are in flight.
const PATIENCE: Duration = Duration::from_secs(15);

/// Turns requests of ended sessions away, notes the gate of a session that upgrades, makes a polling client
/// wait while too many of its events are in flight, and counts what its answers carry.
pub async fn guard(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let Some(sid) = sid(&request) else { return open(&door, request, next).await };
    if is_websocket(request.headers(), request.uri().query()) {
        if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<Peer>>() {
            door.wire(sid).set_gate(peer.gate.clone());
        }
        return next.run(request).await;
    }
    let is_post = request.method() == Method::POST;
    let Some(wire) = door.wires.get(sid).map(|wire| wire.clone()) else {
        return if is_post { post(request, next).await } else { next.run(request).await };
    };
    if wire.is_dead() {
        // As the engine answers for a session that it does not know: the client opens a new one.
        let body = r#"{"code":1,"message":"Session ID unknown"}"#;
        return (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    }
    let Some(gate) = wire.polling() else {
        return if is_post { post(request, next).await } else { next.run(request).await };
    };
    if is_post {
        drop(timeout(PATIENCE, gate.room()).await);
        return post(request, next).await;
    }
    let response = next.run(request).await;
    gate.wrote(response.body().size_hint().exact().unwrap_or(0));
    response
}

/// A new session. It counts as a socket of its address that has not authenticated until it has joined a
/// namespace, or is gone: the engine keeps the request's extensions as long as the session.
async fn open(door: &Door, mut request: Request, next: Next) -> Response {
    let address = client_address::noted(request.extensions());
    let pending = match door.core.rates.pending.enter(address) {
        Ok(pending) => Arc::new(pending),
        Err(error) => return Problem(error).into_response(),
    };
    if is_websocket(request.headers(), request.uri().query())
        && let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<Peer>>()
    {
        peer.gate.hold(pending.clone());
    }
    request.extensions_mut().insert(pending);
    next.run(request).await
}

/// The session has joined a namespace.
pub fn admitted(parts: &Parts) {
    if let Some(pending) = parts.extensions.get::<Arc<Place>>() {
        pending.release();
    }
}

/// A polling client's packets: within the limits of a body like any other.
async fn post(request: Request, next: Next) -> Response {
    match timeout(BODY_WITHIN, next.run(request)).await {
        Ok(response) if response.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Problem(Error::new(Code::TooLarge, "more than `maxPayload` bytes at once")).into_response()
        }
        Ok(response) => response,
        Err(_) => Problem(TooSlow.into()).into_response(),
    }
}

fn sid(request: &Request) -> Option<&str> {
    request.uri().query()?.split('&').find_map(|pair| pair.strip_prefix("sid=")).filter(|sid| sid.len() <= 64)
}

//! The engine below Socket.IO: its limits, and a guard in front of its HTTP requests.

use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use socketioxide::SocketIo;

use super::Door;
use crate::config::Settings;
use crate::transport::listener::{Gate, Peer};

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
    parts.headers.get(header::UPGRADE)?;
    parts.extensions.get::<ConnectInfo<Peer>>().map(|ConnectInfo(peer)| peer.gate.clone())
}

/// Turns requests of ended sessions away, and notes the gate of a session that upgrades.
pub async fn guard(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    if let Some(sid) = sid(&request) {
        let wire = door.wires.get(sid).map(|wire| wire.clone());
        if wire.as_ref().is_some_and(|wire| wire.is_dead()) {
            // As the engine answers for a session that it does not know: the client opens a new one.
            let body = r#"{"code":1,"message":"Session ID unknown"}"#;
            return (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, "application/json")], body)
                .into_response();
        }
        if request.headers().contains_key(header::UPGRADE)
            && let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<Peer>>()
        {
            door.wire(sid).set_gate(peer.gate.clone());
        }
    }
    next.run(request).await
}

fn sid(request: &Request) -> Option<&str> {
    request.uri().query()?.split('&').find_map(|pair| pair.strip_prefix("sid=")).filter(|sid| sid.len() <= 64)
}

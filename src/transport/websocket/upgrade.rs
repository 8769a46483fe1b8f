//! The upgrade from HTTP (RFC 6455, section 4), without axum's own, which would add a second WebSocket library.

use std::sync::Arc;

use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::error::{Code, Error, Result};
use crate::ids::ChatId;
use crate::realtime::RealtimeState;
use crate::transport::http::listener::Peer;
use crate::transport::http::problem::Problem;
use crate::transport::http::token::{find_token, header_token};
use crate::transport::http::{client_address, upgrade_request};
use crate::transport::websocket::session::Opening;
use crate::transport::websocket::{misdirected, session};

/// Handles `GET /ws`, and the requests that Socket.IO clients send there by mistake.
pub async fn all_chats(
    State(state): State<Arc<RealtimeState>>,
    request: Request,
) -> Result<Response, Problem> {
    if misdirected::is_engine(&request) {
        return misdirected::answer(request);
    }
    upgrade(state, None, request)
}

/// Handles `POST /ws`, which only Socket.IO clients request, by mistake.
pub async fn no_polling(request: Request) -> Result<Response, Problem> {
    if misdirected::is_engine(&request) {
        return misdirected::answer(request);
    }
    Err(Error::new(Code::MethodNotAllowed, "this path does not support this method").into())
}

/// Handles `GET /chat/{id}/ws`.
pub async fn one_chat(
    State(state): State<Arc<RealtimeState>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let id = id.parse().map_err(|_| Error::new(Code::NotFound, "an id must be a whole number"))?;
    upgrade(state, Some(ChatId(id)), request)
}

fn upgrade(
    state: Arc<RealtimeState>,
    scope: Option<ChatId>,
    mut request: Request,
) -> Result<Response, Problem> {
    let headers = request.headers();
    let accepted = accept(headers)?;
    let ConnectInfo(peer) = request
        .extensions()
        .get::<ConnectInfo<Peer>>()
        .cloned()
        .ok_or_else(|| Error::internal("a connection without its peer address"))?;
    let address = client_address::noted(request.extensions());
    let pending = state.context.rates.pending.enter(address)?;
    let token = header_token(headers);
    let cookie = find_token(&state.context, headers, None).filter(|_| token.is_none());
    let limit = state.context.settings.sockets.max_frame_bytes;
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgraded.await {
            Ok(upgraded) => {
                let stream = websocket(upgraded, limit).await;
                let backpressure = peer.backpressure;
                session::run(state, Opening { stream, backpressure, token, cookie, scope, pending, address })
                    .await;
            }
            Err(error) => tracing::debug!(%error, "an upgrade broke"),
        }
    });
    Ok(accepted)
}

/// Returns the response that accepts a WebSocket handshake.
pub(super) fn accept(headers: &HeaderMap) -> Result<Response> {
    let key = upgrade_request::require(headers)?;
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let accept = derive_accept_key(key.as_bytes());
    let all = response.headers_mut();
    all.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    all.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    all.insert(header::SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&accept).map_err(Error::internal)?);
    Ok(response)
}

/// Returns a WebSocket whose messages have at most `limit` bytes.
pub(super) async fn websocket(upgraded: Upgraded, limit: usize) -> WebSocketStream<TokioIo<Upgraded>> {
    let config = WebSocketConfig::default()
        .read_buffer_size(4 * 1_024)
        .max_message_size(Some(limit))
        .max_frame_size(Some(limit));
    WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await
}

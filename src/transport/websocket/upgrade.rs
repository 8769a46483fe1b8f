//! The routes of the plain WebSocket, and the upgrade from HTTP.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;

use crate::error::{Code, Error};
use crate::ids::ChatId;
use crate::realtime::RealtimeState;
use crate::transport::http::frame_reader::FrameReader;
use crate::transport::http::problem::Problem;
use crate::transport::http::token::Credentials;
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
    let accepted = upgrade_request::accept(headers)?;
    let address = client_address::noted(request.extensions());
    let pending = state.context.rates.pending.enter(address)?;
    let credentials = Credentials::read(&state.context, headers);
    let limit = state.context.settings.sockets.max_frame_bytes;
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match FrameReader::from_upgrade(upgraded, limit).await {
            Ok(reader) => session::run(state, Opening { reader, credentials, scope, pending, address }).await,
            Err(error) => tracing::debug!(%error, "an upgrade failed"),
        }
    });
    Ok(accepted)
}

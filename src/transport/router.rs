//! Combines everything that answers HTTP in one router.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use super::http::problem::Problem;
use super::http::{body_headers, client_address, headers, observe, public_path, timed_body};
use super::rest::{RestState, docs, reads};
use super::websocket;
use crate::config::{CorsOrigins, Module, Settings};
use crate::error::{Code, Error};
use crate::realtime::RealtimeState;

/// Returns the router of everything that answers HTTP, Socket.IO included.
pub fn router(realtime: &Arc<RealtimeState>, socket_io: Router) -> Router {
    let context = realtime.context.clone();
    let settings = context.settings.clone();
    let mut plain = Router::new();
    if settings.modules.has(Module::PlainWs) {
        plain = plain
            .route("/ws", get(websocket::all_chats).post(websocket::no_polling))
            .route("/chat/{id}/ws", get(websocket::one_chat))
            .route("/chats/{id}/ws", get(websocket::one_chat));
    }
    let plain = plain.with_state(realtime.clone());
    let (api, document) = docs::routes(&settings.modules).split_for_parts();
    // Base64 is a third longer than the photo, and there is text around it.
    let body_limit = settings.photos.max_bytes / 3 * 4 + 64 * 1_024;
    Router::new()
        .merge(api)
        .merge(docs::pages(document, &settings))
        .fallback(async || Problem(Error::new(Code::NotFound, "there is nothing at this path")))
        .method_not_allowed_fallback(async || {
            Problem(Error::new(Code::MethodNotAllowed, "this path does not support this method"))
        })
        .with_state(RestState::new(context, body_limit))
        .layer(DefaultBodyLimit::max(body_limit))
        .layer(from_fn(reads::hold))
        .layer(from_fn(timed_body::time))
        .layer(from_fn(body_headers::understand))
        .merge(socket_io)
        .merge(plain)
        .layer(CatchPanicLayer::custom(observe::after_panic))
        .layer(cors(&settings))
        .layer(from_fn_with_state(settings.clone(), public_path::add))
        .layer(from_fn_with_state(settings.clone(), headers::protect))
        .layer(from_fn_with_state(settings.clone(), observe::observe))
        .layer(from_fn_with_state(settings, client_address::note))
}

fn cors(settings: &Settings) -> CorsLayer {
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([HeaderName::from_static("auth"), header::AUTHORIZATION, header::CONTENT_TYPE])
        .expose_headers([header::LINK, HeaderName::from_static("x-request-id"), header::RETRY_AFTER]);
    match &settings.cors_origins {
        CorsOrigins::Any => layer.allow_origin(Any),
        CorsOrigins::Listed(list) => {
            let origins = list.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
            layer.allow_origin(AllowOrigin::list(origins)).allow_credentials(true)
        }
    }
}

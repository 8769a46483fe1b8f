//! The REST door: thin handlers over the domain, documented where they stand. The OpenAPI document is made
//! from them.

mod account;
mod account_pages;
mod admin;
mod auth;
mod body_headers;
mod chats;
mod contacts;
mod docs;
mod documented_refusals;
mod errors;
mod events;
mod extract;
mod headers;
mod observe;
mod ops;
pub mod origin;
mod pages;
mod photos;
mod public_path;
mod reads;
mod recovery;
mod users;

pub use docs::openapi;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use super::problem::Problem;
use super::socket::{self, Door};
use super::{client_address, gateway, timed_body};
use crate::config::{CorsOrigins, Settings};
use crate::domain::Core;
use crate::domain::accounts::Running;
use crate::error::{Code, Error};

/// What handlers work with.
#[derive(Clone)]
pub struct App {
    /// The domain.
    pub core: Arc<Core>,
    /// Largest body that may hold a photo, bytes.
    pub large_body: usize,
    /// Large bodies that may be read at the same time.
    pub large_bodies: Arc<Semaphore>,
    /// What `/health/ready` answered lately.
    pub health: Arc<ops::Remembered>,
    /// What `/admin/statistics` counted lately.
    pub statistics: Arc<admin::Counted>,
    /// Exports that are running.
    pub exports: Arc<Running>,
}

/// Large bodies at the same time.
const LARGE_BODIES: usize = 16;

/// Everything that answers HTTP, Socket.IO included.
pub fn router(door: &Arc<Door>, engine: Router) -> Router {
    let core = door.core.clone();
    let settings = core.settings.clone();
    let plain = Router::new()
        .route("/ws", get(gateway::all_chats).post(gateway::no_polling))
        .route("/chat/{id}/ws", get(gateway::one_chat))
        .route("/chats/{id}/ws", get(gateway::one_chat))
        .with_state(door.clone());
    let sockets = engine.layer(from_fn_with_state(door.clone(), socket::guard));
    let (api, document) = docs::routes().split_for_parts();
    // Base64 takes a third more than the photo, and there is text around it.
    let body_limit = settings.max_photo_bytes / 3 * 4 + 64 * 1_024;
    let app = App {
        core,
        large_body: body_limit,
        large_bodies: Arc::new(Semaphore::new(LARGE_BODIES)),
        health: Arc::default(),
        statistics: Arc::default(),
        exports: Arc::default(),
    };
    Router::new()
        .merge(api)
        .merge(docs::pages(document, settings.public_url.path()))
        .fallback(async || Problem(Error::new(Code::NotFound, "there is nothing at this path")))
        .method_not_allowed_fallback(async || {
            Problem(Error::new(Code::MethodNotAllowed, "this path is not for this method"))
        })
        .with_state(app)
        .layer(DefaultBodyLimit::max(body_limit))
        .layer(from_fn(reads::hold))
        .layer(from_fn(timed_body::time))
        .layer(from_fn(body_headers::understand))
        .merge(sockets)
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

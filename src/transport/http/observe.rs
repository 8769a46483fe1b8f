//! Wraps every request: sets its id, its span and its line in the log, and completes the bodies of problems. Query
//! strings and bodies are not logged, because they may contain secrets.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;

use crate::config::Settings;
use crate::error::{Code, Error};
use crate::random;
use crate::transport::http::client_address;
use crate::transport::http::problem::{Described, Problem};

const REQUEST_ID: &str = "x-request-id";

/// Maximum size of a path with its query, bytes.
const LONGEST_URI: usize = 8_192;

/// Maximum characters of a path that are logged.
const LOGGED_PATH: usize = 200;

/// Logs a request and completes its response; see the module's documentation.
pub async fn observe(State(settings): State<Arc<Settings>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(&request);
    let (method, path) = (request.method().clone(), shown(request.uri().path()));
    let address = client_address::noted(request.extensions()).map(|it| it.to_string());
    let is_long = request.uri().path_and_query().is_some_and(|it| it.as_str().len() > LONGEST_URI);
    let mut response = if is_long {
        Problem(Error::new(Code::UriTooLong, format!("a URL may have at most {LONGEST_URI} bytes")))
            .into_response()
    } else {
        // Its level is the highest, so that a filter of any level keeps it.
        next.run(request).instrument(tracing::error_span!("request", request_id = id)).await
    };
    let status = response.status();
    let mut code = None;
    if let Some(Described { mut body, chain }) = response.extensions_mut().remove() {
        body.request_id = Some(id.clone());
        body.kind.insert_str(0, settings.public_url.path());
        code = Some(body.code.clone());
        if let Some(chain) = chain {
            tracing::error!(request_id = id, code = body.code, chain, "a request failed");
            if settings.debug {
                body.detail = format!("{}: {chain}", body.detail);
            }
        }
        let text = serde_json::to_vec(&body).unwrap_or_default();
        *response.body_mut() = Body::from(text);
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let ms = started.elapsed().as_millis() as u64;
    // At the info level, polling would flood the log.
    if path.contains("/socket.io") {
        tracing::debug!(%method, path, status = status.as_u16(), code, ms, address, request_id = id, "request");
    } else {
        tracing::info!(%method, path, status = status.as_u16(), code, ms, address, request_id = id, "request");
    }
    response
}

/// Returns the beginning of a path for the log, so that requests with long paths cannot fill the disk.
fn shown(path: &str) -> String {
    match path.char_indices().nth(LOGGED_PATH) {
        Some((end, _)) => format!("{}…", &path[..end]),
        None => path.to_owned(),
    }
}

/// Returns the caller's own request id if it is harmless, otherwise a new one.
fn request_id(request: &Request) -> String {
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let harmless = |text: &&str| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    given.filter(harmless).map_or_else(|| random::hex(8).unwrap_or_default(), str::to_owned)
}

/// Turns a panic into an internal error, so that it fails one request and not the server.
#[expect(clippy::needless_pass_by_value, reason = "the layer's signature")]
pub fn after_panic(panic: Box<dyn Any + Send>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message");
    Problem(Error::internal(text.to_owned())).into_response()
}

//! The path of `PUBLIC_URL`: a proxy strips it from requests, so it goes in front of the paths that answers name.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{HeaderName, LINK, LOCATION};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use crate::config::Settings;

/// See the file.
pub async fn add(State(settings): State<Arc<Settings>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let path = settings.public_url.path();
    if !path.is_empty() {
        prefix(response.headers_mut(), &LOCATION, "/", path);
        prefix(response.headers_mut(), &LINK, "</", path);
    }
    response
}

/// Puts `path` into a header's value that begins with `start`, which ends in the slash of a path.
fn prefix(headers: &mut HeaderMap, name: &HeaderName, start: &str, path: &str) {
    let Some(value) = headers.get(name).and_then(|it| it.to_str().ok()) else { return };
    let Some(rest) = value.strip_prefix(start) else { return };
    let open = start.trim_end_matches('/');
    if let Ok(value) = HeaderValue::from_str(&format!("{open}{path}/{rest}")) {
        headers.insert(name.clone(), value);
    }
}

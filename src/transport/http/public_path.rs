//! Adds the path of `PUBLIC_URL`, which a proxy strips from requests, to the paths in response headers.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{HeaderName, LINK, LOCATION};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use crate::config::Settings;

/// Adds the path to `Location` and `Link`; see the module's documentation.
pub async fn add(State(settings): State<Arc<Settings>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let path = settings.public_url.path();
    if !path.is_empty() {
        prefix(response.headers_mut(), &LOCATION, "/", path);
        prefix(response.headers_mut(), &LINK, "</", path);
    }
    response
}

/// Inserts `path` into the value of a header. The value must begin with `start`, which ends with the slash of a path.
fn prefix(headers: &mut HeaderMap, name: &HeaderName, start: &str, path: &str) {
    let Some(value) = headers.get(name).and_then(|it| it.to_str().ok()) else { return };
    let Some(rest) = value.strip_prefix(start) else { return };
    let open = start.trim_end_matches('/');
    if let Ok(value) = HeaderValue::from_str(&format!("{open}{path}/{rest}")) {
        headers.insert(name.clone(), value);
    }
}

//! Sets the security headers of every response (OWASP secure headers project) unless the handler has set them: browsers
//! do not sniff or frame responses, do not send referrers to other sites, load nothing for responses that are not
//! pages, and do not cache personal data. CORS governs requests by scripts of other origins; these headers do not
//! affect them.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use crate::config::Settings;

/// Policy for data: a response that is opened as a page is inert.
const DATA_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// Policy for the server's own pages: everything from this origin, sockets included, nothing inline. Photos are shown
/// before they are sent (`blob:`, `data:`).
const PAGE_POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; \
    object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Policy for Swagger UI, which uses inline styles and contains its icons as data.
const DOCS_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Over HTTPS: browsers must not use plain HTTP for a year.
const STRICT_TRANSPORT: &str = "max-age=31536000";

/// Adds the security headers; see the module's documentation.
pub async fn protect(State(settings): State<Arc<Settings>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_docs = path.starts_with("/docs");
    // Public, and for pages of any origin: photos and the SDK.
    let is_public = path.starts_with("/static/") || path.starts_with("/client/");
    // Their handlers set how long these may be cached; the documents contain nothing personal.
    let is_kept = is_docs || is_public || matches!(path, "/openapi.json" | "/asyncapi.json");
    let mut response = next.run(request).await;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return response;
    }
    let headers = response.headers_mut();
    let is_page =
        headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let policy = match (is_docs, is_page) {
        (true, _) => DOCS_POLICY,
        (_, true) => PAGE_POLICY,
        _ => DATA_POLICY,
    };
    set(headers, header::CONTENT_SECURITY_POLICY, policy);
    set(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(headers, header::X_FRAME_OPTIONS, "DENY");
    set(headers, header::REFERRER_POLICY, "no-referrer");
    let whose = if is_public { "cross-origin" } else { "same-origin" };
    set(headers, HeaderName::from_static("cross-origin-resource-policy"), whose);
    if is_page {
        set(headers, HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    }
    if settings.is_https() {
        set(headers, header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT);
    }
    if !is_kept {
        set(headers, header::CACHE_CONTROL, "no-store");
    }
    response
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.entry(name).or_insert(HeaderValue::from_static(value));
}

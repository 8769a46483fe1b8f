//! The pages that mailed links point to, contained in the binary. The token follows `#` in the link, so that the server
//! receives it neither in a path nor in a `Referer`; the script posts it. Nothing happens before a click, so that
//! programs that open every link of a mail confirm nothing.

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::RustEmbed;

use crate::error::{Code, Error};
use crate::transport::http::problem::Problem;
use crate::transport::rest::RestState;

#[derive(RustEmbed)]
#[folder = "assets/web/account"]
struct Pages;

/// Allows the server's own scripts, styles and connections, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Returns the routes of the pages.
pub fn pages() -> Router<RestState> {
    Router::new()
        .route("/account/verify", get(async || file("verify.html", "text/html; charset=utf-8")))
        .route("/account/reset", get(async || file("reset.html", "text/html; charset=utf-8")))
        .route("/account/account.js", get(async || file("account.js", "text/javascript; charset=utf-8")))
        .route("/account/account.css", get(async || file("account.css", "text/css; charset=utf-8")))
}

fn file(name: &str, kind: &'static str) -> Result<Response, Problem> {
    let file =
        Pages::get(name).ok_or_else(|| Error::new(Code::NotFound, "this build is without its pages"))?;
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ];
    Ok((headers, file.data.into_owned()).into_response())
}

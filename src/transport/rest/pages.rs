//! What browsers load from the binary itself.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use crate::error::{Code, Error};
use crate::transport::problem::Problem;

/// The JavaScript client.
#[derive(RustEmbed)]
#[folder = "assets/client"]
#[include = "*.js"]
struct Client;

/// The JavaScript SDK, one ES module without dependencies.
pub async fn sdk() -> Result<Response, Problem> {
    let file = Client::get("mango-chat.js")
        .ok_or_else(|| Error::new(Code::NotFound, "this build is without the SDK"))?;
    let headers = [
        (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, file.data.into_owned()).into_response())
}

//! The JavaScript client, contained in the binary and served to browsers as a file and to npm as a package.

use std::io;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::RustEmbed;

use crate::error::{Code, Error};
use crate::transport::http::problem::Problem;

/// The client, its types and its package.json.
#[derive(RustEmbed)]
#[folder = "assets/client"]
#[exclude = "src/*"]
pub(super) struct Client;

/// The client's folder as an archive that `npm install` accepts from a URL.
static PACKAGE: LazyLock<io::Result<Vec<u8>>> = LazyLock::new(package);

fn package() -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    for name in Client::iter() {
        let file = Client::get(&name).ok_or_else(|| io::Error::other(name.to_string()))?;
        let mut header = tar::Header::new_gnu();
        header.set_size(file.data.len() as u64);
        header.set_mode(0o644);
        // npm expects all files in a folder of this name.
        archive.append_data(&mut header, format!("package/{name}"), &*file.data)?;
    }
    archive.into_inner()?.finish()
}

/// Handles `GET /client/{name}`: `mango-chat.js`, the same as `mango-chat.mjs` for a Node.js project without
/// `package.json`, the types beside it, and `mango-chat.tgz` for npm.
pub async fn client(Path(name): Path<String>) -> Result<Response, Problem> {
    let (name, kind) = match name.as_str() {
        "mango-chat.tgz" => {
            let package = PACKAGE.as_ref().map_err(|error| Error::internal(error.to_string()))?;
            return Ok(answer("application/gzip", package.clone()));
        }
        "mango-chat.js" | "mango-chat.mjs" => ("mango-chat.js", "text/javascript; charset=utf-8"),
        other if other.ends_with(".d.ts") => (other, "text/plain; charset=utf-8"),
        other => (other, "application/json"),
    };
    let file = Client::get(name)
        .ok_or_else(|| Error::new(Code::NotFound, "the client has no such file: see docs/sdk.md"))?;
    Ok(answer(kind, file.data.into_owned()))
}

fn answer(kind: &'static str, body: Vec<u8>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, body).into_response()
}

//! The web pages, contained in the binary; a debug build reads them from the source folder at each request.
//!
//! A page names its files below `web/{version}/`, where the version is a hash of all of them. So browsers may keep a file
//! for ever, and a page never mixes files of two versions.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use moka::sync::Cache;
use rust_embed::{EmbeddedFile, RustEmbed};
use sha2::{Digest, Sha256};
use url::Url;

use super::client::Client;
use crate::config::{CorsOrigins, Environment, Module, Modules, Registration, Settings, StorageKind};
use crate::error::{Code, Error, Result};
use crate::transport::http::problem::Problem;
use crate::transport::rest::RestState;

/// The pages and their files.
#[derive(RustEmbed)]
#[folder = "assets/web"]
#[exclude = "*.md"]
struct Web;

/// A page: the module that it belongs to, its path, its file, and whether pages of `CORS_ORIGINS` may show it in a frame.
#[derive(Clone, Copy)]
struct Page {
    module: Module,
    path: &'static str,
    file: &'static str,
    can_be_framed: bool,
}

const PAGES: [Page; 6] = [
    Page { module: Module::Ui, path: "/", file: "app/index.html", can_be_framed: false },
    Page { module: Module::Ui, path: "/chat/ui", file: "app/index.html", can_be_framed: true },
    Page { module: Module::Admin, path: "/admin", file: "admin/index.html", can_be_framed: false },
    Page { module: Module::Docs, path: "/events", file: "events/index.html", can_be_framed: false },
    // Mailed links lead to these two. The token follows `#`, so that the server receives it neither in a path nor in a
    // `Referer`, and nothing happens before a click, so that programs that open every link of a mail confirm nothing.
    Page { module: Module::Mail, path: "/account/verify", file: "account/index.html", can_be_framed: false },
    Page { module: Module::Mail, path: "/account/reset", file: "account/index.html", can_be_framed: false },
];

/// Files that are sent with their placeholders filled in, and never as they are.
const TEMPLATES: [&str; 3] = [".html", "/sw.js", ".webmanifest"];

/// How long a browser keeps a file whose path contains the version.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// For what has the same path in every version.
const REVALIDATED: HeaderValue = HeaderValue::from_static("no-cache");

/// Compressed files by their hash.
static COMPRESSED: LazyLock<Cache<[u8; 32], Bytes>> = LazyLock::new(|| Cache::new(500));

/// Returns the routes of the pages whose modules are switched on, and of their files.
pub fn pages(settings: &Settings) -> Router<RestState> {
    let modules = Arc::new(settings.modules.clone());
    let files =
        async move |path: Path<(String, String)>, headers: HeaderMap| versioned(&modules, path, &headers);
    let mut router = Router::new().route("/web/{version}/{*path}", get(files));
    let facts = Arc::new(Facts::of(settings));
    if settings.modules.has(Module::Ui) {
        for (path, file, kind) in [
            // At the root, to serve the pages below it.
            ("/sw.js", "app/sw.js", "text/javascript; charset=utf-8"),
            ("/manifest.webmanifest", "app/manifest.webmanifest", "application/manifest+json"),
        ] {
            // What a service worker may fetch is decided by its own policy.
            let (facts, policy) = (facts.clone(), Arc::<str>::from(policy(settings, false)));
            let answer =
                async move |headers: HeaderMap| answer_template(file, kind, &facts, &policy, &headers);
            router = router.route(path, get(answer));
        }
    }
    for page in PAGES.into_iter().filter(|page| settings.modules.has(page.module)) {
        let (facts, policy) = (facts.clone(), Arc::<str>::from(policy(settings, page.can_be_framed)));
        let answer = async move |headers: HeaderMap| {
            let mut response =
                answer_template(page.file, "text/html; charset=utf-8", &facts, &policy, &headers)?;
            if page.can_be_framed {
                // Older than `frame-ancestors`, which allows more, and ignored by browsers that know both.
                let same = HeaderValue::from_static("SAMEORIGIN");
                response.headers_mut().insert(header::X_FRAME_OPTIONS, same);
            }
            Ok::<_, Problem>(response)
        };
        router = router.route(page.path, get(answer));
    }
    router
}

/// Returns the Content-Security-Policy of a page: everything from this server, pictures and recordings also from the
/// store that signed URLs lead to. `blob:` and `data:` are for files before they are sent.
fn policy(settings: &Settings, can_be_framed: bool) -> String {
    let store = match &settings.storage {
        StorageKind::S3(s3) => s3.endpoint.as_deref().map_or_else(
            || " https://*.amazonaws.com".to_owned(),
            |endpoint| match Url::parse(endpoint) {
                // The bucket may be a part of the host's name.
                Ok(url) => format!(" {0} {1}", url.origin().ascii_serialization(), with_any_subdomain(&url)),
                Err(_) => String::new(),
            },
        ),
        StorageKind::Local => String::new(),
    };
    let ancestors = match (can_be_framed, &settings.cors_origins) {
        (false, _) => "'none'".to_owned(),
        (true, CorsOrigins::Any) => "'self'".to_owned(),
        (true, CorsOrigins::Listed(list)) => format!("'self' {}", list.join(" ")),
    };
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; manifest-src 'self'; \
         worker-src 'self'; connect-src 'self'; img-src 'self' data: blob:{store}; \
         media-src 'self' data: blob:{store}; base-uri 'none'; form-action 'none'; \
         frame-ancestors {ancestors}; require-trusted-types-for 'script'; trusted-types mango"
    )
}

fn with_any_subdomain(url: &Url) -> String {
    let port = url.port().map(|it| format!(":{it}")).unwrap_or_default();
    match url.domain() {
        Some(domain) => format!("{}://*.{domain}{port}", url.scheme()),
        None => String::new(),
    }
}

/// What the pages know of the server before they ask it.
struct Facts {
    /// The path of the server with a slash at the end; absolute, because a page is also served with one.
    root: String,
    /// The demo users, only where there are any.
    demo: &'static str,
    /// Who may register: `open`, `invite` or `closed`.
    registration: &'static str,
    /// The modules that are switched on, separated by spaces.
    modules: String,
}

impl Facts {
    fn of(settings: &Settings) -> Self {
        Self {
            root: format!("{}/", settings.public_url.path()),
            demo: if settings.environment == Environment::Local { "alice bob carol" } else { "" },
            registration: match settings.registration {
                Registration::Open => "open",
                Registration::Invite => "invite",
                Registration::Closed => "closed",
            },
            modules: settings.modules.names().join(" "),
        }
    }
}

/// Answers with a file that is never cached without being checked, under a policy.
fn answer_template(
    file: &str,
    kind: &'static str,
    facts: &Facts,
    policy: &str,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let text = template(file, facts)?;
    let hash = Sha256::digest(&text).into();
    let mut response = answer(headers, kind, text.into_bytes().into(), hash, REVALIDATED);
    let policy = HeaderValue::from_str(policy).map_err(Error::internal)?;
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}

/// The folders of the pages, and the modules that use them.
const FOLDERS: [(&str, &[Module]); 4] = [
    // The admin panel forgets what the client has stored when somebody signs out.
    ("app/", &[Module::Ui, Module::Admin]),
    ("admin/", &[Module::Admin]),
    ("events/", &[Module::Docs]),
    ("account/", &[Module::Mail]),
];

/// Handles `GET /web/{version}/{path}`.
fn versioned(
    modules: &Modules,
    Path((version, path)): Path<(String, String)>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    if version != *current_version() {
        let text = "this version of the page is no longer served; load the page again";
        return Err(Error::new(Code::NotFound, text).into());
    }
    let folder = FOLDERS.iter().find(|(folder, _)| path.starts_with(folder));
    let is_off = folder.is_some_and(|(_, of)| !of.iter().any(|module| modules.has(*module)));
    let is_template = TEMPLATES.iter().any(|end| path.ends_with(end));
    let file = find(&path)
        .filter(|_| !is_template && !is_off)
        .ok_or_else(|| Error::new(Code::NotFound, "there is nothing at this path"))?;
    let hash = file.metadata.sha256_hash();
    let body = match file.data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    };
    Ok(answer(headers, media_type(&path), body, hash, FOR_EVER))
}

/// Finds a file of the pages, or below `client/` one of the SDK.
fn find(path: &str) -> Option<EmbeddedFile> {
    match path.strip_prefix("client/") {
        Some(name) => Client::get(name),
        None => Web::get(path),
    }
}

/// Returns a text file with what is known of the server filled in: `{root}`, `{version}`, `{demo}`, `{registration}`,
/// `{modules}`, and `{files}` (a JSON array of the paths below `web/{version}/`).
fn template(name: &str, facts: &Facts) -> Result<String> {
    let file = Web::get(name)
        .ok_or_else(|| Error::new(Code::NotFound, "this build does not contain the web pages"))?;
    let text = String::from_utf8(file.data.into_owned()).map_err(Error::internal)?;
    let mut text = text
        .replace("{root}", &facts.root)
        .replace("{version}", &current_version())
        .replace("{demo}", facts.demo)
        .replace("{registration}", facts.registration)
        .replace("{modules}", &facts.modules);
    if text.contains("{files}") {
        let is_shell = |name: &String| {
            (name.starts_with("app/") || name.starts_with("shared/"))
                && !TEMPLATES.iter().any(|end| name.ends_with(end))
        };
        let mut files: Vec<String> = Web::iter().map(|it| it.to_string()).filter(is_shell).collect();
        files.push("client/mango-chat.js".to_owned());
        text = text.replace("{files}", &serde_json::to_string(&files).map_err(Error::internal)?);
    }
    Ok(text)
}

/// Returns the hash of all files. Those of a debug build change while the server runs; a page asks for dozens of them at
/// once.
fn current_version() -> Arc<str> {
    static VERSION: LazyLock<Cache<(), Arc<str>>> = LazyLock::new(|| {
        let cache = Cache::builder().max_capacity(1);
        if cfg!(debug_assertions) {
            cache.time_to_live(Duration::from_secs(1)).build()
        } else {
            cache.build()
        }
    });
    VERSION.get_with((), hash_of_files)
}

fn hash_of_files() -> Arc<str> {
    let mut hash = Sha256::new();
    let web = Web::iter().filter_map(|name| Some((name.clone(), Web::get(&name)?)));
    let client = Client::iter().filter_map(|name| Some((name.clone(), Client::get(&name)?)));
    for (name, file) in web.chain(client) {
        hash.update(name.as_bytes());
        hash.update(file.metadata.sha256_hash());
    }
    let mut text = String::with_capacity(16);
    for byte in hash.finalize().iter().take(8) {
        let _ = write!(text, "{byte:02x}");
    }
    text.into()
}

/// Returns the media type of a file by its extension.
fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" => "application/json",
        "png" => "image/png",
        "webp" => "image/webp",
        "html" => "text/html; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Answers with a file, compressed if the browser accepts it, or with 304 if the browser has it.
fn answer(
    request: &HeaderMap,
    kind: &'static str,
    body: Bytes,
    hash: [u8; 32],
    caching: HeaderValue,
) -> Response {
    let text = |name| request.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let is_text = !matches!(kind, "image/png" | "image/webp");
    let compressed = is_text
        .then(|| text(header::ACCEPT_ENCODING))
        .filter(|accepted| accepts_gzip(accepted))
        .and_then(|_| COMPRESSED.try_get_with(hash, || compress(&body)).ok());
    let mut tag = String::from("\"");
    for byte in hash.iter().take(8) {
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push_str(if compressed.is_some() { "-gzip\"" } else { "\"" });
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, caching);
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.extend(HeaderValue::from_str(&tag).map(|it| (header::ETAG, it)));
    if text(header::IF_NONE_MATCH).contains(&tag) {
        return (axum::http::StatusCode::NOT_MODIFIED, headers).into_response();
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    match compressed {
        Some(compressed) => {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            (headers, compressed).into_response()
        }
        None => (headers, body).into_response(),
    }
}

/// Whether an `Accept-Encoding` header names gzip with a weight above 0 (RFC 9110, section 12.5.3).
fn accepts_gzip(header: &str) -> bool {
    header.split(',').any(|part| {
        let (name, weight) = part.split_once(';').unwrap_or((part, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_ok_and(|it| it > 0.0)
    })
}

fn compress(body: &[u8]) -> io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body)?;
    Ok(encoder.finish()?.into())
}

#[cfg(test)]
mod tests {
    use super::accepts_gzip;

    #[test]
    fn only_browsers_that_accept_gzip_get_it() {
        for header in ["gzip", "br, gzip", "GZIP;q=0.5", "deflate, gzip;q=1.0"] {
            assert!(accepts_gzip(header), "{header}");
        }
        for header in ["", "br", "gzip;q=0", "gzip;q=0.0", "x-gzip-not", "identity"] {
            assert!(!accepts_gzip(header), "{header}");
        }
    }
}

//! The server's own URL, and the web origins that may call it.

use super::Environment;
use super::public_url::PublicUrl;
use super::reader::{BadSetting, Reader, bad};

/// Web origins that may send credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorsOrigins {
    /// All origins may call, without credentials.
    Any,
    /// These origins may call, with credentials.
    Listed(Vec<String>),
}

/// Reads the URL that clients use to reach the server; `port` is the one it listens on.
pub(super) fn read_public_url(
    r: &mut Reader<'_>,
    environment: Environment,
    port: u16,
) -> Result<PublicUrl, BadSetting> {
    let default = match port {
        port if environment == Environment::Local && port != 0 => format!("http://localhost:{port}"),
        _ => "http://localhost:5000".to_owned(),
    };
    let url = r
        .raw(
            "PUBLIC_URL",
            "http://localhost:5000",
            "URL by which clients reach the server; https makes cookies Secure, a path is kept in links and cookies",
        )
        .unwrap_or(default);
    PublicUrl::parse(&url)
        .ok_or_else(|| bad("PUBLIC_URL", &url, "a URL that begins with http:// or https://, without ? and #"))
}

pub(super) fn read_cors(r: &mut Reader<'_>) -> Result<CorsOrigins, BadSetting> {
    r.read(
        "CORS_ORIGINS",
        "*",
        "comma-separated origins whose pages may send credentials; * allows all pages, without credentials",
        "* or a comma-separated list of origins such as https://chat.example.org",
        |value| {
            if value == "*" {
                return Some(CorsOrigins::Any);
            }
            let listed: Vec<String> =
                value.split(',').map(|it| it.trim().trim_end_matches('/').to_owned()).collect();
            listed
                .iter()
                .all(|it| it.starts_with("http://") || it.starts_with("https://"))
                .then_some(CorsOrigins::Listed(listed))
        },
    )
}

//! Cookies, and when they count. A page of another origin can make a browser send them, so they count only if `Origin`
//! is absent, is the server's own, or is listed in `CORS_ORIGINS`.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::config::{CorsOrigins, Settings};
use crate::domain::sessions::TokenPair;
use crate::error::{Error, Result};

/// Returns the value of a cookie, unless it is empty.
pub fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.trim().to_owned())
        .filter(|value| !value.is_empty())
}

/// Returns whether the cookies of this request count.
pub fn may_use_cookies(settings: &Settings, headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    if origins.next().is_some() {
        return false;
    }
    let listed = match &settings.cors_origins {
        CorsOrigins::Any => false,
        CorsOrigins::Listed(list) => list.iter().any(|it| it == origin),
    };
    listed || origin == settings.public_url.origin() || is_own_host(settings, origin, headers)
}

/// Returns whether the host of the origin is the one that the request was sent to. If the server uses HTTPS, an origin
/// with plain HTTP does not count, because an attacker on the network may have written that page.
fn is_own_host(settings: &Settings, origin: &str, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let by_http = origin.strip_prefix("http://").filter(|_| !settings.is_https());
    let origin_host = by_http.or_else(|| origin.strip_prefix("https://"));
    matches!((host, origin_host), (Some(host), Some(origin)) if host.eq_ignore_ascii_case(origin))
}

/// Paths that the cookie of the refresh token is sent to.
const REFRESH_PATHS: [&str; 2] = ["/auth", "/user/refresh"];

/// Sets the cookies of a login or a refresh.
pub fn set_cookies(settings: &Settings, pair: &TokenPair, headers: &mut HeaderMap) -> Result<()> {
    add(headers, settings, "access_token", &pair.access_token, "/", pair.expires_in)?;
    if let Some(refresh) = &pair.refresh_token {
        for path in REFRESH_PATHS {
            add(headers, settings, "refresh_token", refresh, path, pair.refresh_expires_in)?;
        }
    }
    Ok(())
}

/// Removes the cookies.
pub fn clear_cookies(settings: &Settings, headers: &mut HeaderMap) -> Result<()> {
    add(headers, settings, "access_token", "", "/", 0)?;
    for path in REFRESH_PATHS {
        add(headers, settings, "refresh_token", "", path, 0)?;
    }
    Ok(())
}

fn add(
    headers: &mut HeaderMap,
    settings: &Settings,
    name: &str,
    value: &str,
    path: &str,
    max_age: i64,
) -> Result<()> {
    let secure = if settings.is_https() { "; Secure" } else { "" };
    let base = settings.public_url.path();
    let path = if path == "/" && !base.is_empty() { base.to_owned() } else { format!("{base}{path}") };
    let text = format!("{name}={value}; Path={path}; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}");
    let value = HeaderValue::from_str(&text).map_err(Error::internal)?;
    headers.append(header::SET_COOKIE, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(cors: &str, public_url: &str) -> Settings {
        Settings::from_source(&|name| match name {
            "CORS_ORIGINS" => Some(cors.to_owned()),
            "PUBLIC_URL" => Some(public_url.to_owned()),
            _ => None,
        })
        .expect("settings")
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().expect("name"), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn cookies_count_only_for_pages_of_our_own() {
        let plain = settings("*", "http://chat.example.org");
        let secure = settings("*", "https://chat.example.org");
        let host = ("host", "10.0.0.1:5000");
        for (settings, own) in [
            (&plain, "http://chat.example.org"),
            (&plain, "http://10.0.0.1:5000"),
            (&secure, "https://chat.example.org"),
            (&secure, "https://10.0.0.1:5000"),
        ] {
            assert!(may_use_cookies(settings, &headers(&[host])));
            assert!(may_use_cookies(settings, &headers(&[host, ("origin", own)])), "{own}");
        }
        for foreign in [
            "https://evil.example.org",
            "null",
            "http://10.0.0.1:5001",
            "http://10.0.0.1:5000",
            "http://chat.example.org",
            "https://chat.example.org.evil",
        ] {
            assert!(!may_use_cookies(&secure, &headers(&[host, ("origin", foreign)])), "{foreign}");
        }
        let listed = settings("https://app.example.org", "https://chat.example.org");
        assert!(may_use_cookies(&listed, &headers(&[host, ("origin", "https://app.example.org")])));
        assert!(!may_use_cookies(&listed, &headers(&[host, ("origin", "https://evil.example.org")])));
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let headers = headers(&[("cookie", "a=1; access_token=x.y.z; b=2")]);
        assert_eq!(cookie(&headers, "access_token").as_deref(), Some("x.y.z"));
        assert_eq!(cookie(&headers, "token"), None);
    }
}

//! Headers that browsers act on: security headers on every response, and what other origins may do.

use reqwest::header::HeaderMap;
use reqwest::{Method, Response};
use serde_json::json;

use crate::support::{PASSWORD, TestApp};

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().expect("text"))
}

#[harness::test]
async fn every_response_has_security_headers() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let login = json!({"username": "alice", "password": PASSWORD});
    let token = Some(alice.access.as_str());
    for (method, path, token, body) in [
        (Method::GET, "/health/live", None, None),
        (Method::GET, "/user/me", token, None),
        (Method::GET, "/user/me", None, None),
        (Method::GET, "/nowhere", None, None),
        (Method::PUT, "/auth/login", None, None),
        (Method::POST, "/auth/login", None, Some(login)),
        (Method::POST, "/auth/refresh", None, Some(json!({"refresh_token": alice.refresh}))),
        (Method::POST, "/user", None, Some(json!({}))),
        (Method::GET, "/chat", token, None),
        (Method::POST, "/events/sync", token, Some(json!({}))),
        (Method::GET, "/socket.io/?EIO=4&transport=polling", None, None),
        (Method::GET, "/openapi.json", None, None),
        (Method::GET, "/asyncapi.json", None, None),
        (Method::GET, "/docs/", None, None),
        (Method::GET, "/docs/swagger-ui-bundle.js", None, None),
        (Method::GET, "/client/mango-chat.js", None, None),
        (Method::GET, "/static/mango-01/original.jpeg", None, None),
        (Method::GET, "/static/nobody/original.jpeg", None, None),
        (Method::OPTIONS, "/user", None, None),
    ] {
        let answer = app.raw(method.clone(), path, token, body).await;
        let headers = answer.headers();
        let what = format!("{method} {path}: {headers:?}");
        assert_eq!(text(headers, "x-content-type-options"), "nosniff", "{what}");
        assert_eq!(text(headers, "x-frame-options"), "DENY", "{what}");
        assert_eq!(text(headers, "referrer-policy"), "no-referrer", "{what}");
        let policy = text(headers, "content-security-policy");
        assert!(policy.contains("frame-ancestors 'none'"), "{what}");
        assert!(!policy.contains("unsafe-eval") && !policy.contains("script-src"), "{what}");
        assert_eq!(policy.contains("'unsafe-inline'"), path.starts_with("/docs"), "{what}");
        let public = path.starts_with("/static") || path.starts_with("/client");
        let whose = if public { "cross-origin" } else { "same-origin" };
        assert_eq!(text(headers, "cross-origin-resource-policy"), whose, "{what}");
        let kept = public || path.starts_with("/docs") || path.ends_with("api.json");
        assert_eq!(text(headers, "cache-control") == "no-store", !kept, "{what}");
        assert!(!headers.contains_key("strict-transport-security"), "only on https: {what}");
        assert!(headers.contains_key("x-request-id"), "{what}");
        assert!(!headers.contains_key("server") && !headers.contains_key("x-powered-by"), "{what}");
    }
    let photo = app.raw(Method::GET, "/static/mango-01/original.jpeg", None, None).await;
    assert_eq!(text(photo.headers(), "cache-control"), "public, max-age=31536000, immutable");
}

#[harness::test]
async fn strict_transport_security_is_sent_on_https() {
    let app = TestApp::with(&[("PUBLIC_URL", "https://chat.example.org")]).await;
    let answer = app.raw(Method::GET, "/health/live", None, None).await;
    assert_eq!(text(answer.headers(), "strict-transport-security"), "max-age=31536000");
}

async fn preflight(app: &TestApp, origin: &str, path: &str, method: &str) -> Response {
    app.http
        .request(Method::OPTIONS, format!("{}{path}", app.url))
        .header("origin", origin)
        .header("access-control-request-method", method)
        .header("access-control-request-headers", "auth,authorization,content-type")
        .send()
        .await
        .expect("an answer")
}

#[harness::test]
async fn a_wildcard_allows_every_origin_without_credentials() {
    let app = TestApp::start().await;
    for (path, method) in [("/user/me", "PATCH"), ("/events/sync", "POST"), ("/socket.io/", "GET")] {
        let answer = preflight(&app, "https://anywhere.example.org", path, method).await;
        let headers = answer.headers();
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(text(headers, "access-control-allow-origin"), "*", "never the caller's own: {path}");
        assert!(!headers.contains_key("access-control-allow-credentials"), "{path}");
        assert!(text(headers, "access-control-allow-methods").contains(method), "{path}");
        let allowed = text(headers, "access-control-allow-headers");
        assert!(["auth", "authorization", "content-type"].iter().all(|it| allowed.contains(it)), "{allowed}");
    }
    let answer =
        app.http.get(format!("{}/health/live", app.url)).header("origin", "https://a.example").send();
    let answer = answer.await.expect("an answer");
    let exposed = text(answer.headers(), "access-control-expose-headers");
    assert!(["link", "x-request-id", "retry-after"].iter().all(|it| exposed.contains(it)), "{exposed}");
}

#[harness::test]
async fn only_listed_origins_are_allowed() {
    let app = TestApp::with(&[("CORS_ORIGINS", "https://app.example.org, http://localhost:3000")]).await;
    for origin in ["https://app.example.org", "http://localhost:3000"] {
        let answer = preflight(&app, origin, "/user/me", "GET").await;
        assert_eq!(text(answer.headers(), "access-control-allow-origin"), origin);
        assert_eq!(text(answer.headers(), "access-control-allow-credentials"), "true");
        assert!(text(answer.headers(), "vary").contains("origin"), "caches keep origins apart");
    }
    for origin in
        ["https://evil.example.org", "http://app.example.org", "null", "https://app.example.org.evil"]
    {
        for path in ["/user/me", "/socket.io/?EIO=4&transport=polling"] {
            let answer = preflight(&app, origin, path, "GET").await;
            assert!(!answer.headers().contains_key("access-control-allow-origin"), "{origin} {path}");
            let answer = app.http.get(format!("{}{path}", app.url)).header("origin", origin).send().await;
            let answer = answer.expect("an answer");
            assert!(!answer.headers().contains_key("access-control-allow-origin"), "{origin} {path}");
        }
    }
}

#[harness::test]
async fn a_rate_limit_error_is_readable_from_other_origins() {
    let app = super::limited(&[("RATE_LOGIN", "1/h:1")]).await;
    let login = async || {
        app.http
            .post(format!("{}/auth/login", app.url))
            .header("origin", "https://anywhere.example.org")
            .json(&json!({"username": "nobody", "password": "12345678"}))
            .send()
            .await
            .expect("an answer")
    };
    assert_eq!(login().await.status(), 401);
    let answer = login().await;
    assert_eq!(answer.status(), 429);
    assert_eq!(text(answer.headers(), "access-control-allow-origin"), "*");
    assert!(text(answer.headers(), "access-control-expose-headers").contains("retry-after"));
    assert!(answer.headers().contains_key("retry-after"));
}

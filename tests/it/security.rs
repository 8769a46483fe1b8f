//! Promises of `docs/security.md` that no other module tests: flags of cookies, unused methods, contradictory request
//! lengths, the rules for passwords, when a session expires, what an error reveals, and no demo users in production.

mod bounds;
mod log;

use std::time::Duration;

use reqwest::Method;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{PASSWORD, TestApp};

#[harness::test]
async fn cookies_are_secure_on_https() {
    let app = TestApp::with(&[("PUBLIC_URL", "https://chat.example.org")]).await;
    app.person("alice").await;
    let payload = json!({"username": "alice", "password": PASSWORD});
    let login = app.raw(Method::POST, "/auth/login", None, Some(payload)).await;
    assert_eq!(login.status(), 200);
    let logout = app.raw(Method::POST, "/auth/logout", None, None).await;
    for answer in [login, logout] {
        let cookies: Vec<_> = answer.headers().get_all("set-cookie").iter().collect();
        assert_eq!(cookies.len(), 3, "{cookies:?}");
        for cookie in cookies {
            let cookie = cookie.to_str().expect("text");
            let flags: Vec<&str> = cookie.split("; ").collect();
            for flag in ["Secure", "HttpOnly", "SameSite=Lax"] {
                assert!(flags.contains(&flag), "{flag} in {cookie}");
            }
            assert!(!cookie.contains("Domain"), "for this host only: {cookie}");
        }
    }
}

#[harness::test]
async fn pages_have_no_opener_and_unused_methods_are_rejected() {
    let app = TestApp::start().await;
    let page = app.raw(Method::GET, "/docs/", None, None).await;
    assert_eq!(page.headers()["cross-origin-opener-policy"], "same-origin");
    let alice = app.person("alice").await;
    for (method, path) in [
        (Method::TRACE, "/user/me"),
        (Method::TRACE, "/health/live"),
        (Method::DELETE, "/auth/login"),
        (Method::PUT, "/chat"),
        (Method::from_bytes(b"PROPFIND").expect("a method"), "/chat"),
    ] {
        let answer = app.raw(method.clone(), path, Some(&alice.access), None).await;
        assert_eq!(answer.status(), 405, "{method} {path}");
        let text = answer.text().await.expect("text");
        assert!(!text.contains(&alice.access), "nothing of the request is sent back: {text}");
    }
}

#[harness::test]
async fn the_front_page_redirects_to_this_host_only() {
    let app = TestApp::start().await;
    let client =
        reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    for path in ["/", "/?next=https://evil.example.org", "//evil.example.org/", "/%2f%2fevil.example.org"] {
        let request = client.get(format!("{}{path}", app.url)).header("x-forwarded-host", "evil.example.org");
        let answer = request.send().await.expect("an answer");
        let leads = answer.headers().get("location").map(|it| it.to_str().expect("text"));
        assert!(matches!(leads, None | Some("/docs/")), "{path} leads to {leads:?}");
    }
}

/// Returns everything that the server sends in answer to these bytes until it closes.
async fn told(app: &TestApp, bytes: &[u8]) -> String {
    let mut stream = tokio::net::TcpStream::connect(&app.host).await.expect("a connection");
    stream.write_all(bytes).await.expect("written");
    let mut text = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut text)).await;
    read.expect("the server closes").expect("answered");
    String::from_utf8_lossy(&text).into_owned()
}

#[harness::test]
async fn an_ambiguous_request_cannot_smuggle_another_one() {
    let app = TestApp::start().await;
    // Depending on which length counts, the second request is part of the first one's body or a request of its own.
    let both = b"POST /user HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n\
        0\r\n\r\nGET /health/live HTTP/1.1\r\nHost: a\r\n\r\n";
    let answers = told(&app, both).await;
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
    assert!(answers.starts_with("HTTP/1.1 4") && !answers.contains("\"ok\""), "{answers}");
    for refused in [
        &b"POST /user HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nContent-Length: 7\r\n\r\nabcdefg"[..],
        b"POST /user HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"GET /health/live HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        // Control characters must not reach the log either.
        b"GET /a\x1b[31mb HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let answer = told(&app, refused).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{}: {answer}", String::from_utf8_lossy(refused));
    }
}

#[harness::test]
async fn a_password_may_contain_any_characters_and_is_compared_exactly() {
    let app = TestApp::start().await;
    let login = async |password: &str| {
        let payload = json!({"username": "alice", "password": password});
        app.send(Method::POST, "/auth/login", None, Some(payload)).await.0.as_u16()
    };
    let register = async |name: &str, password: &str| {
        let payload = json!({"username": name, "password": password});
        app.send(Method::POST, "/user", None, Some(payload)).await.0.as_u16()
    };
    // 128 characters, many more bytes, and white space at both ends.
    let long = format!(" Ünï\u{1f96d}\t{} ", "я".repeat(121));
    assert_eq!(long.chars().count(), 128);
    assert_eq!(register("alice", &long).await, 201);
    assert_eq!(login(&long).await, 200);
    let shorter: String = long.chars().take(127).collect();
    for other in [long.trim(), &long.to_lowercase(), &long.to_uppercase(), &shorter, &format!("{long} ")] {
        assert_eq!(login(other).await, 401, "{other}");
    }
    assert_eq!(register("bob", &format!("{long}x")).await, 422, "129 are refused, not cut");
    for (number, plain) in ["aaaaaaaa", "12345678", "        ", "пароль12"].iter().enumerate() {
        assert_eq!(register(&format!("carol{number}"), plain).await, 201, "{plain:?}");
    }
}

#[harness::test]
async fn a_session_ends_without_refreshes_and_at_its_maximum_age() {
    let refresh = async |app: &TestApp, token: &str| {
        let (status, body) =
            app.send(Method::POST, "/auth/refresh", None, Some(json!({"refresh_token": token}))).await;
        (status.as_u16(), body)
    };
    let idle = TestApp::with(&[("REFRESH_TOKEN_TTL_SECS", "2")]).await;
    let token = idle.person("alice").await.refresh;
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let (status, body) = refresh(&idle, &token).await;
    assert_eq!((status, &body["code"]), (401, &json!("token_expired")));

    let short = TestApp::with(&[("SESSION_MAX_SECS", "3")]).await;
    let alice = short.person("alice").await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let (status, pair) = refresh(&short, &alice.refresh).await;
    assert_eq!(status, 200, "{pair}");
    assert!(pair["expires_in"].as_i64().is_some_and(|seconds| seconds <= 2), "not beyond the end: {pair}");
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    for token in [&alice.access, pair["access_token"].as_str().expect("a token")] {
        let (status, _) = short.send(Method::GET, "/user/me", Some(token), None).await;
        assert_eq!(status, 401);
    }
    let (status, body) = refresh(&short, pair["refresh_token"].as_str().expect("a token")).await;
    assert_eq!((status, &body["code"]), (401, &json!("token_expired")));
}

#[harness::test]
async fn an_internal_error_reveals_no_internals() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let tx = app.server.context.db.begin().await.expect("a transaction");
    tx.conn().execute_unprepared("ALTER TABLE users RENAME TO hidden_users").await.expect("renamed");
    tx.commit_silently().await.expect("committed");
    let (status, mut problem) = app.send(Method::GET, "/user/me", Some(&alice.access), None).await;
    assert_eq!((status.as_u16(), &problem["code"]), (500, &json!("internal")), "{problem}");
    assert!(problem["request_id"].take().is_string());
    let text = problem.to_string().to_lowercase();
    for word in ["users", "select", "sql", "table", "relation", "column", "src/"] {
        assert!(!text.contains(word), "{word} in {text}");
    }
    assert_eq!(problem["errors"], Value::Object(serde_json::Map::new()));
}

#[test]
fn there_are_no_demo_users_in_production() {
    let folder = tempfile::tempdir().expect("a folder");
    let seed = |environment: &str| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_mango-chat"))
            .arg("seed")
            .current_dir(folder.path())
            .env_clear()
            .env("MANGO_ENV", environment)
            .env("JWT_SECRET", "0123456789abcdef0123456789abcdef")
            .env("PASSWORD_HASH", "argon2id,m=64,t=1,p=1")
            .output()
            .expect("runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, complained) = seed("prod");
    assert_eq!(code, Some(2), "{complained}");
    assert!(complained.contains("not in prod"), "{complained}");
    assert_eq!(seed("test").0, Some(0), "it was still empty");
}

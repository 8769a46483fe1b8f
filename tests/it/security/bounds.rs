//! Limits per user: sessions, exchanges of one token, requested mails; and what a page of a foreign origin cannot do to
//! its visitor.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{PASSWORD, TestApp, Transport};

#[harness::test]
async fn an_account_has_at_most_a_hundred_sessions_and_a_new_login_ends_the_oldest() {
    let app = TestApp::start().await;
    let first = app.person("alice").await;
    let mut oldest = app.connect(&first, Transport::MAIN).await;
    for _ in 0..99 {
        app.login("alice").await;
    }
    assert_eq!(app.get("/auth/session", &first).await.as_array().map(Vec::len), Some(100));
    oldest.expect_silence().await;
    let latest = app.login("alice").await;
    oldest.next("session_ended").await;
    oldest.expect_end(Duration::from_secs(1)).await;
    let (status, body) = app.send(Method::GET, "/user/me", Some(&first.access), None).await;
    assert_eq!((status.as_u16(), &body["code"]), (401, &json!("session_ended")));
    assert_eq!(app.get("/auth/session", &latest).await.as_array().map(Vec::len), Some(100));
}

#[harness::test]
async fn exchanges_of_one_refresh_token_are_limited_and_the_session_continues() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let body = json!({"refresh_token": alice.refresh});
    let mut last = Value::Null;
    let mut refused = 0;
    for _ in 0..40 {
        let (status, pair) = app.send(Method::POST, "/auth/refresh", None, Some(body.clone())).await;
        match status.as_u16() {
            200 => last = pair,
            429 => refused += 1,
            other => panic!("{other}: {pair}"),
        }
    }
    assert_eq!(refused, 40 - 32);
    let next = json!({"refresh_token": last["refresh_token"]});
    let (status, pair) = app.send(Method::POST, "/auth/refresh", None, Some(next)).await;
    assert_eq!(status, 200, "{pair}");
}

#[harness::test]
async fn a_page_of_another_origin_cannot_log_a_user_out() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let request = app
        .http
        .post(format!("{}/auth/logout", app.url))
        .header("origin", "https://evil.example.org")
        .header("cookie", format!("access_token={}; refresh_token={}", alice.access, alice.refresh));
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 401);
    assert!(answer.headers().get("set-cookie").is_none(), "{:?}", answer.headers());
    app.get("/user/me", &alice).await;
}

#[harness::test]
async fn requested_mails_are_limited_per_client_and_the_error_reveals_no_account() {
    let settings =
        [("RATE_LIMIT", "on"), ("RATE_MAIL", "2/h"), ("RATE_LOGIN", "1000/min"), ("RATE_REGISTER", "1000/h")];
    let app = TestApp::with(&settings).await;
    let payload = json!({"username": "alice", "password": PASSWORD, "email": "alice@example.org"});
    let (status, _) = app.send(Method::POST, "/user", None, Some(payload)).await;
    assert_eq!(status, 201);
    let mut told = Vec::new();
    for email in ["alice@example.org", "nobody@example.org", "alice@example.org", "nobody@example.org"] {
        let asked =
            app.send(Method::POST, "/auth/password/forgot", None, Some(json!({"email": email}))).await;
        told.push((asked.0.as_u16(), asked.1["code"].clone()));
    }
    // Two mails for this client's address, no matter to whom they are sent.
    assert_eq!(told[..2], [(202, Value::Null), (202, Value::Null)]);
    assert_eq!(told[2..], [(429, json!("rate_limited")), (429, json!("rate_limited"))]);
}

#[harness::test]
async fn a_name_has_no_control_characters_and_a_new_password_must_differ() {
    let app = TestApp::start().await;
    for name in ["two\nlines", "\u{1b}[31mred", "bell\u{7}"] {
        let payload = json!({"username": "alice", "password": PASSWORD, "name": name});
        let (status, problem) = app.send(Method::POST, "/user", None, Some(payload)).await;
        assert_eq!(status, 422, "{problem}");
        assert!(problem["errors"]["name"].is_array(), "{problem}");
    }
    let alice = app.person("alice").await;
    let (status, problem) =
        app.send(Method::PATCH, "/user/me", Some(&alice.access), Some(json!({"name": "a\u{0}b"}))).await;
    assert_eq!(status, 422, "{problem}");
    let same = json!({"password": PASSWORD, "new_password": PASSWORD});
    let (status, problem) =
        app.send(Method::POST, "/auth/password/change", Some(&alice.access), Some(same)).await;
    assert_eq!(status, 422, "{problem}");
    assert!(problem["errors"]["new_password"].is_array(), "{problem}");
    assert_eq!(app.get("/user/me", &alice).await["name"], Value::Null);
}

//! A session lasts while its refresh token is rotated. It ends when it is revoked, or when a refresh token is reused
//! after its successor; then all of its tokens, cookies and sockets are rejected.

use std::time::Duration;

use mango_chat::clock::Clock;
use mango_chat::ids::{SessionId, UserId};
use mango_chat::platform::tokens::{Kind, Tokens};
use reqwest::Method;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};

use crate::support::{PASSWORD, SECRET, Socket, TestApp, Transport};

async fn refresh(app: &TestApp, token: &str) -> (u16, Value) {
    let (status, body) =
        app.send(Method::POST, "/auth/refresh", None, Some(json!({"refresh_token": token}))).await;
    (status.as_u16(), body)
}

/// Exchanges a refresh token and returns the new tokens.
async fn refresh_ok(app: &TestApp, token: &str) -> Value {
    let (status, tokens) = refresh(app, token).await;
    assert_eq!(status, 200, "{tokens}");
    tokens
}

/// Checks that a refresh token is rejected with this code.
async fn expect_refresh_error(app: &TestApp, token: &str, code: &str) {
    let (status, body) = refresh(app, token).await;
    assert_eq!((status, &body["code"]), (401, &json!(code)), "{body}");
}

fn text(body: &Value, name: &str) -> String {
    body[name].as_str().unwrap_or_else(|| panic!("{body} has no {name}")).to_owned()
}

/// Makes all refreshes eleven seconds older, so that a later one does not count as simultaneous.
async fn age_refreshes(app: &TestApp) {
    let tx = app.server.context.db.begin().await.expect("begun");
    let sql = "UPDATE refresh_tokens SET exchanged_at = exchanged_at - 11000";
    tx.conn().execute_unprepared(sql).await.expect("updated");
    tx.commit_silently().await.expect("committed");
}

#[harness::test]
async fn concurrent_logins_that_renew_a_password_hash_all_succeed() {
    let app = TestApp::with(&[("PASSWORD_HASH", "argon2id,m=64,t=1,p=1")]).await;
    app.person("alice").await;
    let url = app.server.context.settings.database.url.clone();
    let TestApp { server, folder, .. } = app;
    server.shutdown().await;
    let app = TestApp::on(folder, &url, &[("PASSWORD_HASH", "argon2id,m=128,t=2,p=1")]).await;

    let body = json!({"username": "alice", "password": PASSWORD});
    let logins = (0..8).map(|_| app.send(Method::POST, "/auth/login", None, Some(body.clone())));

    for (status, tokens) in futures_util::future::join_all(logins).await {
        assert_eq!(status, 200, "{tokens}");
    }
}

#[harness::test]
async fn reusing_a_refresh_token_after_its_successor_was_used_ends_the_session() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let second = refresh_ok(&app, &alice.refresh).await;
    // Two tabs refresh concurrently: the second one sends its request after the first one has continued.
    let third = refresh_ok(&app, &text(&second, "refresh_token")).await;
    let third_of_other_tab = refresh_ok(&app, &alice.refresh).await;

    age_refreshes(&app).await;
    expect_refresh_error(&app, &alice.refresh, "refresh_reused").await;

    for token in [text(&third, "refresh_token"), text(&third_of_other_tab, "refresh_token")] {
        expect_refresh_error(&app, &token, "session_ended").await;
    }
    let (status, body) = app.send(Method::GET, "/user/me", Some(&text(&third, "access_token")), None).await;
    assert_eq!((status.as_u16(), &body["code"]), (401, &json!("session_ended")));
    socket.next("session_ended").await;
    socket.expect_end(Duration::from_secs(2)).await;
    assert!(socket.dismissed, "a DISCONNECT, so that the client does not reconnect by itself");
}

#[harness::test]
async fn a_client_that_lost_refresh_responses_can_retry_at_any_time_and_any_number_of_times() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let mut lost = Vec::new();
    for _ in 0..40 {
        lost.push(text(&refresh_ok(&app, &alice.refresh).await, "refresh_token"));
        age_refreshes(&app).await;
    }

    let rows = "SELECT COUNT(*) FROM refresh_tokens";
    let statement = Statement::from_string(app.server.context.db.backend(), rows);
    let row = app.server.context.db.read().query_one_raw(statement).await.expect("read").expect("a row");
    let count: i64 = row.try_get_by_index(0).expect("a number");
    assert!(count <= 33, "lost responses leave {count} rows");

    let received = lost.pop().expect("a token");
    let next = refresh_ok(&app, &received).await;
    // This response is lost too, and reaches an attacker long after it was replaced.
    age_refreshes(&app).await;
    let retry = refresh_ok(&app, &received).await;
    expect_refresh_error(&app, &text(&next, "refresh_token"), "refresh_reused").await;
    expect_refresh_error(&app, &text(&retry, "refresh_token"), "session_ended").await;
}

#[harness::test]
async fn using_both_successors_of_one_refresh_token_ends_the_session() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let (_, first) = refresh(&app, &alice.refresh).await;
    let (_, second) = refresh(&app, &alice.refresh).await;

    let third = refresh_ok(&app, &text(&second, "refresh_token")).await;
    // One client uses one successor only, so the other one must be in the hands of an attacker.
    expect_refresh_error(&app, &text(&first, "refresh_token"), "refresh_reused").await;
    expect_refresh_error(&app, &text(&third, "refresh_token"), "session_ended").await;
}

#[harness::test]
async fn concurrent_refreshes_with_one_token_all_succeed() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;

    let responses = futures_util::future::join_all((0..8).map(|_| refresh(&app, &alice.refresh))).await;

    for (status, body) in responses {
        assert_eq!(status, 200, "{body}");
        let (status, me) = app.send(Method::GET, "/user/me", Some(&text(&body, "access_token")), None).await;
        assert_eq!(status, 200, "{me}");
    }
}

#[harness::test]
async fn ending_a_session_closes_its_sockets_within_a_second_and_no_others() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let phone = app.login("alice").await;
    let mut sockets = Vec::new();
    for transport in Transport::ALL {
        sockets.push(app.connect(&phone, transport).await);
    }
    let mut other = app.connect(&alice, Transport::MAIN).await;
    let sessions = app.get("/auth/session", &phone).await;
    let current = sessions
        .as_array()
        .expect("a list")
        .iter()
        .find(|it| it["current"] == json!(true))
        .expect("the current session");
    let path = format!("/auth/session/{}", current["id"]);

    let (status, _) = app.send(Method::DELETE, &path, Some(&alice.access), None).await;
    assert_eq!(status, 204);
    for socket in &mut sockets {
        socket.next("session_ended").await;
        socket.expect_end(Duration::from_secs(1)).await;
        assert!(socket.dismissed);
    }

    other.expect_silence().await;
    assert_eq!(other.call("history", json!({"chat": {"id": 1}})).await["error"]["code"], json!("not_found"));
    let rejected = Socket::open(&app.host, Some(&phone.access), Transport::MAIN).await.err();
    assert_eq!(rejected.as_deref(), Some("unauthorized: session_ended"));
    let (status, _) = app.send(Method::DELETE, &path, Some(&alice.access), None).await;
    assert_eq!(status, 404, "the session has ended already");
}

#[harness::test]
async fn a_socket_is_warned_before_its_token_expires_and_accepts_a_new_token() {
    let app = TestApp::with(&[("ACCESS_TOKEN_TTL_SECS", "6")]).await;
    let alice = app.person("alice").await;
    let mut renewed_socket = app.connect(&alice, Transport::MAIN).await;
    let mut expired_socket = app.connect(&alice, Transport::ALL[1]).await;

    renewed_socket.next("token_expiring").await;
    expired_socket.next("token_expiring").await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;

    let (_, tokens) = refresh(&app, &alice.refresh).await;
    let renewed = renewed_socket.call("authenticate", json!({"token": tokens["access_token"]})).await;
    assert!(renewed["expires_at"].is_string(), "{renewed}");

    expired_socket.next("token_expired").await;
    expired_socket.expect_end(Duration::from_secs(2)).await;
    assert!(expired_socket.dismissed);
    assert_eq!(
        renewed_socket.call("history", json!({"chat": {"id": 1}})).await["error"]["code"],
        json!("not_found")
    );

    let bob = app.person("bob").await;
    let rejected = renewed_socket.call("authenticate", json!({"token": bob.access})).await;
    assert_eq!(rejected["error"]["code"], json!("token_invalid"), "{rejected}");
    let (status, body) = app.send(Method::GET, "/user/me", Some(&alice.access), None).await;
    assert_eq!((status.as_u16(), &body["code"]), (401, &json!("token_expired")));
}

#[harness::test]
async fn forged_expired_and_misused_tokens_are_rejected() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let clock = Clock::system();
    let expires_at = clock.now() + 60_000;
    let other_key = Tokens::new("another-secret-of-at-least-32-bytes!", clock.clone());
    let server_key = Tokens::new(SECRET, clock.clone());
    let issue = |tokens: &Tokens, kind, user, session, expires_at| {
        tokens.issue(kind, UserId(user), SessionId(session), expires_at).expect("a token").token
    };
    // `{"alg":"none","typ":"JWT"}` before a valid payload.
    let payload = alice.access.split('.').nth(1).expect("a payload");
    let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}.");
    let mut tampered = alice.access.clone();
    tampered.replace_range(tampered.len() - 2.., "AA");

    for (token, code) in [
        (issue(&other_key, Kind::Access, alice.id, 1, expires_at), "token_invalid"),
        (unsigned, "token_invalid"),
        (tampered, "token_invalid"),
        (alice.refresh.clone(), "token_invalid"),
        (issue(&server_key, Kind::Access, alice.id, 1, clock.now() - 1_000), "token_expired"),
        (issue(&server_key, Kind::Access, alice.id, 999_999, expires_at), "session_ended"),
        (issue(&server_key, Kind::Access, alice.id + 1, 1, expires_at), "session_ended"),
    ] {
        let (status, body) = app.send(Method::GET, "/user/me", Some(&token), None).await;
        assert_eq!((status.as_u16(), &body["code"]), (401, &json!(code)), "{token}");
        let rejected = Socket::open(&app.host, Some(&token), Transport::MAIN).await.err().unwrap_or_default();
        assert_eq!(rejected, format!("unauthorized: {code}"));
    }

    // An access token is not a refresh token.
    expect_refresh_error(&app, &alice.access, "token_invalid").await;
}

#[harness::test]
async fn cookies_are_accepted_from_pages_of_the_same_origin_only() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let get_with_cookie = async |origin: Option<&str>| {
        let mut request = app.http.get(format!("{}/user/me", app.url));
        request = request.header("cookie", format!("access_token={}", alice.access));
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        request.send().await.expect("a response").status().as_u16()
    };

    assert_eq!(get_with_cookie(None).await, 200);
    assert_eq!(get_with_cookie(Some(&app.url)).await, 200);
    for other_origin in ["https://evil.example.org", "null", "http://127.0.0.1:1"] {
        assert_eq!(get_with_cookie(Some(other_origin)).await, 401, "{other_origin}");
    }

    let login = app
        .raw(
            Method::POST,
            "/auth/login",
            None,
            Some(json!({"username": "alice", "password": crate::support::PASSWORD})),
        )
        .await;
    let logout = app.raw(Method::POST, "/auth/logout", Some(&alice.access), None).await;
    for response in [login, logout] {
        let cookies: Vec<&str> =
            response.headers().get_all("set-cookie").iter().map(|it| it.to_str().expect("text")).collect();
        let names_and_paths: Vec<_> = cookies.iter().map(|cookie| name_and_path(cookie)).collect();
        let expected = [
            ("access_token", "Path=/"),
            ("refresh_token", "Path=/auth"),
            ("refresh_token", "Path=/user/refresh"),
        ];
        assert_eq!(names_and_paths, expected, "the refresh token is sent only to the paths that exchange it");
        for cookie in cookies {
            assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
            assert!(!cookie.contains("Secure"), "the cookie is Secure on HTTPS only");
        }
    }
}

fn name_and_path(cookie: &str) -> (&str, &str) {
    let name = cookie.split('=').next().unwrap_or_default();
    (name, cookie.split("; ").find(|part| part.starts_with("Path=")).unwrap_or_default())
}

#[harness::test]
async fn a_browser_with_an_expired_access_cookie_can_log_out() {
    let app = TestApp::with(&[("ACCESS_TOKEN_TTL_SECS", "2")]).await;
    let (alice, other) = (app.person("alice").await, app.login("alice").await);
    let logout = async |cookies: &str| {
        let request = app.http.post(format!("{}/auth/logout", app.url)).header("cookie", cookies);
        let response = request.send().await.expect("a response");
        (response.status().as_u16(), response.headers().get_all("set-cookie").iter().count())
    };

    tokio::time::sleep(Duration::from_millis(2_500)).await;

    // Neither an access token nor a forged one is accepted as a refresh token; the cookies are cleared anyway.
    for invalid in ["", &format!("refresh_token={}", alice.access), "refresh_token=a.b.c"] {
        assert_eq!(logout(invalid).await, (401, 3), "{invalid}");
    }

    for (user, cookies) in [
        // The browser has dropped the expired access token, or still sends it.
        (&alice, format!("refresh_token={}", alice.refresh)),
        (&other, format!("access_token={}; refresh_token={}", other.access, other.refresh)),
    ] {
        let with_bearer = app.http.post(format!("{}/auth/logout", app.url)).header("cookie", &cookies);
        let with_bearer = with_bearer.bearer_auth(&alice.access).send().await.expect("a response");
        let clears_cookies = with_bearer.headers().contains_key("set-cookie");
        assert_eq!(
            (with_bearer.status().as_u16(), clears_cookies),
            (401, false),
            "a bearer token takes precedence over cookies"
        );
        assert_eq!(logout(&cookies).await, (204, 3));
        assert_eq!(logout(&cookies).await, (401, 3), "the session has ended already");
        expect_refresh_error(&app, &user.refresh, "session_ended").await;
    }
}

#[harness::test]
async fn logins_with_an_unknown_user_and_with_a_wrong_password_are_indistinguishable() {
    // Expensive enough that a skipped hash would be measurable.
    let app = TestApp::with(&[("PASSWORD_HASH", "argon2id,m=8192,t=2,p=1")]).await;
    app.person("alice").await;

    let mut elapsed = [Duration::ZERO; 2];
    let mut bodies = Vec::new();
    for round in 0..10 {
        let index = round % 2;
        let username = ["alice", "nobody"][index];
        let credentials = json!({"username": username, "password": "wrong password"});
        let started = std::time::Instant::now();
        let (status, mut body) = app.send(Method::POST, "/auth/login", None, Some(credentials)).await;
        elapsed[index] += started.elapsed();
        assert_eq!(status, 401);
        body["request_id"] = Value::Null;
        bodies.push(body);
    }

    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    let ratio = elapsed[1].as_secs_f64() / elapsed[0].as_secs_f64();
    assert!((0.3..3.0).contains(&ratio), "unknown users take {ratio} times as long");
}

#[harness::test]
async fn a_password_hash_with_other_parameters_is_accepted_and_renewed_at_login() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = crate::support::fresh_database(&folder).await;
    let app = TestApp::on(folder, &url, &[]).await;
    app.person("alice").await;
    let app_with_higher_cost = TestApp::on(
        tempfile::tempdir().expect("a folder"),
        &url,
        &[("PASSWORD_HASH", "argon2id,m=128,t=2,p=1")],
    )
    .await;

    app_with_higher_cost.login("alice").await;
    let row = mango_chat::domain::users::find(app_with_higher_cost.server.context.db.read(), UserId(1))
        .await
        .expect("alice");
    assert!(row.password_hash.contains("m=128,t=2,p=1"), "the login renews the hash: {}", row.password_hash);

    app.login("alice").await;
}

//! Tokens, their rotation, and how sessions end.

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

fn text(body: &Value, name: &str) -> String {
    body[name].as_str().unwrap_or_else(|| panic!("{name} in {body}")).to_owned()
}

#[harness::test]
async fn many_logins_that_renew_a_hash_at_once_all_succeed() {
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
async fn a_refresh_token_that_comes_back_after_its_successor_was_used_ends_the_family() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let (status, second) = refresh(&app, &alice.refresh).await;
    assert_eq!(status, 200, "{second}");
    // Two tabs at once: one continues before the other sends its request.
    let (status, third) = refresh(&app, &text(&second, "refresh_token")).await;
    assert_eq!(status, 200, "{third}");
    let (status, twin) = refresh(&app, &alice.refresh).await;
    assert_eq!(status, 200, "{twin}");
    wait_for_eleven_seconds(&app).await;
    let (status, stolen) = refresh(&app, &alice.refresh).await;
    assert_eq!((status, &stolen["code"]), (401, &json!("refresh_reused")));
    for token in [text(&third, "refresh_token"), text(&twin, "refresh_token")] {
        let (status, body) = refresh(&app, &token).await;
        assert_eq!((status, &body["code"]), (401, &json!("session_ended")));
    }
    let (status, body) = app.send(Method::GET, "/user/me", Some(&text(&third, "access_token")), None).await;
    assert_eq!((status.as_u16(), &body["code"]), (401, &json!("session_ended")));
    socket.next("session_ended").await;
    socket.expect_end(Duration::from_secs(2)).await;
    assert!(socket.dismissed, "a DISCONNECT, so that the client does not come back by itself");
}

/// Makes all exchanges of refresh tokens eleven seconds older.
async fn wait_for_eleven_seconds(app: &TestApp) {
    let tx = app.server.context.db.begin().await.expect("begun");
    let sql = "UPDATE refresh_tokens SET exchanged_at = exchanged_at - 11000";
    tx.conn().execute_unprepared(sql).await.expect("moved");
    tx.commit_silently().await.expect("committed");
}

#[harness::test]
async fn a_client_that_lost_the_answer_comes_back_however_late_and_often() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let mut lost = Vec::new();
    for _ in 0..40 {
        let (status, pair) = refresh(&app, &alice.refresh).await;
        assert_eq!(status, 200, "{pair}");
        lost.push(text(&pair, "refresh_token"));
        wait_for_eleven_seconds(&app).await;
    }
    let rows = "SELECT COUNT(*) FROM refresh_tokens";
    let statement = Statement::from_string(app.server.context.db.backend(), rows);
    let row = app.server.context.db.read().query_one_raw(statement).await.expect("read").expect("a row");
    let count: i64 = row.try_get_by_index(0).expect("a number");
    assert!(count <= 33, "lost answers fill no database: {count}");
    let arrived = lost.pop().expect("the last one");
    let (status, next) = refresh(&app, &arrived).await;
    assert_eq!(status, 200, "{next}");
    // This answer is lost too, and reaches an attacker long after it was replaced.
    wait_for_eleven_seconds(&app).await;
    let (status, again) = refresh(&app, &arrived).await;
    assert_eq!(status, 200, "{again}");
    let (status, body) = refresh(&app, &text(&next, "refresh_token")).await;
    assert_eq!((status, &body["code"]), (401, &json!("refresh_reused")), "it was replaced");
    let (status, body) = refresh(&app, &text(&again, "refresh_token")).await;
    assert_eq!((status, &body["code"]), (401, &json!("session_ended")));
}

#[harness::test]
async fn of_two_chains_of_one_token_the_one_that_is_used_goes_on() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let (_, first) = refresh(&app, &alice.refresh).await;
    let (_, second) = refresh(&app, &alice.refresh).await;
    let (status, onward) = refresh(&app, &text(&second, "refresh_token")).await;
    assert_eq!(status, 200, "{onward}");
    // An attacker must have used the other token.
    let (status, body) = refresh(&app, &text(&first, "refresh_token")).await;
    assert_eq!((status, &body["code"]), (401, &json!("refresh_reused")));
    let (status, body) = refresh(&app, &text(&onward, "refresh_token")).await;
    assert_eq!((status, &body["code"]), (401, &json!("session_ended")));
}

#[harness::test]
async fn one_token_used_by_many_at_the_same_instant_does_no_harm() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let answers = futures_util::future::join_all((0..8).map(|_| refresh(&app, &alice.refresh))).await;
    for (status, body) in answers {
        assert_eq!(status, 200, "{body}");
        let (status, me) = app.send(Method::GET, "/user/me", Some(&text(&body, "access_token")), None).await;
        assert_eq!(status, 200, "{me}");
    }
}

#[harness::test]
async fn ending_a_session_ends_its_sockets_within_a_second_and_no_others() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let phone = app.login("alice").await;
    let mut sockets = Vec::new();
    for transport in Transport::ALL {
        sockets.push(app.connect(&phone, transport).await);
    }
    let mut other = app.connect(&alice, Transport::MAIN).await;
    let sessions = app.get("/auth/session", &phone).await;
    let current =
        sessions.as_array().expect("a list").iter().find(|it| it["current"] == json!(true)).expect("mine");
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
    let refused = Socket::open(&app.host, Some(&phone.access), Transport::MAIN).await.err();
    assert_eq!(refused.as_deref(), Some("unauthorized: session_ended"));
    let (status, _) = app.send(Method::DELETE, &path, Some(&alice.access), None).await;
    assert_eq!(status, 404, "it is ended already");
}

#[harness::test]
async fn a_token_that_ends_is_warned_of_and_renewed_in_place() {
    let app = TestApp::with(&[("ACCESS_TOKEN_TTL_SECS", "6")]).await;
    let alice = app.person("alice").await;
    let mut kept = app.connect(&alice, Transport::MAIN).await;
    let mut lost = app.connect(&alice, Transport::ALL[1]).await;
    kept.next("token_expiring").await;
    lost.next("token_expiring").await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let (_, pair) = refresh(&app, &alice.refresh).await;
    let renewed = kept.call("authenticate", json!({"token": pair["access_token"]})).await;
    assert!(renewed["expires_at"].is_string(), "{renewed}");
    lost.next("token_expired").await;
    lost.expect_end(Duration::from_secs(2)).await;
    assert!(lost.dismissed);
    assert_eq!(kept.call("history", json!({"chat": {"id": 1}})).await["error"]["code"], json!("not_found"));
    let bob = app.person("bob").await;
    let foreign = kept.call("authenticate", json!({"token": bob.access})).await;
    assert_eq!(foreign["error"]["code"], json!("token_invalid"), "{foreign}");
    let (status, body) = app.send(Method::GET, "/user/me", Some(&alice.access), None).await;
    assert_eq!((status.as_u16(), &body["code"]), (401, &json!("token_expired")));
}

#[harness::test]
async fn forged_and_misused_tokens_open_nothing() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let clock = Clock::system();
    let until = clock.now() + 60_000;
    let foreign = Tokens::new("another-secret-of-at-least-32-bytes!", clock.clone());
    let ours = Tokens::new(SECRET, clock.clone());
    let issue = |tokens: &Tokens, kind, user, session, until| {
        tokens.issue(kind, UserId(user), SessionId(session), until).expect("a token").token
    };
    // {"alg":"none","typ":"JWT"} before a genuine payload.
    let payload = alice.access.split('.').nth(1).expect("a payload");
    let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}.");
    let mut tampered = alice.access.clone();
    tampered.replace_range(tampered.len() - 2.., "AA");
    for (token, code) in [
        (issue(&foreign, Kind::Access, alice.id, 1, until), "token_invalid"),
        (none, "token_invalid"),
        (tampered, "token_invalid"),
        (alice.refresh.clone(), "token_invalid"),
        (issue(&ours, Kind::Access, alice.id, 1, clock.now() - 1_000), "token_expired"),
        (issue(&ours, Kind::Access, alice.id, 999_999, until), "session_ended"),
        (issue(&ours, Kind::Access, alice.id + 1, 1, until), "session_ended"),
    ] {
        let (status, body) = app.send(Method::GET, "/user/me", Some(&token), None).await;
        assert_eq!((status.as_u16(), &body["code"]), (401, &json!(code)), "{token}");
        let refused = Socket::open(&app.host, Some(&token), Transport::MAIN).await.err().unwrap_or_default();
        assert_eq!(refused, format!("unauthorized: {code}"));
    }
    let (status, body) = refresh(&app, &alice.access).await;
    assert_eq!((status, &body["code"]), (401, &json!("token_invalid")), "an access token is not exchanged");
}

#[harness::test]
async fn cookies_count_for_our_own_pages_only() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let ask = async |origin: Option<&str>| {
        let mut request = app.http.get(format!("{}/user/me", app.url));
        request = request.header("cookie", format!("access_token={}", alice.access));
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        request.send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(ask(None).await, 200);
    assert_eq!(ask(Some(&app.url)).await, 200);
    for foreign in ["https://evil.example.org", "null", "http://127.0.0.1:1"] {
        assert_eq!(ask(Some(foreign)).await, 401, "{foreign}");
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
    for answer in [login, logout] {
        let cookies: Vec<&str> =
            answer.headers().get_all("set-cookie").iter().map(|it| it.to_str().expect("text")).collect();
        let places: Vec<_> = cookies.iter().map(|cookie| name_and_path(cookie)).collect();
        let bound = [
            ("access_token", "Path=/"),
            ("refresh_token", "Path=/auth"),
            ("refresh_token", "Path=/user/refresh"),
        ];
        assert_eq!(places, bound, "the one that lasts goes where it is exchanged, and nowhere else");
        for cookie in cookies {
            assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
            assert!(!cookie.contains("Secure"), "only on https");
        }
    }
}

fn name_and_path(cookie: &str) -> (&str, &str) {
    let name = cookie.split('=').next().unwrap_or_default();
    (name, cookie.split("; ").find(|part| part.starts_with("Path=")).unwrap_or_default())
}

#[harness::test]
async fn a_browser_whose_access_cookie_has_run_out_logs_out_all_the_same() {
    let app = TestApp::with(&[("ACCESS_TOKEN_TTL_SECS", "1")]).await;
    let (alice, other) = (app.person("alice").await, app.login("alice").await);
    let logout = async |cookies: &str| {
        let request = app.http.post(format!("{}/auth/logout", app.url)).header("cookie", cookies);
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.headers().get_all("set-cookie").iter().count())
    };
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    // An access token is not accepted as a refresh token, nor is a forged one; the cookies are removed anyway.
    for no_good in ["", &format!("refresh_token={}", alice.access), "refresh_token=a.b.c"] {
        assert_eq!(logout(no_good).await, (401, 3), "{no_good}");
    }
    for (person, cookies) in [
        // The browser has dropped the expired access token, or still sends it.
        (&alice, format!("refresh_token={}", alice.refresh)),
        (&other, format!("access_token={}; refresh_token={}", other.access, other.refresh)),
    ] {
        let mixed = app.http.post(format!("{}/auth/logout", app.url)).header("cookie", &cookies);
        let mixed = mixed.bearer_auth(&alice.access).send().await.expect("an answer");
        let cookies_gone = mixed.headers().contains_key("set-cookie");
        assert_eq!((mixed.status().as_u16(), cookies_gone), (401, false), "the token is what was meant");
        assert_eq!(logout(&cookies).await, (204, 3));
        assert_eq!(logout(&cookies).await, (401, 3), "it is over");
        let wish = json!({"refresh_token": person.refresh});
        let (status, problem) = app.send(Method::POST, "/auth/refresh", None, Some(wish)).await;
        assert_eq!((status.as_u16(), &problem["code"]), (401, &json!("session_ended")));
    }
}

#[harness::test]
async fn unknown_users_and_wrong_passwords_answer_alike_and_take_as_long() {
    // Expensive enough that a skipped hash would show.
    let app = TestApp::with(&[("PASSWORD_HASH", "argon2id,m=8192,t=2,p=1")]).await;
    app.person("alice").await;
    let mut spent = [Duration::ZERO; 2];
    let mut bodies = Vec::new();
    for round in 0..10 {
        let which = round % 2;
        let username = ["alice", "nobody"][which];
        let wish = json!({"username": username, "password": "wrong password"});
        let started = std::time::Instant::now();
        let (status, mut body) = app.send(Method::POST, "/auth/login", None, Some(wish)).await;
        spent[which] += started.elapsed();
        assert_eq!(status, 401);
        body["request_id"] = Value::Null;
        bodies.push(body);
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    let ratio = spent[1].as_secs_f64() / spent[0].as_secs_f64();
    assert!((0.3..3.0).contains(&ratio), "unknown users take {ratio} times as long");
}

#[harness::test]
async fn a_hash_of_other_costs_verifies_and_is_renewed_at_login() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = crate::support::fresh_database(&folder).await;
    let app = TestApp::on(folder, &url, &[]).await;
    app.person("alice").await;
    let costlier = TestApp::on(
        tempfile::tempdir().expect("a folder"),
        &url,
        &[("PASSWORD_HASH", "argon2id,m=128,t=2,p=1")],
    )
    .await;
    costlier.login("alice").await;
    let row =
        mango_chat::domain::users::find(costlier.server.context.db.read(), UserId(1)).await.expect("alice");
    assert!(row.password_hash.contains("m=128,t=2,p=1"), "renewed");
    app.login("alice").await;
}

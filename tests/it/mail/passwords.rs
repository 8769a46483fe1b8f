//! New passwords, and notices about logins.

use std::time::Duration;

use serde_json::json;

use super::{Peer, app, expect_log, login, post, register, row, token};
use crate::support::{PASSWORD, Plain, Socket, TestApp, Transport};

const NEW: &str = "quite another secret";

async fn ask_for_reset(app: &TestApp, peer: &mut Peer, email: &str) -> String {
    assert_eq!(post(app, "/auth/password/forgot", None, json!({"email": email})).await.0, 202);
    token(&peer.expect(email, "Set a new password").await)
}

#[harness::test]
async fn a_password_reset_ends_all_sessions_notifies_the_owner_and_creates_no_session() {
    let mut peer = Peer::start().await;
    let app = app(&peer, &[]).await;
    register(&app, "alice", "alice@example.org").await;
    let (alice, phone) = (app.login("alice").await, app.login("alice").await);
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let mut other = app.connect(&phone, Transport::ALL[3]).await;
    let (mut plain, _) = Plain::open(&app.host, "/ws", &phone.access).await.expect("connects");
    let token = ask_for_reset(&app, &mut peer, "alice@example.org").await;
    for (bad, field) in [
        (json!({"token": token, "password": "short"}), "password"),
        (json!({"token": token, "password": "x".repeat(129)}), "password"),
        (json!({"token": token, "password": "nul\u{0}nul\u{0}nul"}), "password"),
        (json!({"token": "", "password": NEW}), "token"),
        (json!({"token": token}), "password"),
    ] {
        let (status, problem) = post(&app, "/auth/password/reset", None, bad).await;
        assert_eq!((status, problem["errors"][field].is_array()), (422, true), "{problem}");
    }
    let payload = json!({"token": token, "password": NEW});
    let answer = app.raw(reqwest::Method::POST, "/auth/password/reset", None, Some(payload)).await;
    assert_eq!(answer.status(), 204);
    assert!(answer.headers().get("set-cookie").is_none(), "nobody is logged in");
    for socket in [&mut socket, &mut other] {
        socket.next("session_ended").await;
        socket.expect_end(Duration::from_secs(1)).await;
        assert!(socket.dismissed);
    }
    plain.next("session_ended").await;
    assert_eq!(plain.expect_close(Duration::from_secs(1)).await, 4403);
    for old in [&alice.access, &phone.access] {
        let (status, problem) = app.send(reqwest::Method::GET, "/user/me", Some(old), None).await;
        assert_eq!((status.as_u16(), &problem["code"]), (401, &json!("session_ended")));
        let refused = Socket::open(&app.host, Some(old), Transport::MAIN).await.err();
        assert_eq!(refused.as_deref(), Some("unauthorized: session_ended"));
    }
    let (status, problem) = post(&app, "/auth/refresh", None, json!({"refresh_token": alice.refresh})).await;
    assert_eq!((status, &problem["code"]), (401, &json!("session_ended")));
    assert_eq!((login(&app, "alice", PASSWORD).await.0, login(&app, "alice", NEW).await.0), (401, 200));
    let notice = peer.expect("alice@example.org", "Your password was changed").await;
    assert!(!notice["text"].as_str().expect("text").contains(NEW));
    let row = row(&app, alice.id).await;
    assert!(row.password_changed_at.is_some());
    assert!(row.email_verified, "the token has proved the address");
    expect_log(&app, &[("reset_password", "sent"), ("password_changed", "sent")]).await;
}

#[harness::test]
async fn of_many_concurrent_uses_of_one_reset_token_one_succeeds() {
    let mut peer = Peer::start().await;
    let app = app(&peer, &[]).await;
    register(&app, "alice", "alice@example.org").await;
    for round in 0..5 {
        let token = ask_for_reset(&app, &mut peer, "alice@example.org").await;
        let passwords: Vec<String> = (0..6).map(|number| format!("password {round} of {number}")).collect();
        let tries = passwords.iter().map(|password| {
            post(&app, "/auth/password/reset", None, json!({"token": token, "password": password}))
        });
        let answers = futures_util::future::join_all(tries).await;
        let winners: Vec<usize> = (0..6).filter(|index| answers[*index].0 == 204).collect();
        assert_eq!(winners.len(), 1, "{answers:?}");
        for (index, password) in passwords.iter().enumerate() {
            let (status, _) = login(&app, "alice", password).await;
            assert_eq!(status, if winners == [index] { 200 } else { 401 });
        }
        for (status, problem) in answers.iter().filter(|(status, _)| *status != 204) {
            assert_eq!((*status, problem["errors"]["token"].is_array()), (422, true), "{problem}");
        }
        peer.expect("alice@example.org", "Your password was changed").await;
    }
}

#[harness::test]
async fn a_password_change_requires_the_current_password_and_ends_all_other_sessions() {
    let mut peer = Peer::start().await;
    let app = app(&peer, &[("EMAIL_VERIFICATION", "optional")]).await;
    register(&app, "alice", "alice@example.org").await;
    peer.mail().await;
    let (alice, phone) = (app.login("alice").await, app.login("alice").await);
    let mut kept = app.connect(&alice, Transport::MAIN).await;
    let mut ended = app.connect(&phone, Transport::MAIN).await;
    let (mut plain, _) = Plain::open(&app.host, "/ws", &phone.access).await.expect("connects");
    // A thief with a session has asked for another address, and an unused link is still valid.
    let payload = json!({"email": "thief@example.org", "password": PASSWORD});
    app.send(reqwest::Method::PATCH, "/user/me", Some(&phone.access), Some(payload)).await;
    let (one, other) = (peer.mail().await, peer.mail().await);
    let theirs = token(if one["to"] == json!(["thief@example.org"]) { &one } else { &other });
    let unused = ask_for_reset(&app, &mut peer, "alice@example.org").await;
    for (password, new, field) in
        [("not the password", NEW, "password"), (PASSWORD, "short", "new_password"), ("", NEW, "password")]
    {
        let payload = json!({"password": password, "new_password": new});
        let (status, problem) = post(&app, "/auth/password/change", Some(&alice.access), payload).await;
        assert_eq!((status, problem["errors"][field].is_array()), (422, true), "{problem}");
    }
    let payload = json!({"password": PASSWORD, "new_password": NEW});
    assert_eq!(post(&app, "/auth/password/change", Some(&alice.access), payload.clone()).await.0, 204);
    ended.next("session_ended").await;
    ended.expect_end(Duration::from_secs(1)).await;
    plain.next("session_ended").await;
    assert_eq!(plain.expect_close(Duration::from_secs(1)).await, 4403);
    peer.expect("alice@example.org", "Your password was changed").await;
    kept.expect_silence().await;
    app.get("/user/me", &alice).await;
    assert_eq!(app.send(reqwest::Method::GET, "/user/me", Some(&phone.access), None).await.0, 401);
    assert_eq!(
        post(&app, "/auth/password/change", Some(&alice.access), payload).await.0,
        422,
        "it was the old one"
    );
    assert_eq!((login(&app, "alice", PASSWORD).await.0, login(&app, "alice", NEW).await.0), (401, 200));
    assert_eq!(post(&app, "/auth/email/verify", None, json!({"token": theirs})).await.0, 422);
    let payload = json!({"token": unused, "password": "the thief's password"});
    assert_eq!(post(&app, "/auth/password/reset", None, payload).await.0, 422);
}

#[harness::test]
async fn a_login_from_a_new_device_sends_one_notice_and_the_first_login_none() {
    let mut peer = Peer::start().await;
    let app = app(&peer, &[("EMAIL_VERIFICATION", "optional")]).await;
    register(&app, "alice", "alice@example.org").await;
    let mail = peer.expect("alice@example.org", "Confirm your e-mail address").await;
    let confirmed = post(&app, "/auth/email/verify", None, json!({"token": token(&mail)})).await;
    assert_eq!(confirmed.0, 204, "{confirmed:?}");
    let come = async |agent: &str| {
        let known = json!({"username": "alice", "password": PASSWORD});
        let request =
            app.http.post(format!("{}/auth/login", app.url)).header("user-agent", agent).json(&known);
        assert_eq!(request.send().await.expect("an answer").status(), 200);
    };
    come("Fox/1").await;
    come("Fox/1").await;
    peer.expect_silence().await;
    come("Bird/2 <b>http://evil.example.org</b>").await;
    let mail = peer.expect("alice@example.org", "A login from a new device").await;
    assert!(mail["text"].as_str().expect("text").contains("Bird/2"), "{mail}");
    assert!(mail["text"].as_str().expect("text").contains("127.0.0.1"), "{mail}");
    assert!(!mail["html"].as_str().expect("HTML").contains("<b>"), "escaped: {mail}");
    come("Bird/2 <b>http://evil.example.org</b>").await;
    come("Fox/1").await;
    peer.expect_silence().await;
    assert_eq!(login(&app, "alice", "wrong password").await.0, 401);
    peer.expect_silence().await;
}

#[harness::test]
async fn requested_mails_do_not_use_up_the_limit_of_security_notices() {
    let mut peer = Peer::start().await;
    let limits = [("RATE_LIMIT", "on"), ("RATE_MAIL", "2/h"), ("EMAIL_VERIFICATION", "optional")];
    let app = app(&peer, &limits).await;
    register(&app, "alice", "alice@example.org").await;
    peer.expect("alice@example.org", "Confirm your e-mail address").await;
    let thief = app.login("alice").await;
    let mut told = Vec::new();
    for _ in 0..4 {
        told.push(post(&app, "/auth/email/resend", Some(&thief.access), json!({})).await.0);
    }
    assert_eq!(told, [202, 202, 429, 429]);
    let payload = json!({"password": PASSWORD, "new_password": NEW});
    assert_eq!(post(&app, "/auth/password/change", Some(&thief.access), payload).await.0, 204);
    for _ in 0..2 {
        peer.expect("alice@example.org", "Confirm your e-mail address").await;
    }
    peer.expect("alice@example.org", "Your password was changed").await;
}

#[harness::test]
async fn mails_to_an_unconfirmed_address_contain_no_user_input() {
    let mut peer = Peer::start().await;
    let app = app(&peer, &[]).await;
    register(&app, "alice", "stranger@example.org").await;
    for agent in ["Fox/1", "read this: http://evil.example.org"] {
        let known = json!({"username": "alice", "password": PASSWORD});
        let request =
            app.http.post(format!("{}/auth/login", app.url)).header("user-agent", agent).json(&known);
        assert_eq!(request.send().await.expect("an answer").status(), 200);
    }
    let mail = peer.expect("stranger@example.org", "A login from a new device").await;
    assert!(!mail.to_string().contains("evil"), "{mail}");
}

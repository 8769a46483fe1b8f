//! Bans: what they end, which requests they reject, and how they expire.

use std::time::Duration;

use entity::{chat, user};
use mango_chat::clock::Timestamp;
use reqwest::Method;
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, EntityTrait, QuerySelect};
use serde_json::{Value, json};

use super::Fixture;
use crate::support::{PASSWORD, Plain, Socket, Transport, eventually};

async fn login(fixture: &Fixture, password: &str) -> (u16, Value) {
    let payload = json!({"username": "user", "password": password});
    let (status, body) = fixture.app.send(Method::POST, "/auth/login", None, Some(payload)).await;
    (status.as_u16(), body)
}

#[harness::test]
async fn a_ban_closes_every_socket_within_a_second_and_rejects_every_token() {
    let fixture = Fixture::start().await;
    let app = &fixture.app;
    let other_device = app.login("user").await;
    let mut sockets = Vec::new();
    for transport in Transport::ALL {
        sockets.push(app.connect(&fixture.user, transport).await);
    }
    let (mut plain, _) = Plain::open(&app.host, "/ws", &other_device.access).await.expect("connects");
    let until = Timestamp(app.server.context.clock.now() + 3_600_000).to_rfc3339();
    let (status, shown) =
        fixture.ban(&fixture.moderator, &fixture.user, json!({"reason": "spam", "until": until})).await;
    assert_eq!(status, 200, "{shown}");
    assert_eq!((&shown["ban"]["reason"], &shown["ban"]["until"]), (&json!("spam"), &json!(until)));
    for socket in &mut sockets {
        let told = socket.next("user_banned").await;
        assert_eq!((&told["reason"], &told["until"]), (&json!("spam"), &json!(until)), "{told}");
        socket.expect_end(Duration::from_secs(1)).await;
        assert!(socket.dismissed, "a DISCONNECT, so that the client does not come back by itself");
    }
    assert_eq!(plain.next("user_banned").await["reason"], json!("spam"));
    assert_eq!(plain.expect_close(Duration::from_secs(1)).await, 4403);
    for token in [&fixture.user.access, &other_device.access] {
        for path in ["/user/me", "/chat", "/auth/session"] {
            let (status, body) = app.send(Method::GET, path, Some(token), None).await;
            assert_eq!((status.as_u16(), &body["code"]), (403, &json!("user_banned")), "{path}");
        }
        let refused = Socket::open(&app.host, Some(token), Transport::MAIN).await.err();
        assert_eq!(refused.as_deref(), Some("unauthorized: user_banned"));
        let (refusal, close) = Plain::open(&app.host, "/ws", token).await.err().expect("refused");
        assert_eq!((&refusal["error"]["code"], close), (&json!("user_banned"), 4403));
    }
    let payload = json!({"refresh_token": fixture.user.refresh});
    for path in ["/auth/refresh", "/user/refresh"] {
        let (status, body) = app.send(Method::POST, path, None, Some(payload.clone())).await;
        assert_eq!((status.as_u16(), &body["code"]), (403, &json!("user_banned")), "{path}");
    }
    let (status, told) = login(&fixture, PASSWORD).await;
    assert_eq!((status, &told["code"]), (403, &json!("user_banned")));
    let detail = told["detail"].as_str().expect("a sentence");
    assert!(detail.contains("spam") && detail.contains(&until), "{detail}");
    let (status, told) = login(&fixture, "wrong password").await;
    assert_eq!((status, &told["code"]), (401, &json!("invalid_credentials")), "nothing is told to a guesser");
    // Other users cannot see the ban.
    let seen = app.get(&format!("/user/{}", fixture.user.id), &fixture.admin).await;
    assert!(seen.get("ban").is_none() && !seen.to_string().contains("spam"), "{seen}");
    let act = fixture.audit().await.remove(0);
    assert_eq!((&act["action"], &act["actor_id"]), (&json!("user.ban"), &json!(fixture.moderator.id)));
    assert_eq!(act["details"], json!({"reason": "spam", "until": until}));
    assert_eq!(act["address"], json!("127.0.0.1"));
}

#[harness::test]
async fn a_ban_ends_when_it_is_lifted_or_expires() {
    let fixture = Fixture::start().await;
    let app = &fixture.app;
    assert_eq!(fixture.ban(&fixture.moderator, &fixture.user, json!({"reason": "spam"})).await.0, 200);
    assert_eq!(login(&fixture, PASSWORD).await.0, 403);
    let unban = format!("/admin/user/{}/unban", fixture.user.id);
    let (status, shown) = fixture.post(&fixture.moderator, &unban, json!({})).await;
    assert_eq!((status, &shown["ban"]), (200, &Value::Null));
    assert_eq!(fixture.audit().await[0]["action"], json!("user.unban"));
    let acts = fixture.audit().await.len();
    assert_eq!(fixture.post(&fixture.moderator, &unban, json!({})).await.0, 200, "there is none any more");
    assert_eq!(fixture.audit().await.len(), acts);
    assert_eq!(login(&fixture, PASSWORD).await.0, 200);
    let (status, body) = app.send(Method::GET, "/user/me", Some(&fixture.user.access), None).await;
    assert_eq!((status.as_u16(), &body["code"]), (401, &json!("session_ended")), "log in again");
    // A ban for a limited time; a second ban changes its end.
    let until = |ms: i64| Timestamp(app.server.context.clock.now() + ms).to_rfc3339();
    fixture.ban(&fixture.moderator, &fixture.user, json!({"reason": "a", "until": until(3_600_000)})).await;
    fixture.ban(&fixture.moderator, &fixture.user, json!({"reason": "b", "until": until(1_500)})).await;
    assert_eq!(login(&fixture, PASSWORD).await.0, 403);
    eventually("the ban ends", async || login(&fixture, PASSWORD).await.0 == 200).await;
    let shown = app.get(&format!("/admin/user/{}", fixture.user.id), &fixture.moderator).await;
    assert_eq!(shown["ban"], Value::Null);
    assert_eq!(shown["sessions"], json!(1));
}

#[harness::test]
async fn a_message_that_is_not_stored_before_a_ban_of_its_sender_is_not_stored_later() {
    let fixture = Fixture::start().await;
    let app = &fixture.app;
    let mut socket = app.connect(&fixture.user, Transport::MAIN).await;
    let chat = app.group(&mut socket, &[&fixture.admin]).await;
    let mut other = app.connect(&fixture.admin, Transport::MAIN).await;
    let payload =
        |n: usize| json!({"message": {"chat_id": chat, "content": format!("m{n}"), "message_type": "text"}});
    assert_eq!(socket.call("send_message", payload(0)).await["ok"], json!(true));
    // The writer waits for the chat's row while messages queue up and the ban is set.
    let tx = app.server.context.db.begin().await.expect("begins");
    chat::Entity::find_by_id(chat).lock_exclusive().one(tx.conn()).await.expect("locked");
    let mut acks = Vec::new();
    for n in 1..30 {
        acks.push(socket.begin("send_message", payload(n)).await);
    }
    socket.flush().await;
    let others = other.begin("send_message", payload(100)).await;
    app.somebody_waits().await;
    let ban = user::ActiveModel {
        id: Set(fixture.user.id),
        banned_at: Set(Some(1)),
        ban_reason: Set(Some("flood".into())),
        ..Default::default()
    };
    ban.update(tx.conn()).await.expect("banned");
    tx.commit_silently().await.expect("commits");
    for ack in acks {
        let ack = socket.ack(ack).await;
        assert_eq!(ack["error"]["code"], json!("user_banned"), "{ack}");
        assert_eq!(ack["error"]["message"], json!("the account is banned: flood"));
    }
    assert_eq!(other.ack(others).await["ok"], json!(true), "others are not held up");
    assert_eq!(app.contents(chat, &fixture.admin).await, ["m0", "m100"]);
}

#[harness::test]
async fn a_login_concurrent_with_a_ban_does_not_survive_it() {
    let fixture = Fixture::start().await;
    for _ in 0..5 {
        let logins = futures_util::future::join_all((0..6).map(|_| login(&fixture, PASSWORD)));
        let (answers, (status, _)) =
            tokio::join!(logins, fixture.ban(&fixture.moderator, &fixture.user, json!({"reason": "now"})));
        assert_eq!(status, 200);
        for (status, body) in answers {
            let Some(token) = body["access_token"].as_str() else {
                assert_eq!(status, 403, "{body}");
                continue;
            };
            let (status, body) = fixture.app.send(Method::GET, "/user/me", Some(token), None).await;
            assert_eq!((status.as_u16(), &body["code"]), (403, &json!("user_banned")));
        }
        fixture.post(&fixture.moderator, &format!("/admin/user/{}/unban", fixture.user.id), json!({})).await;
    }
}

#[harness::test]
async fn a_login_whose_password_was_checked_before_the_ban_gets_no_session() {
    let fixture = Fixture::start().await;
    let tx = fixture.app.server.context.db.begin().await.expect("begins");
    let ban = user::ActiveModel { id: Set(fixture.user.id), banned_at: Set(Some(1)), ..Default::default() };
    ban.update(tx.conn()).await.expect("banned");
    // The login does not see the ban yet, and waits for the row.
    let commit = async {
        fixture.app.somebody_waits().await;
        tx.commit_silently().await.expect("commits");
    };
    let ((status, body), ()) = tokio::join!(login(&fixture, PASSWORD), commit);
    assert_eq!((status, &body["code"]), (403, &json!("user_banned")), "{body}");
}

#[harness::test]
async fn users_cannot_ban_themselves_or_users_of_an_equal_or_higher_role() {
    let fixture = Fixture::start().await;
    let (second_mod, second_admin) = (fixture.app.person("mod2").await, fixture.app.person("root2").await);
    fixture.give(&second_mod, "moderator").await;
    fixture.give(&second_admin, "admin").await;
    let reason = || json!({"reason": "because"});
    for (by, whom) in [
        (&fixture.moderator, &fixture.moderator),
        (&fixture.moderator, &second_mod),
        (&fixture.moderator, &fixture.admin),
        (&fixture.admin, &fixture.admin),
        (&fixture.admin, &second_admin),
        (&fixture.user, &second_mod),
    ] {
        let (status, body) = fixture.ban(by, whom, reason()).await;
        assert_eq!((status, &body["code"]), (403, &json!("forbidden")), "{} bans {}", by.id, whom.id);
        fixture.app.get("/user/me", whom).await;
    }
    let (status, _) = fixture.ban(&fixture.admin, &second_mod, reason()).await;
    assert_eq!(status, 200, "an admin bans a moderator");
    let unban = format!("/admin/user/{}/unban", second_mod.id);
    assert_eq!(fixture.post(&fixture.moderator, &unban, json!({})).await.0, 403);
    let path = format!("/admin/user/{}/role", second_mod.id);
    let (status, body) = fixture.put(&fixture.admin, &path, json!({"role": "admin"})).await;
    assert_eq!(status, 422, "a banned one is not promoted: {body}");
    assert_eq!(fixture.post(&fixture.admin, &unban, json!({})).await.0, 200);
}

#[harness::test]
async fn an_invalid_ban_request_names_the_invalid_field() {
    let fixture = Fixture::start().await;
    for (payload, field) in [
        (json!({}), "reason"),
        (json!({"reason": " "}), "reason"),
        (json!({"reason": "x".repeat(501)}), "reason"),
        (json!({"reason": "a\u{0}b"}), "reason"),
        (json!({"reason": 5}), "reason"),
        (json!({"reason": "x", "until": "2020-01-01T00:00:00Z"}), "until"),
        (json!({"reason": "x", "until": "tomorrow"}), "until"),
        (json!({"reason": "x", "until": 1_795_000_000}), "until"),
        (json!([]), "payload"),
    ] {
        let (status, body) = fixture.ban(&fixture.moderator, &fixture.user, payload.clone()).await;
        assert_eq!(status, 422, "{payload}: {body}");
        assert!(body["errors"].get(field).is_some(), "{payload}: {body}");
    }
    fixture.app.get("/user/me", &fixture.user).await;
    for id in ["999999", "x"] {
        let (status, _) =
            fixture.post(&fixture.moderator, &format!("/admin/user/{id}/ban"), json!({"reason": "x"})).await;
        assert_eq!(status, 404, "{id}");
    }
}

#[harness::test]
async fn an_admin_can_end_all_sessions_of_a_user() {
    let fixture = Fixture::start().await;
    let app = &fixture.app;
    app.login("user").await;
    let mut socket = app.connect(&fixture.user, Transport::MAIN).await;
    let path = format!("/admin/user/{}/session", fixture.user.id);
    assert_eq!(app.get(&path, &fixture.admin).await.as_array().expect("a list").len(), 2);
    let (status, _) = app.send(Method::DELETE, &path, Some(&fixture.admin.access), None).await;
    assert_eq!(status, 204);
    socket.next("session_ended").await;
    socket.expect_end(Duration::from_secs(1)).await;
    let (status, body) = app.send(Method::GET, "/user/me", Some(&fixture.user.access), None).await;
    assert_eq!((status.as_u16(), &body["code"]), (401, &json!("session_ended")));
    assert_eq!(app.get(&path, &fixture.admin).await, json!([]));
    assert_eq!(fixture.audit().await[0]["action"], json!("user.end_sessions"));
}

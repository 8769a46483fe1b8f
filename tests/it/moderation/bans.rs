//! Bans: what they end, whom they refuse, and how they end themselves.

use std::time::Duration;

use entity::{chat, user};
use mango_chat::clock::Timestamp;
use reqwest::Method;
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, EntityTrait, QuerySelect};
use serde_json::{Value, json};

use super::Ground;
use crate::support::{Door, PASSWORD, Plain, Socket, eventually};

async fn login(ground: &Ground, password: &str) -> (u16, Value) {
    let wish = json!({"username": "user", "password": password});
    let (status, body) = ground.app.send(Method::POST, "/auth/login", None, Some(wish)).await;
    (status.as_u16(), body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ban_closes_every_socket_within_a_second_and_refuses_every_token() {
    let ground = Ground::start().await;
    let app = &ground.app;
    let other_device = app.login("user").await;
    let mut sockets = Vec::new();
    for door in Door::ALL {
        sockets.push(app.connect(&ground.user, door).await);
    }
    let (mut plain, _) = Plain::open(&app.host, "/ws", &other_device.access).await.expect("connects");
    let until = Timestamp(app.server.core.clock.now() + 3_600_000).to_rfc3339();
    let (status, shown) =
        ground.ban(&ground.moderator, &ground.user, json!({"reason": "spam", "until": until})).await;
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
    for token in [&ground.user.access, &other_device.access] {
        for path in ["/user/me", "/chat", "/auth/session"] {
            let (status, body) = app.send(Method::GET, path, Some(token), None).await;
            assert_eq!((status.as_u16(), &body["code"]), (403, &json!("user_banned")), "{path}");
        }
        let refused = Socket::open(&app.host, Some(token), Door::MAIN).await.err();
        assert_eq!(refused.as_deref(), Some("unauthorized: user_banned"));
        let (refusal, close) = Plain::open(&app.host, "/ws", token).await.err().expect("refused");
        assert_eq!((&refusal["error"]["code"], close), (&json!("user_banned"), 4403));
    }
    let wish = json!({"refresh_token": ground.user.refresh});
    for path in ["/auth/refresh", "/user/refresh"] {
        let (status, body) = app.send(Method::POST, path, None, Some(wish.clone())).await;
        assert_eq!((status.as_u16(), &body["code"]), (403, &json!("user_banned")), "{path}");
    }
    let (status, told) = login(&ground, PASSWORD).await;
    assert_eq!((status, &told["code"]), (403, &json!("user_banned")));
    let detail = told["detail"].as_str().expect("a sentence");
    assert!(detail.contains("spam") && detail.contains(&until), "{detail}");
    let (status, told) = login(&ground, "wrong password").await;
    assert_eq!((status, &told["code"]), (401, &json!("invalid_credentials")), "nothing is told to a guesser");
    // Others see nothing of it.
    let seen = app.get(&format!("/user/{}", ground.user.id), &ground.admin).await;
    assert!(seen.get("ban").is_none() && !seen.to_string().contains("spam"), "{seen}");
    let act = ground.audit().await.remove(0);
    assert_eq!((&act["action"], &act["actor_id"]), (&json!("user.ban"), &json!(ground.moderator.id)));
    assert_eq!(act["details"], json!({"reason": "spam", "until": until}));
    assert_eq!(act["address"], json!("127.0.0.1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ban_is_lifted_or_ends_by_itself() {
    let ground = Ground::start().await;
    let app = &ground.app;
    assert_eq!(ground.ban(&ground.moderator, &ground.user, json!({"reason": "spam"})).await.0, 200);
    assert_eq!(login(&ground, PASSWORD).await.0, 403);
    let unban = format!("/admin/user/{}/unban", ground.user.id);
    let (status, shown) = ground.post(&ground.moderator, &unban, json!({})).await;
    assert_eq!((status, &shown["ban"]), (200, &Value::Null));
    assert_eq!(ground.audit().await[0]["action"], json!("user.unban"));
    let acts = ground.audit().await.len();
    assert_eq!(ground.post(&ground.moderator, &unban, json!({})).await.0, 200, "there is none any more");
    assert_eq!(ground.audit().await.len(), acts);
    assert_eq!(login(&ground, PASSWORD).await.0, 200);
    let (status, body) = app.send(Method::GET, "/user/me", Some(&ground.user.access), None).await;
    assert_eq!((status.as_u16(), &body["code"]), (401, &json!("session_ended")), "log in again");
    // For a time; a second ban gives it another end.
    let until = |ms: i64| Timestamp(app.server.core.clock.now() + ms).to_rfc3339();
    ground.ban(&ground.moderator, &ground.user, json!({"reason": "a", "until": until(3_600_000)})).await;
    ground.ban(&ground.moderator, &ground.user, json!({"reason": "b", "until": until(1_500)})).await;
    assert_eq!(login(&ground, PASSWORD).await.0, 403);
    eventually("the ban ends", async || login(&ground, PASSWORD).await.0 == 200).await;
    let shown = app.get(&format!("/admin/user/{}", ground.user.id), &ground.moderator).await;
    assert_eq!(shown["ban"], Value::Null);
    assert_eq!(shown["sessions"], json!(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_and_not_yet_stored_when_the_ban_came_is_not_stored() {
    let ground = Ground::start().await;
    let app = &ground.app;
    let mut socket = app.connect(&ground.user, Door::MAIN).await;
    let chat = app.group(&mut socket, &[&ground.admin]).await;
    let mut other = app.connect(&ground.admin, Door::MAIN).await;
    let wish =
        |n: usize| json!({"message": {"chat_id": chat, "content": format!("m{n}"), "message_type": "text"}});
    assert_eq!(socket.call("send_message", wish(0)).await["ok"], json!(true));
    // The writer waits for the chat's row while the messages gather and the ban is set.
    let tx = app.server.core.db.begin().await.expect("begins");
    chat::Entity::find_by_id(chat).lock_exclusive().one(tx.conn()).await.expect("locked");
    let mut acks = Vec::new();
    for n in 1..30 {
        acks.push(socket.begin("send_message", wish(n)).await);
    }
    socket.flush().await;
    let others = other.begin("send_message", wish(100)).await;
    app.somebody_waits().await;
    let ban = user::ActiveModel {
        id: Set(ground.user.id),
        banned_at: Set(Some(1)),
        ban_reason: Set(Some("flood".into())),
        ..Default::default()
    };
    ban.update(tx.conn()).await.expect("banned");
    tx.commit(()).await.expect("commits");
    for ack in acks {
        let ack = socket.ack(ack).await;
        assert_eq!(ack["error"]["code"], json!("user_banned"), "{ack}");
        assert_eq!(ack["error"]["message"], json!("the account is banned: flood"));
    }
    assert_eq!(other.ack(others).await["ok"], json!(true), "others are not held up");
    assert_eq!(app.contents(chat, &ground.admin).await, ["m0", "m100"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_at_the_same_instant_does_not_outlive_the_ban() {
    let ground = Ground::start().await;
    for _ in 0..5 {
        let logins = futures_util::future::join_all((0..6).map(|_| login(&ground, PASSWORD)));
        let (answers, (status, _)) =
            tokio::join!(logins, ground.ban(&ground.moderator, &ground.user, json!({"reason": "now"})));
        assert_eq!(status, 200);
        for (status, body) in answers {
            let Some(token) = body["access_token"].as_str() else {
                assert_eq!(status, 403, "{body}");
                continue;
            };
            let (status, body) = ground.app.send(Method::GET, "/user/me", Some(token), None).await;
            assert_eq!((status.as_u16(), &body["code"]), (403, &json!("user_banned")));
        }
        ground.post(&ground.moderator, &format!("/admin/user/{}/unban", ground.user.id), json!({})).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_whose_password_was_judged_before_the_ban_gets_no_session() {
    let ground = Ground::start().await;
    let tx = ground.app.server.core.db.begin().await.expect("begins");
    let ban = user::ActiveModel { id: Set(ground.user.id), banned_at: Set(Some(1)), ..Default::default() };
    ban.update(tx.conn()).await.expect("banned");
    // The login sees no ban yet, and waits for the row.
    let commit = async {
        ground.app.somebody_waits().await;
        tx.commit(()).await.expect("commits");
    };
    let ((status, body), ()) = tokio::join!(login(&ground, PASSWORD), commit);
    assert_eq!((status, &body["code"]), (403, &json!("user_banned")), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_bans_themselves_or_their_equals() {
    let ground = Ground::start().await;
    let (second_mod, second_admin) = (ground.app.person("mod2").await, ground.app.person("root2").await);
    ground.give(&second_mod, "moderator").await;
    ground.give(&second_admin, "admin").await;
    let reason = || json!({"reason": "because"});
    for (by, whom) in [
        (&ground.moderator, &ground.moderator),
        (&ground.moderator, &second_mod),
        (&ground.moderator, &ground.admin),
        (&ground.admin, &ground.admin),
        (&ground.admin, &second_admin),
        (&ground.user, &second_mod),
    ] {
        let (status, body) = ground.ban(by, whom, reason()).await;
        assert_eq!((status, &body["code"]), (403, &json!("forbidden")), "{} bans {}", by.id, whom.id);
        ground.app.get("/user/me", whom).await;
    }
    let (status, _) = ground.ban(&ground.admin, &second_mod, reason()).await;
    assert_eq!(status, 200, "an admin bans a moderator");
    let unban = format!("/admin/user/{}/unban", second_mod.id);
    assert_eq!(ground.post(&ground.moderator, &unban, json!({})).await.0, 403);
    let path = format!("/admin/user/{}/role", second_mod.id);
    let (status, body) = ground.put(&ground.admin, &path, json!({"role": "admin"})).await;
    assert_eq!(status, 422, "a banned one is not promoted: {body}");
    assert_eq!(ground.post(&ground.admin, &unban, json!({})).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wish_for_a_ban_that_does_not_fit_names_its_field() {
    let ground = Ground::start().await;
    for (wish, field) in [
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
        let (status, body) = ground.ban(&ground.moderator, &ground.user, wish.clone()).await;
        assert_eq!(status, 422, "{wish}: {body}");
        assert!(body["errors"].get(field).is_some(), "{wish}: {body}");
    }
    ground.app.get("/user/me", &ground.user).await;
    for id in ["999999", "x"] {
        let (status, _) =
            ground.post(&ground.moderator, &format!("/admin/user/{id}/ban"), json!({"reason": "x"})).await;
        assert_eq!(status, 404, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_ends_all_sessions_of_a_user() {
    let ground = Ground::start().await;
    let app = &ground.app;
    app.login("user").await;
    let mut socket = app.connect(&ground.user, Door::MAIN).await;
    let path = format!("/admin/user/{}/session", ground.user.id);
    assert_eq!(app.get(&path, &ground.admin).await.as_array().expect("a list").len(), 2);
    let (status, _) = app.send(Method::DELETE, &path, Some(&ground.admin.access), None).await;
    assert_eq!(status, 204);
    socket.next("session_ended").await;
    socket.expect_end(Duration::from_secs(1)).await;
    let (status, body) = app.send(Method::GET, "/user/me", Some(&ground.user.access), None).await;
    assert_eq!((status.as_u16(), &body["code"]), (401, &json!("session_ended")));
    assert_eq!(app.get(&path, &ground.admin).await, json!([]));
    assert_eq!(ground.audit().await[0]["action"], json!("user.end_sessions"));
}

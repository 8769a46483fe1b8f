//! Account deletion, and the export of a user's data.

mod export;
mod groups;

use std::time::Duration;

use entity::enums::{MailState, MailTemplate, TokenPurpose};
use entity::{contact, mail, mail_outbox, one_time_token, user};
use reqwest::Method;
use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};

use crate::moderation::make_admin;
use crate::support::{PASSWORD, Person, Plain, Socket, TestApp, Transport, eventually};

async fn delete(app: &TestApp, person: &Person, password: &str) -> (u16, Value) {
    let payload = json!({"password": password});
    let (status, body) = app.send(Method::DELETE, "/user/me", Some(&person.access), Some(payload)).await;
    (status.as_u16(), body)
}

/// Deletes the account and waits until the deletion is complete.
async fn delete_whole(app: &TestApp, person: &Person) {
    let (status, body) = delete(app, person, PASSWORD).await;
    assert_eq!(status, 204, "{body}");
    settled(app).await;
}

/// Waits until no deletion is in progress.
async fn settled(app: &TestApp) {
    let conn = app.server.context.db.read();
    eventually("deleted accounts have left everything", async || {
        entity::account_ending::Entity::find().count(conn).await.expect("a count") == 0
    })
    .await;
}

/// A photo in base64.
fn picture() -> String {
    use base64::Engine;
    let bytes = include_bytes!("../../assets/avatars/mango-02/50x50.webp");
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Inserts rows that belong to the user alone: contacts, a token and mails.
async fn fill(app: &TestApp, person: &Person, other: &Person) {
    let conn = app.server.context.db.read();
    for (one, two) in [(person.id, other.id), (other.id, person.id)] {
        let row = contact::ActiveModel {
            user_id: Set(one),
            other_id: Set(two),
            followed_at: Set(Some(1)),
            blocked_at: Set(None),
            user_rev: Set(1),
        };
        contact::Entity::insert(row).exec_without_returning(conn).await.expect("inserted");
    }
    let token = one_time_token::ActiveModel {
        user_id: Set(person.id),
        purpose: Set(TokenPurpose::ResetPassword),
        token_hash: Set("ab".repeat(32)),
        created_at: Set(1),
        expires_at: Set(i64::MAX),
        ..Default::default()
    };
    one_time_token::Entity::insert(token).exec(conn).await.expect("inserted");
    for state in [MailState::Queued, MailState::Sent] {
        let row = mail::ActiveModel {
            user_id: Set(Some(person.id)),
            template: Set(MailTemplate::ResetPassword),
            recipient: Set("alice@example.org".into()),
            subject: Set("Hello".into()),
            message_id: Set(format!("<{state}@example.org>")),
            state: Set(state),
            attempts: Set(0),
            created_at: Set(1),
            ..Default::default()
        };
        let mail_id = mail::Entity::insert(row).exec(conn).await.expect("inserted").last_insert_id;
        let content = mail_outbox::ActiveModel {
            mail_id: Set(mail_id),
            content: Set("a secret link".into()),
            link: Set(None),
        };
        mail_outbox::Entity::insert(content).exec_without_returning(conn).await.expect("inserted");
    }
}

#[harness::test]
async fn a_deleted_account_leaves_a_tombstone_without_personal_data() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let bob = app.person("bob").await;
    let payload = json!({
        "name": "Alice", "description": "hi", "email": "alice@example.org", "phone": "+79123456789",
        "password": PASSWORD, "photo": picture(),
    });
    let (status, me) = app.send(Method::PATCH, "/user/me", Some(&alice.access), Some(payload)).await;
    assert_eq!(status, 200, "{me}");
    let photo = format!("/static/{}/50x50.webp", me["photo"].as_str().expect("a photo"));
    assert_eq!(app.raw(Method::GET, &photo, None, None).await.status(), 200);
    fill(&app, &alice, &bob).await;
    let mut socket = app.connect(&bob, Transport::MAIN).await;
    let chat = json!({"chat": {"is_group": false, "members_array": [alice.id]}});
    let direct = socket.call("create_chat", chat).await["chat"]["id"].as_i64().expect("an id");
    let payload = json!({"message": {"chat_id": direct, "content": "kept", "message_type": "text"}});
    let (status, sent) =
        app.send(Method::POST, "/events/send_message", Some(&alice.access), Some(payload)).await;
    assert_eq!(status, 200, "{sent}");
    let like = json!({"message": {"id": sent["message"]["id"], "liked": true}});
    app.send(Method::POST, "/events/toggle_like_message", Some(&alice.access), Some(like)).await;
    delete_whole(&app, &alice).await;

    let told = socket.next("user_updated").await;
    assert_eq!((&told["user"]["name"], &told["user"]["deleted"]), (&json!("Deleted user"), &json!(true)));
    let seen = app.get(&format!("/user/{}", alice.id), &bob).await;
    for (field, value) in [
        ("deleted", json!(true)),
        ("name", json!("Deleted user")),
        ("username", Value::Null),
        ("description", Value::Null),
        ("role", json!("user")),
        ("online", json!(false)),
        ("last_seen_at", Value::Null),
    ] {
        assert_eq!(seen[field], value, "{field}: {seen}");
    }
    let tombstone = format!("/static/{}/50x50.webp", seen["photo"].as_str().expect("a photo"));
    assert_eq!(app.raw(Method::GET, &tombstone, None, None).await.status(), 200, "its picture is there");
    assert_eq!(app.raw(Method::GET, &photo, None, None).await.status(), 404, "the photo is gone");
    // Messages and memberships stay visible to other users.
    let messages = app.get(&format!("/chat/{direct}/messages"), &bob).await;
    assert_eq!((&messages[0]["content"], &messages[0]["likes"]), (&json!("kept"), &json!(1)));
    assert_eq!(messages[0]["user"]["name"], json!("Deleted user"));
    assert_eq!(app.get(&format!("/chat/{direct}"), &bob).await["member_count"], json!(2));
    // The user's private data is gone.
    let conn = app.server.context.db.read();
    let row = user::Entity::find_by_id(alice.id).one(conn).await.expect("read").expect("a row");
    let kept = format!("{row:?}");
    for trace in ["alice", "Alice", "79123456789", "argon2"] {
        assert!(!kept.contains(trace), "{trace} in {kept}");
    }
    let own = contact::Entity::find().filter(contact::Column::UserId.eq(alice.id));
    assert_eq!(own.count(conn).await.expect("a count"), 0, "what others have decided is theirs");
    assert_eq!(one_time_token::Entity::find().count(conn).await.expect("a count"), 0);
    assert_eq!(mail_outbox::Entity::find().count(conn).await.expect("a count"), 0);
    let mails = mail::Entity::find().all(conn).await.expect("mails");
    assert!(mails.iter().all(|it| it.recipient.is_empty() && it.state.as_str() != "queued"), "{mails:?}");
    let sessions = entity::session::Entity::find().filter(entity::session::Column::UserId.eq(alice.id));
    assert_eq!(sessions.count(conn).await.expect("a count"), 0);
    assert_eq!(app.get("/user?query=deleted", &bob).await, json!([]), "nobody finds a tombstone");
    // The username, email and phone are free again and belong to the new account only.
    let again = json!({"username": "Alice", "email": "alice@example.org", "phone": "+79123456789", "password": PASSWORD});
    let (status, anew) = app.send(Method::POST, "/user", None, Some(again)).await;
    assert_eq!(status, 201, "{anew}");
    assert_ne!(anew["id"], json!(alice.id));
    assert_eq!(app.login("alice").await.id, anew["id"].as_i64().expect("an id"));
}

#[harness::test]
async fn deleting_an_account_removes_its_own_blocks_and_keeps_blocks_of_other_users() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let mut a = app.connect(&alice, Transport::MAIN).await;
    let mut b = app.connect(&bob, Transport::MAIN).await;
    let mut c = app.connect(&carol, Transport::MAIN).await;
    let user = |person: &Person| json!({"user": {"id": person.id}});
    let mut chats = Vec::new();
    for socket in [&mut b, &mut c] {
        let payload = json!({"chat": {"is_group": false, "members_array": [alice.id]}});
        chats.push(socket.call("create_chat", payload).await["chat"]["id"].clone());
    }
    assert_eq!(a.call("block", user(&bob)).await["ok"], json!(true));
    assert_eq!(b.call("block", user(&alice)).await["ok"], json!(true));
    assert_eq!(a.call("block", user(&carol)).await["ok"], json!(true));
    let say = |chat: &Value| json!({"message": {"chat_id": chat, "content": "x", "message_type": "text"}});
    assert_eq!(c.call("send_message", say(&chats[1])).await["error"]["code"], json!("blocked"));
    let gone =
        app.send(Method::DELETE, "/user/me", Some(&alice.access), Some(json!({"password": PASSWORD}))).await;
    assert_eq!(gone.0, 204);
    eventually("the block is gone", async || {
        c.call("send_message", say(&chats[1])).await["ok"] == json!(true)
    })
    .await;
    // Bob's own block stays until he removes it.
    assert_eq!(b.call("send_message", say(&chats[0])).await["error"]["code"], json!("blocked"));
    let ack = b.call("unblock", user(&alice)).await;
    assert_eq!(ack["contact"]["blocked"], json!(false), "{ack}");
    assert_eq!(b.call("send_message", say(&chats[0])).await["ok"], json!(true));
    assert_eq!(app.get("/user/me/blocked", &bob).await, json!([]));
}

#[harness::test]
async fn all_tokens_of_a_deleted_user_are_rejected() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let other = app.login("alice").await;
    let mut sockets = Vec::new();
    for transport in Transport::ALL {
        sockets.push(app.connect(&alice, transport).await);
    }
    let (mut plain, _) = Plain::open(&app.host, "/ws", &other.access).await.expect("connects");
    let payload = json!({"password": PASSWORD});
    let answer = app.raw(Method::POST, "/user/me/delete", Some(&alice.access), Some(payload)).await;
    assert_eq!(answer.status(), 204);
    let cleared = answer.headers().get_all("set-cookie").iter().count();
    assert!(cleared >= 2, "cookies are taken back");
    for socket in &mut sockets {
        assert_eq!(socket.next("session_ended").await["message"], json!("the account was deleted"));
        socket.expect_end(Duration::from_secs(1)).await;
        assert!(socket.dismissed);
    }
    plain.next("session_ended").await;
    assert_eq!(plain.expect_close(Duration::from_secs(1)).await, 4403);
    // The cache of this server and the database behind a second server both refuse the tokens at once.
    let second = TestApp::on(tempfile::tempdir().expect("a folder"), &database_of(&app), &[]).await;
    for app in [&app, &second] {
        for token in [&alice.access, &other.access] {
            for path in ["/user/me", "/user/me/export", "/chat"] {
                let (status, body) = app.send(Method::GET, path, Some(token), None).await;
                assert_eq!((status.as_u16(), &body["code"]), (401, &json!("session_ended")), "{path}");
            }
            let refused = Socket::open(&app.host, Some(token), Transport::MAIN).await.err();
            assert_eq!(refused.as_deref(), Some("unauthorized: session_ended"));
            assert_eq!(Plain::open(&app.host, "/ws", token).await.err().expect("refused").1, 4403);
        }
        for token in [&alice.refresh, &other.refresh] {
            let payload = json!({"refresh_token": token});
            let (status, body) = app.send(Method::POST, "/auth/refresh", None, Some(payload)).await;
            assert_eq!((status.as_u16(), &body["code"]), (401, &json!("session_ended")));
        }
        let payload = json!({"username": "alice", "password": PASSWORD});
        let (status, body) = app.send(Method::POST, "/auth/login", None, Some(payload)).await;
        assert_eq!((status.as_u16(), &body["code"]), (401, &json!("invalid_credentials")));
    }
    assert_eq!(delete(&app, &alice, PASSWORD).await.0, 401, "once is enough");
}

/// The URL that a test server's database was opened with.
fn database_of(app: &TestApp) -> String {
    app.server.context.settings.database.url.clone()
}

#[harness::test]
async fn deleting_an_account_requires_the_password() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    for (payload, problem) in [
        (json!({}), "is missing"),
        (json!({"password": ""}), "is empty"),
        (json!({"password": "wrong password"}), "does not match the current password"),
        (json!({"password": "x".repeat(2_000)}), "is longer"),
        (json!({"password": 1}), "must be a text"),
    ] {
        for (method, path) in [(Method::DELETE, "/user/me"), (Method::POST, "/user/me/delete")] {
            let (status, body) = app.send(method, path, Some(&alice.access), Some(payload.clone())).await;
            assert_eq!(status, 422, "{payload}: {body}");
            assert!(body["errors"]["password"].to_string().contains(problem), "{payload}: {body}");
        }
    }
    let (status, _) = app.send(Method::DELETE, "/user/me", None, Some(json!({"password": PASSWORD}))).await;
    assert_eq!(status, 401);
    assert_eq!(app.get("/user/me", &alice).await["deleted"], json!(false));
}

#[harness::test]
async fn the_last_admin_cannot_delete_their_account() {
    let app = TestApp::start().await;
    let (root, second) = (app.person("root").await, app.person("second").await);
    make_admin(&app, "root").await;
    let (status, body) = delete(&app, &root, PASSWORD).await;
    assert_eq!((status, &body["code"]), (403, &json!("forbidden")), "{body}");
    app.get("/admin/audit", &root).await;
    make_admin(&app, "second").await;
    // Two admins delete their accounts at the same time: one must stay.
    let (one, other) = tokio::join!(delete(&app, &root, PASSWORD), delete(&app, &second, PASSWORD));
    let mut statuses = [one.0, other.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 403]);
    let left = if one.0 == 403 { &root } else { &second };
    let acts = app.get("/admin/audit?action=user.delete", left).await;
    assert_eq!(acts.as_array().expect("a list").len(), 1);
    assert_eq!(acts[0]["details"], json!({"role": "admin"}));
    assert_eq!(acts[0]["address"], Value::Null, "nothing of a deleted user that nobody needs");
}

//! Who can get which role, and what each role may do.

use entity::user;
use reqwest::Method;
use sea_orm::ActiveModelTrait;
use sea_orm::ActiveValue::Set;
use serde_json::json;

use super::{Fixture, make_admin};
use crate::support::{PASSWORD, TestApp, Transport};

/// What moderators may do; everything else below `/admin` is for admins.
const FOR_MODERATORS: [(&str, &str); 8] = [
    ("get", "/admin/user"),
    ("get", "/admin/user/{id}"),
    ("post", "/admin/user/{id}/ban"),
    ("post", "/admin/user/{id}/unban"),
    ("get", "/admin/report"),
    ("post", "/admin/report/{id}/claim"),
    ("put", "/admin/report/{id}/note"),
    ("post", "/admin/report/{id}/resolve"),
];

#[harness::test]
async fn a_role_in_user_input_is_ignored() {
    let app = TestApp::start().await;
    let payload = json!({"username": "mallory", "password": PASSWORD, "role": "admin", "is_admin": true});
    for path in ["/user", "/user/create"] {
        let mut payload = payload.clone();
        payload["username"] = json!(format!("mallory{}", path.len()));
        let (status, me) = app.send(Method::POST, path, None, Some(payload)).await;
        assert_eq!((status.as_u16(), &me["role"]), (201, &json!("user")), "{path}");
    }
    let mallory = app.login("mallory5").await;
    for (method, path) in
        [(Method::PATCH, "/user/me".to_owned()), (Method::PATCH, format!("/user/{}", mallory.id))]
    {
        let (status, me) =
            app.send(method, &path, Some(&mallory.access), Some(json!({"role": "admin", "name": "M"}))).await;
        assert!(status.is_success(), "{me}");
        assert_eq!(me["role"], json!("user"), "{path}");
    }
    let payload = json!({"role": "admin"});
    let path = format!("/admin/user/{}/role", mallory.id);
    let (status, body) = app.send(Method::PUT, &path, Some(&mallory.access), Some(payload)).await;
    assert_eq!((status.as_u16(), &body["code"]), (403, &json!("forbidden")));
    assert_eq!(app.get("/user/me", &mallory).await["role"], json!("user"));
}

#[harness::test]
async fn every_admin_path_checks_the_token_first_and_the_role_second() {
    let fixture = Fixture::start().await;
    let document = serde_json::to_value(mango_chat::transport::rest::openapi()).expect("JSON");
    let mut seen = 0;
    for (path, methods) in document["paths"].as_object().expect("paths") {
        if !path.starts_with("/admin/") {
            continue;
        }
        for method in methods.as_object().expect("methods").keys() {
            seen += 1;
            let verb = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            let url = path.replace("{id}", &fixture.user.id.to_string());
            // The server checks the role before it reads the body, and reveals nothing about the body.
            let ask = async |token: Option<&str>| {
                let body = (verb != Method::GET).then(|| json!({"nonsense": 1}));
                let (status, body) = fixture.app.send(verb.clone(), &url, token, body).await;
                (status.as_u16(), body["code"].as_str().unwrap_or_default().to_owned())
            };
            assert_eq!(ask(None).await, (401, "token_missing".into()), "{method} {path}");
            assert_eq!(ask(Some(&fixture.user.access)).await, (403, "forbidden".into()), "{method} {path}");
            let (status, _) = ask(Some(&fixture.moderator.access)).await;
            let may = FOR_MODERATORS.contains(&(method, path));
            assert_eq!(status == 403, !may, "a moderator, {method} {path}: {status}");
        }
    }
    assert!(seen >= 12, "{seen} paths");
    let (status, _) = fixture.app.send(Method::GET, "/user/me", Some(&fixture.user.access), None).await;
    assert_eq!(status, 200, "nothing was done to them");
}

#[harness::test]
async fn a_revoked_role_is_lost_immediately() {
    let fixture = Fixture::start().await;
    let app = &fixture.app;
    let second = app.person("second").await;
    fixture.give(&second, "admin").await;
    let mut owner = app.connect(&fixture.user, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[]).await;
    let mut socket = app.connect(&second, Transport::MAIN).await;
    let say = json!({"message": {"chat_id": chat, "content": "x", "message_type": "text"}});
    let message = owner.call("send_message", say).await["message"]["id"].clone();
    assert_eq!(app.get("/admin/audit", &second).await[0]["action"], json!("user.role"));
    fixture.give(&second, "user").await;
    // The same token and the same socket.
    for path in ["/admin/audit", "/admin/user", "/admin/statistics"] {
        let (status, body) = app.send(Method::GET, path, Some(&second.access), None).await;
        assert_eq!((status.as_u16(), &body["code"]), (403, &json!("forbidden")), "{path}");
    }
    assert_eq!(fixture.ban(&second, &fixture.user, json!({"reason": "revenge"})).await.0, 403);
    let (status, _) =
        fixture.put(&second, &format!("/admin/user/{}/role", second.id), json!({"role": "admin"})).await;
    assert_eq!(status, 403);
    let refused = socket.call("delete_message", json!({"message": {"id": message}})).await;
    assert_eq!(refused["error"]["code"], json!("not_found"), "a stranger again: {refused}");
    assert_eq!(app.contents(chat, &fixture.user).await, ["x"]);
}

#[harness::test]
async fn role_changes_are_announced_to_users_who_share_a_chat_and_audited() {
    let fixture = Fixture::start().await;
    let app = &fixture.app;
    let mut owner = app.connect(&fixture.user, Transport::MAIN).await;
    let alice = app.person("alice").await;
    app.group(&mut owner, &[&alice]).await;
    fixture.give(&alice, "moderator").await;
    assert_eq!(owner.next("user_updated").await["user"]["role"], json!("moderator"));
    let act = fixture.audit().await.remove(0);
    assert_eq!(act["action"], json!("user.role"));
    assert_eq!(act["actor_id"], json!(fixture.admin.id));
    assert_eq!((&act["target_kind"], &act["target_id"]), (&json!("user"), &json!(alice.id)));
    assert_eq!(act["details"], json!({"from": "user", "to": "moderator"}));
    assert_eq!(act["address"], json!("127.0.0.1"));
    let path = format!("/admin/user/{}/role", alice.id);
    assert_eq!(fixture.put(&fixture.admin, &path, json!({"role": "owner"})).await.0, 422);
    assert_eq!(
        fixture.put(&fixture.admin, &path, json!({"role": "moderator"})).await.0,
        200,
        "it is so already"
    );
    assert_eq!(fixture.audit().await.remove(0)["id"], act["id"], "nothing was done");
    let nobody = fixture.put(&fixture.admin, "/admin/user/999999/role", json!({"role": "user"})).await;
    assert_eq!(nobody.0, 404);
}

#[harness::test]
async fn there_is_always_an_admin() {
    let fixture = Fixture::start().await;
    let role_of = |person: &crate::support::Person| format!("/admin/user/{}/role", person.id);
    let (status, body) = fixture.put(&fixture.admin, &role_of(&fixture.admin), json!({"role": "user"})).await;
    assert_eq!((status, &body["code"]), (403, &json!("forbidden")), "{body}");
    // Two admins demote each other at the same time: one of them stays an admin.
    let second = fixture.app.person("second").await;
    for round in 0..5 {
        // The remaining admin makes the other an admin again.
        for whom in [&second, &fixture.admin] {
            let payload = json!({"role": "admin"});
            let by_first = fixture.put(&fixture.admin, &role_of(whom), payload.clone()).await.0;
            let by_second = fixture.put(&second, &role_of(whom), payload).await.0;
            assert!(by_first == 200 || by_second == 200, "round {round}: nobody is left");
        }
        let (one, other) = (role_of(&second), role_of(&fixture.admin));
        let ((first, _), (then, _)) = tokio::join!(
            fixture.put(&fixture.admin, &one, json!({"role": "user"})),
            fixture.put(&second, &other, json!({"role": "user"})),
        );
        let mut statuses = [first, then];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 403], "round {round}");
    }
}

#[harness::test]
async fn a_moderator_who_loses_the_role_concurrently_deletes_no_message() {
    let fixture = Fixture::start().await;
    let app = &fixture.app;
    let mut owner = app.connect(&fixture.user, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[]).await;
    let payload = json!({"message": {"chat_id": chat, "content": "stays", "message_type": "text"}});
    let id = owner.call("send_message", payload).await["message"]["id"].clone();
    let mut socket = app.connect(&fixture.moderator, Transport::MAIN).await;
    let tx = app.server.context.db.begin().await.expect("begins");
    let row = user::ActiveModel {
        id: Set(fixture.moderator.id),
        role: Set(entity::enums::Role::User),
        ..Default::default()
    };
    row.update(tx.conn()).await.expect("taken away");
    let commit = async {
        app.somebody_waits().await;
        tx.commit_silently().await.expect("commits");
    };
    let (ack, ()) = tokio::join!(socket.call("delete_message", json!({"message": {"id": id}})), commit);
    assert_eq!(ack["error"]["code"], json!("not_found"), "{ack}");
    assert_eq!(app.contents(chat, &fixture.user).await, ["stays"]);
}

#[harness::test]
async fn a_moderator_can_delete_any_message_and_the_audit_log_records_it() {
    let fixture = Fixture::start().await;
    let app = &fixture.app;
    let mut owner = app.connect(&fixture.user, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[]).await;
    let mut ids = Vec::new();
    for text in ["one", "two", "three"] {
        let payload = json!({"message": {"chat_id": chat, "content": text, "message_type": "text"}});
        ids.push(owner.call("send_message", payload).await["message"]["id"].clone());
    }
    let before = fixture.audit().await.len();
    let own = owner.call("delete_message", json!({"message": {"id": ids[0]}})).await;
    assert_eq!(own["ok"], json!(true));
    assert_eq!(fixture.audit().await.len(), before, "an author's own act is nobody's business");
    let mut socket = app.connect(&fixture.moderator, Transport::MAIN).await;
    let ack = socket.call("delete_message", json!({"message": {"id": ids[1]}})).await;
    assert_eq!(ack["ok"], json!(true), "{ack}");
    assert_eq!(owner.next("message_deleted").await["message"]["id"], ids[0]);
    assert_eq!(owner.next("message_deleted").await["by"], json!(fixture.moderator.id));
    let (status, _) =
        fixture.post(&fixture.moderator, "/events/delete_message", json!({"message": {"id": ids[2]}})).await;
    assert_eq!(status, 200);
    assert_eq!(app.contents(chat, &fixture.user).await, ["", "", ""]);
    let acts = fixture.audit().await;
    for (act, id) in acts.iter().zip([&ids[2], &ids[1]]) {
        assert_eq!((&act["action"], &act["target_id"]), (&json!("message.delete"), id));
        assert_eq!(act["actor_id"], json!(fixture.moderator.id));
        assert_eq!(act["details"], json!({"chat_id": chat, "user_id": fixture.user.id}));
        assert_eq!(act["address"], json!("127.0.0.1"));
    }
    // Deleting a message that is already deleted adds no entry.
    socket.call("delete_message", json!({"message": {"id": ids[1]}})).await;
    assert_eq!(fixture.audit().await.len(), acts.len());
}

#[harness::test]
async fn appointing_an_admin_again_fails() {
    let app = TestApp::start().await;
    app.person("root").await;
    make_admin(&app, "ROOT").await;
    let again =
        mango_chat::domain::moderation::Appointment { username: "root".into(), email: None, password: None };
    let refused = mango_chat::domain::moderation::appoint(&app.server.context, again).await;
    assert!(refused.is_err_and(|error| error.message.contains("already")));
}

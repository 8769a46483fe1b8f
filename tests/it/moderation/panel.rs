//! What the admin panel reads and does: figures, chats and their messages, accounts, mails and settings.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Fixture, make_admin};
use crate::support::{TestApp, Transport, eventually};

#[harness::test]
async fn the_overview_shows_what_the_server_did() {
    let fixture = Fixture::start().await;
    let app = &fixture.app;
    let mut owner = app.connect(&fixture.user, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[]).await;
    for n in 0..3 {
        let message = json!({"chat_id": chat, "content": n.to_string(), "message_type": "text"});
        assert_eq!(owner.call("send_message", json!({ "message": message })).await["ok"], json!(true));
    }
    let sum = |overview: &Value, name: &str| {
        let samples = overview["samples"].as_array().expect("samples");
        samples.iter().filter_map(|it| it[name].as_i64()).sum::<i64>()
    };
    eventually("a sample is taken", async || {
        sum(&app.get("/admin/overview", &fixture.moderator).await, "messages") == 3
    })
    .await;
    let overview = app.get("/admin/overview", &fixture.moderator).await;
    let sample =
        overview["samples"].as_array().and_then(|it| it.iter().find(|it| it["messages"] == json!(3)));
    let sample = sample.expect("one sample has all of them, or they came apart");
    assert_eq!((&sample["connections"], &sample["users_online"]), (&json!(1), &json!(1)), "{sample}");
    let (half, most) = (sample["send_p50_ms"].as_f64(), sample["send_p99_ms"].as_f64());
    assert!(half > Some(0.0) && most >= half, "{sample}");
    assert!(overview["database"]["size_bytes"].as_i64() > Some(10_000), "{overview}");
    assert!(overview["started_at"].is_string() && overview["storage"] == json!("local"), "{overview}");
}

#[harness::test]
async fn chats_are_found_and_reading_one_is_recorded() {
    let fixture = Fixture::start().await;
    let app = &fixture.app;
    let mut owner = app.connect(&fixture.user, Transport::MAIN).await;
    let create = json!({"chat": {"name": "Plans 100%", "is_group": true, "members_array": []}});
    let group = owner.call("create_chat", create).await["chat"]["id"].clone();
    let direct = json!({"chat": {"name": null, "is_group": false, "members_array": [fixture.moderator.id]},
        "message": {"content": "psst", "message_type": "text"}});
    let direct = owner.call("create_chat", direct).await["chat"]["id"].clone();
    let find = async |query: &str| {
        let list = app.get(&format!("/admin/chat?{query}"), &fixture.moderator).await;
        list.as_array().expect("a list").iter().map(|it| it["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(find("").await, [direct.clone(), group.clone()]);
    assert_eq!(find("kind=group").await, std::slice::from_ref(&group));
    assert_eq!(find("kind=direct").await, std::slice::from_ref(&direct));
    assert_eq!(find("query=PLANS").await, std::slice::from_ref(&group));
    assert_eq!(find("query=100%25").await, std::slice::from_ref(&group));
    let create = json!({"chat": {"name": "Команда 2024", "is_group": true, "members_array": []}});
    let team = owner.call("create_chat", create).await["chat"]["id"].clone();
    for query in ["команда", "КОМАНДА", "2024"] {
        assert_eq!(find(&format!("query={query}")).await, std::slice::from_ref(&team), "{query}");
    }
    let rename = json!({"chat": {"id": team, "name": "Сборная"}});
    assert_eq!(owner.call("update_chat", rename).await["ok"], json!(true));
    assert_eq!(find("query=сборн").await, std::slice::from_ref(&team));
    assert_eq!(owner.call("delete_chat", json!({"chat": {"id": team}})).await["ok"], json!(true));
    owner.next("chat_deleted").await;
    assert_eq!(find("query=_").await, [Value::Null; 0]);
    assert_eq!(find(&format!("query={direct}")).await, std::slice::from_ref(&direct));
    let page = app.raw(Method::GET, "/admin/chat?limit=1", Some(&fixture.moderator.access), None).await;
    assert!(page.headers()["link"].to_str().expect("text").contains("cursor="));
    let list = app.get("/admin/chat", &fixture.moderator).await;
    let members = list[0]["members"].as_array().expect("members");
    assert_eq!((members.len(), &list[0]["owner"]["username"]), (2, &json!("user")), "{list}");
    assert_eq!((&list[1]["members"], &list[1]["name"]), (&json!([]), &json!("Plans 100%")));

    let path = format!("/admin/chat/{direct}/messages");
    let read = app.get(&path, &fixture.admin).await;
    assert_eq!(read[0]["content"], json!("psst"));
    let acts = fixture.audit().await;
    assert_eq!((&acts[0]["action"], &acts[0]["target_kind"]), (&json!("chat.read"), &json!("chat")));
    assert_eq!(acts[0]["target_id"], direct);
    let (status, _) =
        app.send(Method::GET, "/admin/chat/999999/messages", Some(&fixture.admin.access), None).await;
    assert_eq!(
        (status.as_u16(), fixture.audit().await.len()),
        (404, acts.len()),
        "what is not read is not recorded"
    );

    let message = read[0]["id"].clone();
    let path = format!("/admin/message/{message}");
    let (status, _) = app.send(Method::DELETE, &path, Some(&fixture.user.access), None).await;
    assert_eq!(status, 403, "even the author's token is not one of a moderator");
    let (status, deleted) = app.send(Method::DELETE, &path, Some(&fixture.admin.access), None).await;
    assert_eq!((status.as_u16(), &deleted["message"]["content"]), (200, &json!("")), "{deleted}");
    assert_eq!(owner.next("message_deleted").await["message"]["id"], message);

    for chat in [&group, &direct] {
        let path = format!("/admin/chat/{chat}");
        assert_eq!(app.send(Method::DELETE, &path, Some(&fixture.moderator.access), None).await.0, 403);
        assert_eq!(app.send(Method::DELETE, &path, Some(&fixture.admin.access), None).await.0, 204);
        assert_eq!(owner.next("chat_deleted").await["chat"], *chat);
        assert_eq!(app.send(Method::DELETE, &path, Some(&fixture.admin.access), None).await.0, 404);
    }
    assert_eq!(app.get("/chat", &fixture.user).await, json!([]));
    assert_eq!(find("").await, [Value::Null; 0]);
    let gone = app.get(&format!("/admin/chat?query={group}"), &fixture.moderator).await;
    assert_eq!(gone[0]["deleted"], json!(true), "a deleted chat is found by its number");
    assert_eq!(fixture.audit().await[0]["action"], json!("chat.delete"));
}

#[harness::test]
async fn an_admin_deletes_other_accounts_but_not_the_last_admin() {
    let fixture = Fixture::start().await;
    let app = &fixture.app;
    let mut socket = app.connect(&fixture.user, Transport::MAIN).await;
    let path = |id: i64| format!("/admin/user/{id}");
    let delete =
        async |id: i64| app.send(Method::DELETE, &path(id), Some(&fixture.admin.access), None).await.0;
    assert_eq!(delete(fixture.user.id).await, 204);
    assert_eq!(socket.next("session_ended").await["message"], json!("the account was deleted"));
    assert_eq!(app.get(&path(fixture.user.id), &fixture.moderator).await["deleted"], json!(true));
    let acts = fixture.audit().await;
    assert_eq!((&acts[0]["action"], &acts[0]["actor_id"]), (&json!("user.delete"), &json!(fixture.admin.id)));
    assert_eq!(delete(fixture.user.id).await, 404, "it is gone already");
    assert_eq!(delete(fixture.admin.id).await, 403, "the own account needs the password");
    let (status, _) =
        app.send(Method::DELETE, &path(fixture.admin.id), Some(&fixture.moderator.access), None).await;
    assert_eq!(status, 403);
    // Of two admins who delete each other at once, one remains.
    let other = app.person("root2").await;
    make_admin(app, "root2").await;
    let (paths, tokens) = ([path(other.id), path(fixture.admin.id)], [&fixture.admin.access, &other.access]);
    let (one, two) = tokio::join!(
        app.send(Method::DELETE, &paths[0], Some(tokens[0]), None),
        app.send(Method::DELETE, &paths[1], Some(tokens[1]), None),
    );
    let deleted = [&one, &two].iter().filter(|(status, _)| *status == 204).count();
    assert_eq!(deleted, 1, "{one:?} {two:?}");
}

#[harness::test]
async fn links_are_mailed_again_on_request_of_an_admin() {
    let app = TestApp::with(&[("EMAIL_VERIFICATION", "optional")]).await;
    let admin = app.person("root").await;
    make_admin(&app, "root").await;
    let body = json!({"username": "dora", "email": "dora@example.org", "password": crate::support::PASSWORD});
    let (_, dora) = app.send(Method::POST, "/user", None, Some(body)).await;
    let post = async |path: String| app.send(Method::POST, &path, Some(&admin.access), None).await;
    let mails = async || app.get("/admin/mail", &admin).await.as_array().expect("a list").clone();
    assert_eq!(mails().await.len(), 1);
    assert_eq!(post(format!("/admin/user/{}/password_reset", dora["id"])).await.0, 204);
    let list = mails().await;
    assert_eq!((list.len(), &list[0]["template"]), (2, &json!("reset_password")), "{list:?}");
    for mail in list {
        assert_eq!(post(format!("/admin/mail/{}/resend", mail["id"])).await.0, 204, "{mail}");
    }
    let list = mails().await;
    assert_eq!(list.len(), 4);
    let (status, problem) = post(format!("/admin/user/{}/password_reset", admin.id)).await;
    assert!(status == 422 && problem["errors"]["email"].is_array(), "{problem}");
    assert_eq!(post("/admin/mail/999999/resend".to_owned()).await.0, 404);
    let acts = app.get("/admin/audit", &admin).await;
    assert_eq!(
        (&acts[0]["action"], &acts[0]["target_kind"]),
        (&json!("mail.resend"), &json!("mail")),
        "{acts}"
    );
}

#[harness::test]
async fn settings_are_shown_without_secrets() {
    let app = TestApp::with(&[("RATE_SEND", "7/s"), ("SMTP_URL", "")]).await;
    let admin = app.person("root").await;
    make_admin(&app, "root").await;
    let settings = app.get("/admin/settings", &admin).await;
    let find = |name: &str| {
        let all = settings.as_array().expect("a list");
        all.iter().find(|it| it["name"] == json!(name)).unwrap_or_else(|| panic!("{name}")).clone()
    };
    assert_eq!((&find("RATE_SEND")["value"], &find("RATE_SEND")["is_set"]), (&json!("7/s"), &json!(true)));
    assert_eq!((&find("RATE_EVENT")["value"], &find("RATE_EVENT")["is_set"]), (&Value::Null, &json!(false)));
    for name in ["JWT_SECRET", "DATABASE_URL"] {
        let secret = find(name);
        assert_eq!(
            (&secret["value"], &secret["is_secret"], &secret["is_set"]),
            (&Value::Null, &json!(true), &json!(true))
        );
    }
    assert!(!settings.to_string().contains(crate::support::SECRET));
}

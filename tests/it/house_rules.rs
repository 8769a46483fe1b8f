//! What an operator sets for a server: who may register, words that messages must not contain, and parts that are switched
//! off.

use std::fs;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::moderation::make_admin;
use crate::support::{PASSWORD, Socket, TestApp, Transport, fresh_database};

async fn register(app: &TestApp, username: &str, extra: Value) -> (StatusCode, Value) {
    let mut body = json!({"username": username, "password": PASSWORD});
    for (name, value) in extra.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    app.send(Method::POST, "/user", None, Some(body)).await
}

async fn send(socket: &mut Socket, chat: i64, content: &str) -> Value {
    let message = json!({"chat_id": chat, "content": content, "message_type": "text"});
    socket.call("send_message", json!({ "message": message })).await
}

#[harness::test]
async fn a_closed_server_registers_nobody() {
    let app = TestApp::with(&[("REGISTRATION", "closed")]).await;
    for path in ["/user", "/user/create"] {
        let body = json!({"username": "alice", "password": PASSWORD});
        let (status, problem) = app.send(Method::POST, path, None, Some(body)).await;
        assert_eq!((status.as_u16(), &problem["code"]), (403, &json!("forbidden")), "{problem}");
    }
}

#[harness::test]
async fn an_invite_registers_a_user_who_joins_its_group() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = fresh_database(&folder).await;
    let app = TestApp::on(folder, &url, &[]).await;
    let alice = app.person("alice").await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[]).await;
    let TestApp { server, folder, .. } = app;
    server.shutdown().await;
    let app = TestApp::on(folder, &url, &[("REGISTRATION", "invite")]).await;
    let invite = async |body: Value| {
        let path = format!("/chat/{chat}/invite");
        let (status, link) = app.send(Method::POST, &path, Some(&alice.access), Some(body)).await;
        assert_eq!(status, 201, "{link}");
        link["token"].as_str().expect("a token").to_owned()
    };
    let (status, problem) = register(&app, "bob", json!({})).await;
    assert!(status == 422 && problem["errors"]["invite"].is_array(), "{problem}");
    for wrong in ["nonsense", ""] {
        let (status, problem) = register(&app, "bob", json!({ "invite": wrong })).await;
        assert!(status.is_client_error() && problem["errors"]["invite"].is_array(), "{wrong}: {problem}");
    }
    let once = invite(json!({"max_uses": 1})).await;
    let mut listener = app.connect(&alice, Transport::MAIN).await;
    let (status, bob) = register(&app, "bob", json!({ "invite": once })).await;
    assert_eq!(status, 201, "{bob}");
    assert_eq!(listener.next("member_added").await["member"]["user"]["username"], json!("bob"));
    let bob = app.login("bob").await;
    assert_eq!(app.get("/chat", &bob).await[0]["id"], json!(chat));
    // The link's only use is taken, and the failed attempt leaves no account.
    let (status, problem) = register(&app, "carol", json!({ "invite": once })).await;
    assert!(status == 404 && problem["errors"]["invite"].is_array(), "{problem}");
    let waits = invite(json!({"approval": true})).await;
    let (status, carol) = register(&app, "carol", json!({ "invite": waits })).await;
    assert_eq!(status, 201, "{carol}");
    assert_eq!(listener.next("join_requested").await["user"]["username"], json!("carol"));
    let carol = app.login("carol").await;
    assert_eq!(app.get("/chat", &carol).await, json!([]));
}

#[harness::test]
async fn two_users_cannot_register_by_the_last_use_of_an_invite() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[]).await;
    let path = format!("/chat/{chat}/invite");
    let (_, link) = app.send(Method::POST, &path, Some(&alice.access), Some(json!({"max_uses": 1}))).await;
    let tries = (0..4).map(|n| {
        let (app, invite) = (&app, link["token"].clone());
        async move { register(app, &format!("guest{n}"), json!({ "invite": invite })).await }
    });
    let made = futures_util::future::join_all(tries).await;
    assert_eq!(made.iter().filter(|(status, _)| *status == 201).count(), 1, "{made:?}");
    let members = app.get(&format!("/chat/{chat}/members"), &alice).await;
    assert_eq!(members.as_array().map(Vec::len), Some(2), "{members}");
    let guests = app.get("/user?query=guest", &alice).await;
    assert_eq!(guests.as_array().map(Vec::len), Some(1), "no account remains without its place: {guests}");
}

#[harness::test]
async fn a_message_with_a_forbidden_word_is_refused_on_every_path() {
    let words = tempfile::tempdir().expect("a folder");
    let file = words.path().join("words.txt");
    fs::write(&file, "# not here\nspam\nbuy now\n\n").expect("written");
    let app = TestApp::with(&[("WORD_FILTER", &file.display().to_string())]).await;
    let (alice, bob, _) = app.three().await;
    for transport in Transport::ALL {
        let mut socket = app.connect(&alice, transport).await;
        let chat = app.group(&mut socket, &[&bob]).await;
        let refused = |ack: &Value, field: &str| {
            assert_eq!(ack["error"]["code"], json!("message_refused"), "{ack}");
            assert!(ack["error"]["errors"][field].is_array(), "{ack}");
        };
        refused(&send(&mut socket, chat, "cheap SPAM!").await, "message.content");
        refused(&send(&mut socket, chat, "Buy, now").await, "message.content");
        let sent = send(&mut socket, chat, "a spammer buys it now").await;
        assert_eq!(sent["ok"], json!(true), "{sent}");
        let edit = json!({"message": {"id": sent["message"]["id"], "content": "spam"}});
        refused(&socket.call("edit_message", edit).await, "message.content");
        let first = json!({"chat": {"name": "x", "is_group": true, "members_array": [bob.id]},
            "message": {"content": "spam", "message_type": "text"}});
        refused(&socket.call("create_chat", first).await, "message.content");
        assert_eq!(app.contents(chat, &alice).await, ["a spammer buys it now"]);
        for (content, kind) in
            [("spam", "pdf"), ("sp<b></b>am", "html"), ("&#115;pam", "html"), ("{\"a\":\"spam\"}", "json")]
        {
            let message = json!({"chat_id": chat, "content": content, "message_type": kind});
            refused(&socket.call("send_message", json!({ "message": message })).await, "message.content");
        }
    }
    let payload = json!({"message": {"chat_id": 1, "content": "spam", "message_type": "text"}});
    let (status, problem) =
        app.send(Method::POST, "/events/send_message", Some(&alice.access), Some(payload)).await;
    assert_eq!((status.as_u16(), &problem["code"]), (422, &json!("message_refused")), "{problem}");
}

#[harness::test]
async fn a_message_with_a_reported_word_is_delivered_and_reported_once() {
    let words = tempfile::tempdir().expect("a folder");
    let file = words.path().join("words.txt");
    fs::write(&file, "spam\n").expect("written");
    let folder = tempfile::tempdir().expect("a folder");
    let url = fresh_database(&folder).await;
    let settings = [("WORD_FILTER", file.to_str().expect("text")), ("WORD_FILTER_ACTION", "report")];
    let app = TestApp::on(folder, &url, &settings).await;
    let (alice, bob, _) = app.three().await;
    let moderator = app.person("mod").await;
    make_admin(&app, "mod").await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let mut listener = app.connect(&bob, Transport::MAIN).await;
    let chat = app.group(&mut socket, &[&bob]).await;
    let flagged = send(&mut socket, chat, "cheap spam").await;
    assert_eq!(flagged["ok"], json!(true), "{flagged}");
    assert_eq!(listener.next("new_message").await["content"], json!("cheap spam"));
    let clean = send(&mut socket, chat, "fine").await;
    let edit = |content: &str| json!({"message": {"id": clean["message"]["id"], "content": content}});
    for content in ["spam later", "more spam", "fine again"] {
        assert_eq!(socket.call("edit_message", edit(content)).await["ok"], json!(true));
    }
    let reports = app.get("/admin/report", &moderator).await;
    let found: Vec<(&Value, &Value)> =
        reports.as_array().expect("a list").iter().map(|it| (&it["message_id"], &it["content"])).collect();
    let wanted =
        [(&clean["message"]["id"], &json!("spam later")), (&flagged["message"]["id"], &json!("cheap spam"))];
    assert_eq!(found, wanted, "{reports}");
    assert_eq!((&reports[0]["reporter"], &reports[0]["user"]["id"]), (&Value::Null, &json!(alice.id)));
}

#[harness::test]
async fn a_disabled_module_answers_404_and_is_not_documented() {
    const ALL: [&str; 8] = ["admin", "docs", "mail", "metrics", "plain_ws", "search", "ui", "webhooks"];
    // Each with its name in the document, if it has one.
    let documented: [(&str, &[&str]); 3] = [
        ("admin", &["/admin/user", "/admin/report", "/admin/overview"]),
        ("mail", &["/auth/email/resend", "/auth/password/forgot", "/auth/password/reset"]),
        ("search", &["/search", "/chat/{id}/search"]),
    ];
    let paths: [(&str, &[&str]); 6] = [
        (
            "admin",
            &["/admin", "/admin/user", "/admin/report", "/admin/audit", "/admin/mail", "/admin/statistics"],
        ),
        (
            "docs",
            &[
                "/docs/",
                "/docs/errors",
                "/openapi.json",
                "/asyncapi.json",
                "/postman.json",
                "/events.d.ts",
                "/events",
            ],
        ),
        ("mail", &["/auth/email/resend", "/auth/password/forgot", "/account/verify"]),
        ("plain_ws", &["/ws", "/chat/1/ws", "/chats/1/ws"]),
        ("search", &["/search", "/chat/1/search"]),
        ("ui", &["/", "/chat/ui", "/sw.js", "/manifest.webmanifest"]),
    ];
    for (module, _) in paths {
        let rest: Vec<&str> = ALL.into_iter().filter(|it| *it != module).collect();
        let app = TestApp::with(&[("MODULES", &rest.join(","))]).await;
        let alice = app.person("alice").await;
        for (other, paths) in paths {
            for path in paths {
                let (status, body) = app.send(Method::GET, path, Some(&alice.access), None).await;
                // Without the client, `/chat/ui` is a chat that has no number as its id.
                let nothing = ["there is nothing at this path", "an id must be a whole number"];
                let is_absent = status == 404 && nothing.iter().any(|it| body["detail"] == json!(it));
                assert_eq!(is_absent, other == module, "without {module}, {path} is {status}: {body}");
            }
        }
        if module != "docs" {
            let document = app.get("/openapi.json", &alice).await;
            let found = document["paths"].as_object().expect("paths");
            for (of, paths) in documented {
                for path in paths {
                    assert_eq!(found.contains_key(*path), of != module, "without {module}: {path}");
                }
            }
        }
        // Chatting does not depend on any of them.
        let mut socket = app.connect(&alice, Transport::MAIN).await;
        let chat = app.group(&mut socket, &[]).await;
        assert_eq!(send(&mut socket, chat, "still here").await["ok"], json!(true), "{module}");
    }
}

#[harness::test]
async fn a_new_forbidden_word_does_not_hide_what_was_stored_before() {
    let words = tempfile::tempdir().expect("a folder");
    let file = words.path().join("words.txt");
    fs::write(&file, "nothing\n").expect("written");
    let folder = tempfile::tempdir().expect("a folder");
    let url = fresh_database(&folder).await;
    let settings = [("WORD_FILTER", file.to_str().expect("text"))];
    let app = TestApp::on(folder, &url, &settings).await;
    let alice = app.person("alice").await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut socket, &[]).await;
    let message = json!({"chat_id": chat, "content": "spam", "message_type": "text", "client_id": "a-1"});
    let first = socket.call("send_message", json!({ "message": message })).await;
    drop(socket);
    let TestApp { server, folder, .. } = app;
    server.shutdown().await;
    fs::write(&file, "spam\n").expect("written");
    let app = TestApp::on(folder, &url, &settings).await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let retry = socket.call("send_message", json!({ "message": message })).await;
    assert_eq!(
        (&retry["duplicate"], &retry["message"]["id"]),
        (&json!(true), &first["message"]["id"]),
        "{retry}"
    );
    let other = json!({"chat_id": chat, "content": "spam", "message_type": "text", "client_id": "a-2"});
    let refused = socket.call("send_message", json!({ "message": other })).await;
    assert_eq!(refused["error"]["code"], json!("message_refused"));
    let forward = json!({"message": {"id": first["message"]["id"]}, "chat": {"id": chat}});
    let refused = socket.call("forward_message", forward).await;
    assert_eq!(refused["error"]["code"], json!("message_refused"), "{refused}");
    assert!(refused["error"]["errors"]["message.id"].is_array(), "{refused}");
    assert_eq!(app.contents(chat, &alice).await, ["spam"]);
}

#[harness::test]
async fn a_link_with_approval_registers_no_more_users_than_it_admits() {
    let app = TestApp::with(&[("REGISTRATION", "open")]).await;
    let alice = app.person("alice").await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[]).await;
    let path = format!("/chat/{chat}/invite");
    let body = json!({"max_uses": 1, "approval": true});
    let (_, link) = app.send(Method::POST, &path, Some(&alice.access), Some(body)).await;
    let (status, bob) = register(&app, "bob", json!({"invite": link["token"]})).await;
    assert_eq!(status, 201, "{bob}");
    let (status, problem) = register(&app, "carol", json!({"invite": link["token"]})).await;
    assert!(status == 404 && problem["errors"]["invite"].is_array(), "{problem}");
    // A use of somebody who is declined is free again.
    let decline = json!({"chat": {"id": chat}, "user": {"id": bob["id"]}});
    assert_eq!(owner.call("decline_join", decline).await["ok"], json!(true));
    let (status, carol) = register(&app, "carol", json!({"invite": link["token"]})).await;
    assert_eq!(status, 201, "{carol}");
    let approve = json!({"chat": {"id": chat}, "user": {"id": carol["id"]}});
    assert_eq!(owner.call("approve_join", approve).await["ok"], json!(true));
    assert_eq!(app.get(&path, &alice).await[0]["uses"], json!(1));
    let (_, revoked) = app.send(Method::POST, &path, Some(&alice.access), Some(json!({}))).await;
    let revoke = format!("/chat/{chat}/invite/{}", revoked["id"]);
    assert_eq!(app.send(Method::DELETE, &revoke, Some(&alice.access), None).await.0, 204);
    assert_eq!(register(&app, "dave", json!({"invite": revoked["token"]})).await.0, 404);
}

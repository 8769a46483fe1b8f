//! Rules that new users of the API run into first: what counts as read, which commands change nothing, which input is
//! rejected instead of ignored, and where links lead.

use std::time::Duration;

use mango_chat::error::Code;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::{PASSWORD, Person, Socket, TestApp, Transport};

async fn done(socket: &mut Socket, event: &str, payload: Value) -> Value {
    let ack = socket.call(event, payload).await;
    assert_eq!(ack["ok"], json!(true), "{event}: {ack}");
    ack
}

async fn say(socket: &mut Socket, chat: i64, content: &str) {
    let message = json!({"chat_id": chat, "content": content, "message_type": "text"});
    done(socket, "send_message", json!({ "message": message })).await;
}

async fn unread(app: &TestApp, chat: i64, person: &Person) -> Value {
    app.get(&format!("/chat/{chat}"), person).await["my"]["unread"].clone()
}

#[harness::test]
async fn messages_sent_before_a_member_joined_count_as_read() {
    let app = TestApp::with(&[("LOBBY_CHAT", "Hall")]).await;
    let (alice, bob, carol) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let group = app.group(&mut owner, &[&bob]).await;
    let add = json!({"chat": {"id": group}, "user": {"id": carol.id}});
    for round in 1..=2 {
        for number in 0..3 {
            say(&mut owner, group, &format!("before {number}")).await;
        }
        let added = done(&mut owner, "add_member", add.clone()).await;
        let last = app.get(&format!("/chat/{group}"), &alice).await["last_seq"].clone();
        assert_eq!(added["member"]["last_read_seq"], last, "round {round}");
        assert_eq!(unread(&app, group, &carol).await, json!(0));
        say(&mut owner, group, "since").await;
        assert_eq!(unread(&app, group, &carol).await, json!(1));
        let history = app.get(&format!("/chat/{group}/messages"), &carol).await;
        assert_eq!(history.as_array().map(Vec::len), Some(4 * round), "the whole past is there");
        done(&mut owner, "remove_member", add.clone()).await;
    }
    let chats = app.get("/chat", &alice).await;
    let hall = chats.as_array().expect("a list").iter().find(|chat| chat["name"] == json!("Hall"));
    let hall = hall.expect("the lobby")["id"].as_i64().expect("an id");
    say(&mut owner, hall, "welcome").await;
    let dave = app.person("dave").await;
    assert_eq!(unread(&app, hall, &dave).await, json!(0));
    assert_eq!(unread(&app, hall, &bob).await, json!(1));
}

#[harness::test]
async fn a_command_that_changes_nothing_is_not_announced() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let group = app.group(&mut owner, &[&bob]).await;
    let mut listener = app.connect(&bob, Transport::MAIN).await;
    say(&mut owner, group, "hello").await;
    let message = listener.next("new_message").await["id"].clone();
    let payload = json!({"name": "Alice", "description": "here", "username": "alice"});
    assert!(
        app.send(Method::PATCH, "/user/me", Some(&alice.access), Some(payload.clone())).await.0.is_success()
    );
    listener.next("user_updated").await;
    let chat = json!({"id": group, "name": "group", "description": null, "photo": null});
    let changes = [
        ("update_chat", json!({ "chat": chat })),
        ("set_member_role", json!({"chat": {"id": group}, "user": {"id": bob.id}, "role": "member"})),
        ("add_member", json!({"chat": {"id": group}, "user": {"id": bob.id}})),
        ("edit_message", json!({"message": {"id": message, "content": "hello"}})),
        ("toggle_like_message", json!({"message": {"id": message, "liked": false}})),
        ("toggle_chat_pin", json!({"chat": {"id": group, "pinned": false}})),
        ("toggle_chat_mute", json!({"chat": {"id": group, "muted": false}})),
        ("toggle_chat_archive", json!({"chat": {"id": group, "archived": false}})),
        ("mark_read", json!({"chat": {"id": group}, "seq": 0})),
        ("unfollow", json!({"user": {"id": bob.id}})),
        ("unblock", json!({"user": {"id": bob.id}})),
    ];
    let state = async |owner: &mut Socket| {
        let synced = done(owner, "sync", json!({"since": {}})).await;
        (synced["user_rev"].clone(), synced["revs"].clone(), app.get("/user/me", &alice).await)
    };
    let before = state(&mut owner).await;
    for (event, payload) in changes {
        done(&mut owner, event, payload).await;
    }
    for payload in [payload, json!({"photo": null}), json!({"photo": ""}), json!({})] {
        let (status, me) = app.send(Method::PATCH, "/user/me", Some(&alice.access), Some(payload)).await;
        assert_eq!((status.is_success(), &me["photo"]), (true, &before.2["photo"]), "{me}");
    }
    for _ in 0..5 {
        let (status, _) = app.send(Method::DELETE, "/user/me/photo", Some(&alice.access), None).await;
        assert!(status.is_success());
    }
    assert_eq!(state(&mut owner).await, before);
    // Changes of users are announced once a second.
    sleep(Duration::from_millis(1_200)).await;
    let heard = listener.come();
    assert!(heard.is_empty(), "{heard:?}");
}

#[harness::test]
async fn an_unneeded_password_in_a_profile_change_is_rejected_with_the_path_to_change_it() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let id = alice.id;
    for path in ["/user/me".to_owned(), format!("/user/{id}")] {
        for payload in [json!({"password": "another one"}), json!({"password": PASSWORD, "name": "Alice"})] {
            let (status, body) = app.send(Method::PATCH, &path, Some(&alice.access), Some(payload)).await;
            assert_eq!(status, 422, "{body}");
            let problem = body["errors"]["password"][0].as_str().unwrap_or_default();
            assert!(problem.contains("POST /auth/password/change"), "{body}");
        }
    }
    assert_eq!(app.get("/user/me", &alice).await["name"], json!(null));
    let payload = json!({"password": PASSWORD, "phone": "+7 999 123-45-67"});
    let (status, body) = app.send(Method::PATCH, "/user/me", Some(&alice.access), Some(payload)).await;
    assert!(status.is_success(), "{body}");
}

#[harness::test]
async fn a_text_of_white_space_is_rejected_and_typing_is_not_sent_back_to_its_socket() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let mut other_device = app.connect(&alice, Transport::ALL[3]).await;
    let mut listener = app.connect(&bob, Transport::MAIN).await;
    let group = app.group(&mut owner, &[&bob]).await;
    say(&mut owner, group, " a word between spaces ").await;
    let id = listener.next("new_message").await["id"].clone();
    for blank in [" ", "\n\t ", "\u{3000}\u{2003}"] {
        let message = json!({"chat_id": group, "content": blank, "message_type": "text"});
        let first = json!({"content": blank, "message_type": "text"});
        let members = json!([bob.id]);
        for (event, payload) in [
            ("send_message", json!({ "message": message })),
            ("edit_message", json!({"message": {"id": id, "content": blank}})),
            ("create_chat", json!({"chat": {"is_group": false, "members_array": members}, "message": first})),
        ] {
            let ack = owner.call(event, payload).await;
            assert_eq!(
                ack["error"]["errors"]["message.content"],
                json!(["must not be only white space"]),
                "{event}"
            );
        }
    }
    // The server does not interpret content of other types.
    let message = json!({"chat_id": group, "content": " ", "message_type": "markdown"});
    done(&mut owner, "send_message", json!({ "message": message })).await;
    owner.come();
    done(&mut owner, "typing", json!({"chat": {"id": group}, "is_typing": true})).await;
    for socket in [&mut other_device, &mut listener] {
        assert_eq!(socket.next("typing").await["user_id"], json!(alice.id));
    }
    owner.expect_silence().await;
}

#[harness::test]
async fn the_path_of_the_public_url_is_in_every_link_and_cookie() {
    for (url, path) in [("https://example.org/chat/", "/chat"), ("https://example.org", "")] {
        let app = TestApp::with(&[("PUBLIC_URL", url), ("EMAIL_VERIFICATION", "optional")]).await;
        let (alice, bob, carol) = app.three().await;
        let mut owner = app.connect(&alice, Transport::MAIN).await;
        for other in [&bob, &carol] {
            app.group(&mut owner, &[other]).await;
        }
        let listed = app.raw(Method::GET, "/chat?limit=1", Some(&alice.access), None).await;
        let link = listed.headers()["link"].to_str().expect("text").to_owned();
        assert!(link.starts_with(&format!("<{path}/chat?")), "{link}");
        let inner = link.trim_start_matches('<').split('>').next().expect("a URL");
        let next = app.get(inner.strip_prefix(path).expect("the proxy strips it"), &alice).await;
        assert_eq!(next.as_array().map(Vec::len), Some(1));

        let known = json!({"username": "alice", "password": PASSWORD});
        let login = app.raw(Method::POST, "/auth/login", None, Some(known)).await;
        let cookies: Vec<&str> =
            login.headers().get_all("set-cookie").iter().filter_map(|it| it.to_str().ok()).collect();
        let paths: Vec<&str> = cookies.iter().filter_map(|it| it.split("; ").nth(1)).collect();
        let whole = if path.is_empty() { "Path=/".to_owned() } else { format!("Path={path}") };
        let wanted = [whole, format!("Path={path}/auth"), format!("Path={path}/user/refresh")];
        assert_eq!(paths, wanted);

        let front = app.raw(Method::GET, "/", None, None).await.text().await.expect("a page");
        assert!(front.contains(&format!("\"{path}/web/")), "{front}");
        let document: Value =
            app.raw(Method::GET, "/openapi.json", None, None).await.json().await.expect("JSON");
        let servers = if path.is_empty() { json!(null) } else { json!([{"url": path}]) };
        assert_eq!(document["servers"], servers);

        let problem: Value = app.raw(Method::GET, "/user/me", None, None).await.json().await.expect("JSON");
        assert_eq!(problem["type"], json!(format!("{path}/docs/errors#token_missing")));
    }
}

#[harness::test]
async fn the_type_of_every_problem_links_to_an_explanation_of_its_code() {
    let app = TestApp::start().await;
    let page = app.raw(Method::GET, "/docs/errors", None, None).await;
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let page = page.text().await.expect("text");
    for code in Code::ALL {
        let told = page.split_once(&format!("id=\"{}\"", code.as_str()));
        let about = told.and_then(|(_, after)| after.split_once("<dd>")?.1.split("</dd>").next());
        assert!(about.is_some_and(|it| it.len() > 20), "{}", code.as_str());
    }
}

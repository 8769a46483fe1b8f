//! Bugs that were found in reviews and tests, each with the case that showed it.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{PASSWORD, Socket, TestApp, Transport};

#[harness::test]
async fn a_group_can_be_transferred_to_a_user_who_used_the_same_client_id() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut a = app.connect(&alice, Transport::MAIN).await;
    let mut b = app.connect(&bob, Transport::MAIN).await;
    let payload = |members: &[i64]| json!({"chat": {"name": "g", "is_group": true, "members_array": members, "client_id": "1"}});
    let made = a.call("create_chat", payload(&[bob.id])).await;
    let other = b.call("create_chat", payload(&[])).await;
    assert_ne!(made["chat"]["id"], other["chat"]["id"], "{other}");
    let hand_over = json!({"chat": {"id": made["chat"]["id"]}, "user": {"id": bob.id}, "role": "owner"});
    let ack = a.call("set_member_role", hand_over).await;
    assert_eq!(ack["ok"], json!(true), "{ack}");
    // A `client_id` belongs to the user who created the group, no matter who owns it later.
    let again = a.call("create_chat", payload(&[bob.id])).await;
    assert_eq!(again["chat"]["id"], made["chat"]["id"], "{again}");
    let again = b.call("create_chat", payload(&[])).await;
    assert_eq!(again["chat"]["id"], other["chat"]["id"], "{again}");
}

#[harness::test]
async fn a_message_sent_right_after_a_client_connected_reaches_it() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let mut chat = 0;
    // It takes a while to join many rooms.
    for _ in 0..60 {
        chat = app.group(&mut owner, &[&bob]).await;
    }
    for round in 0..20 {
        let transport = Transport::ALL[round % 4];
        // CONNECT was answered, but the client has not read `ready` yet.
        let mut fresh = Socket::open(&app.host, Some(&bob.access), transport).await.expect("connects");
        let page = app.get(&format!("/chat/{chat}/messages?limit=1"), &bob).await;
        let known = page[0]["seq"].as_i64().unwrap_or(1);
        let payload = json!({"message": {"chat_id": chat, "content": "now", "message_type": "text"}});
        let sent = owner.call("send_message", payload).await;
        let heard = fresh.next("new_message").await;
        assert_eq!((&heard["rev"], heard["prev"].as_i64()), (&sent["rev"], Some(known)));
        fresh.next("ready").await;
    }
}

#[harness::test]
async fn concurrent_chat_creations_by_the_same_users_do_not_deadlock() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let people = [&alice, &bob, &carol];
    let mut sockets = Vec::new();
    for index in 0..9 {
        sockets.push((app.connect(people[index % 3], Transport::MAIN).await, index));
    }
    let started = std::time::Instant::now();
    let acks = join_all(sockets.iter_mut().map(async |(socket, index)| {
        let mut acks = Vec::new();
        for number in 0..5 {
            let members = [people[(*index + 1) % 3].id, people[(*index + 2) % 3].id];
            let name = format!("{index}-{number}");
            let payload = json!({"chat": {"name": name, "is_group": true, "members_array": members}});
            acks.push(socket.call("create_chat", payload).await);
        }
        acks
    }))
    .await;
    for ack in acks.iter().flatten() {
        assert_eq!(ack["ok"], json!(true), "{ack}");
    }
    assert!(started.elapsed() < Duration::from_secs(10), "they waited for each other");
}

#[harness::test]
async fn a_namespace_can_be_joined_again_immediately_after_leaving_it() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let mut socket = app.connect(&alice, Transport::ALL[1]).await;
    for _ in 0..50 {
        socket.send_raw("41/ws,").await;
        socket.send_raw("40/ws,").await;
        socket.expect_connected().await;
    }
    socket.next("ready").await;
}

#[harness::test]
async fn a_polling_client_that_requests_more_than_it_fetches_loses_its_session() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob]).await;
    let content = "x".repeat(60_000);
    for _ in 0..100 {
        let payload = json!({"message": {"chat_id": chat, "content": content, "message_type": "text"}});
        owner.call("send_message", payload).await;
    }
    let base = format!("{}/socket.io/?EIO=4&transport=polling", app.url);
    let get =
        async |url: &str| app.http.get(url).header("auth", &bob.access).send().await.expect("an answer");
    let open = get(&base).await.text().await.expect("text");
    let open: Value = serde_json::from_str(open.trim_start_matches('0')).expect("JSON");
    let url = format!("{base}&sid={}", open["sid"].as_str().expect("a sid"));
    let post = async |body: String| {
        let request = app.http.post(&url).header("auth", &bob.access).body(body);
        request.send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(post("40".into()).await, 200);
    let mut connected = String::new();
    while !connected.contains("40{") {
        connected = get(&url).await.text().await.expect("text");
    }
    // Each answer has six megabytes, and the client fetches none.
    let asks: Vec<String> = (0..40)
        .map(|number| format!("42{number}{}", json!(["history", {"chat": {"id": chat}, "limit": 100}])))
        .collect();
    assert_eq!(post(asks.join("\u{1e}")).await, 200);
    crate::support::eventually("the session is ended", async || post("3".into()).await == 400).await;
}

#[harness::test]
async fn form_bodies_are_decoded_and_not_truncated() {
    let app = TestApp::start().await;
    let payload = json!({"username": "alice", "password": "password1"});
    app.send(Method::POST, "/user", None, Some(payload)).await;
    let login = async |kind: &str, body: &str| {
        let request = app.http.post(format!("{}/auth/login", app.url)).header("content-type", kind);
        request.body(body.to_owned()).send().await.expect("an answer").status().as_u16()
    };
    let form = "application/x-www-form-urlencoded";
    assert_eq!(login(form, "grant_type=password&username=alice&password=password1").await, 200);
    assert_eq!(
        login("Application/X-WWW-Form-URLencoded; charset=utf-8", "username=alice&password=password1").await,
        200
    );
    assert_eq!(login(form, "username=alice&password=password1#x").await, 401, "nothing is cut off");
    assert_eq!(login(form, "username=alice&password=password1%00").await, 401);
    assert_eq!(login(form, "username=a%00b&password=password1").await, 401);
    assert_eq!(login(form, "username=alice").await, 422);
}

#[harness::test]
async fn a_phone_number_that_equals_a_username_does_not_lock_that_user_out() {
    let app = TestApp::start().await;
    for (field, password) in [("username", "first password"), ("phone", "second password")] {
        let (status, body) = app
            .send(Method::POST, "/user", None, Some(json!({field: "7700123", "password": password})))
            .await;
        assert_eq!(status, 201, "{body}");
    }
    for password in ["first password", "second password"] {
        let payload = json!({"username": "7700123", "password": password});
        assert_eq!(app.send(Method::POST, "/auth/login", None, Some(payload)).await.0, 200, "{password}");
    }
    let payload = json!({"username": "7700123", "password": PASSWORD});
    assert_eq!(app.send(Method::POST, "/auth/login", None, Some(payload)).await.0, 401);
}

#[harness::test]
async fn users_are_found_by_names_in_any_script() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    for (username, name) in [("ildar", "Ильдар Хасанов"), ("percent", "100% mango_juice")] {
        let payload = json!({"username": username, "name": name, "password": PASSWORD});
        assert_eq!(app.send(Method::POST, "/user", None, Some(payload)).await.0, 201);
    }
    let found = async |query: &str| -> Vec<String> {
        let list = app.get(&format!("/user?query={query}"), &alice).await;
        list.as_array()
            .expect("a list")
            .iter()
            .map(|it| it["username"].as_str().expect("text").to_owned())
            .collect()
    };
    assert_eq!(found("ИЛЬДАР").await, ["ildar"]);
    assert_eq!(found("хасан").await, ["ildar"]);
    assert_eq!(found("0%25%20m").await, ["percent"], "the pattern's signs stand for themselves");
    assert_eq!(found("o_j").await, ["percent"]);
    assert_eq!(found("ALI").await, ["alice"]);
    for bad in ["", "%00", "%20"] {
        let (status, _) =
            app.send(Method::GET, &format!("/user?query={bad}"), Some(&alice.access), None).await;
        assert_eq!(status, 422, "{bad}");
    }
}

#[harness::test]
async fn only_visible_profile_changes_are_announced_and_only_a_new_phone_requires_the_password() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut listener = app.connect(&bob, Transport::MAIN).await;
    app.group(&mut listener, &[&alice]).await;
    listener.next("chat_created").await;
    let patch =
        async |payload: Value| app.send(Method::PATCH, "/user/me", Some(&alice.access), Some(payload)).await;
    assert_eq!(patch(json!({"phone": "+7 912 345"})).await.0, 422);
    assert_eq!(patch(json!({"phone": "+7 912 345", "password": "wrong password"})).await.0, 422);
    assert_eq!(patch(json!({"phone": "+7 912 345", "password": PASSWORD})).await.0, 200);
    assert_eq!(patch(json!({"phone": "+7-912-345"})).await.0, 200, "the same phone");
    assert_eq!(patch(json!({})).await.0, 200);
    assert_eq!(patch(json!({"username": ""})).await.0, 422);
    listener.expect_silence().await;
    let (_, me) = patch(json!({"name": "Alice", "phone": null, "password": PASSWORD})).await;
    assert_eq!((&me["name"], &me["phone"]), (&json!("Alice"), &Value::Null));
    assert_eq!(listener.next("user_updated").await["user"]["name"], json!("Alice"));
    assert_eq!(patch(json!({"username": null})).await.0, 422, "one way to log in has to stay");
}

#[harness::test]
async fn a_retry_by_a_removed_member_finds_the_stored_message() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let mut member = app.connect(&bob, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob]).await;
    let payload =
        json!({"message": {"chat_id": chat, "content": "x", "message_type": "text", "client_id": "k"}});
    let first = member.call("send_message", payload.clone()).await;
    owner.call("remove_member", json!({"chat": {"id": chat}, "user": {"id": bob.id}})).await;
    let again = member.call("send_message", payload.clone()).await;
    assert_eq!((&again["duplicate"], &again["message"]["id"]), (&json!(true), &first["message"]["id"]));
    let mut other = payload;
    other["message"]["content"] = json!("y");
    assert_eq!(member.call("send_message", other).await["error"]["code"], json!("not_found"));
}

#[harness::test]
async fn the_first_message_of_a_chat_follows_the_rules_of_all_messages() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    for content in [json!("data:image/png;base64,AAAA"), json!({"_placeholder": true, "num": 0}), json!("")] {
        let payload = json!({
            "chat": {"name": "g", "is_group": true, "members_array": [bob.id]},
            "message": {"content": content, "message_type": "text"},
        });
        let ack = socket.call("create_chat", payload).await;
        assert!(ack["error"]["errors"]["message.content"].is_array(), "{ack}");
    }
    assert_eq!(app.get("/chat", &bob).await, json!([]));
    let payload = json!({
        "chat": {"name": "g", "is_group": true, "members_array": [bob.id]},
        "message": {"content": "hi", "message_type": "text"},
    });
    let ack = socket.call("create_chat", payload).await;
    let created = socket.next("chat_created").await;
    assert_eq!(
        (&created["rev"], &created["details"]["rev"]),
        (&json!(1), &json!(1)),
        "as it was at that event"
    );
    assert_eq!(ack["chat"]["last_message"]["content"], json!("hi"));
}

#[harness::test]
async fn a_page_of_another_origin_receives_no_cookies() {
    let app = TestApp::start().await;
    app.person("alice").await;
    let login = async |origin: &str| {
        let request = app.http.post(format!("{}/auth/login", app.url)).header("origin", origin);
        let answer = request
            .json(&json!({"username": "alice", "password": PASSWORD}))
            .send()
            .await
            .expect("an answer");
        (answer.status().as_u16(), answer.headers().get_all("set-cookie").iter().count())
    };
    assert_eq!(login(&app.url).await, (200, 3));
    assert_eq!(login("https://evil.example.org").await, (200, 0));
    let logout = async |name: &str, value: &str| {
        let request = app.http.post(format!("{}/auth/logout", app.url)).header(name, value);
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.headers().get_all("set-cookie").iter().count())
    };
    assert_eq!(logout("cookie", "access_token=nonsense").await, (401, 3));
    assert_eq!(logout("authorization", "Bearer nonsense").await, (401, 0), "cookies are not what was meant");
}

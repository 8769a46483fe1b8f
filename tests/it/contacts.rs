//! Who may talk to whom: blocking, approval, mutual contacts, the lobby, and related limits.

mod approval;
mod bounds;
mod lobby;
mod mutual;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Person, Plain, Socket, TestApp, Transport};

fn user(person: &Person) -> Value {
    json!({"user": {"id": person.id}})
}

fn message(chat: i64, content: &str) -> Value {
    json!({"message": {"chat_id": chat, "content": content, "message_type": "text"}})
}

fn code(ack: &Value) -> &str {
    ack["error"]["code"].as_str().unwrap_or("none")
}

async fn done(socket: &mut Socket, command: &str, payload: Value) -> Value {
    let ack = socket.call(command, payload).await;
    assert_eq!(ack["ok"], json!(true), "{command}: {ack}");
    ack
}

/// Sends all messages at once and returns how many were accepted.
async fn taken_at_once(socket: &mut Socket, payloads: impl IntoIterator<Item = Value>) -> usize {
    let mut begun = Vec::new();
    for payload in payloads {
        begun.push(socket.feed("send_message", payload).await);
    }
    socket.flush().await;
    let mut taken = 0;
    for id in begun {
        taken += usize::from(socket.ack(id).await["ok"] == json!(true));
    }
    taken
}

/// Creates the direct chat with another user, or finds it, and returns its id.
async fn direct(socket: &mut Socket, other: &Person) -> i64 {
    let payload = json!({"chat": {"is_group": false, "members_array": [other.id]}});
    done(socket, "create_chat", payload).await["chat"]["id"].as_i64().expect("an id")
}

/// Returns the user ids in one of the user's lists, read page by page.
async fn ids(app: &TestApp, person: &Person, list: &str, limit: usize) -> Vec<i64> {
    let mut found = Vec::new();
    let mut next = Some(format!("/user/me/{list}?limit={limit}"));
    while let Some(path) = next {
        let answer = app.raw(Method::GET, &path, Some(&person.access), None).await;
        let link = answer.headers().get("link").map(|it| it.to_str().expect("text").to_owned());
        let page: Value = answer.json().await.expect("a list");
        let page: Vec<i64> =
            page.as_array().expect("a list").iter().map(|it| it["id"].as_i64().expect("an id")).collect();
        assert!(page.len() <= limit, "{page:?}");
        found.extend(page);
        next = link.and_then(|it| it.strip_prefix('<')?.split_once('>').map(|(path, _)| path.to_owned()));
    }
    found
}

#[harness::test]
async fn contacts_are_listed_in_pages_and_a_followed_user_is_notified() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let dave = app.person("dave").await;
    let mut a = app.connect(&alice, Transport::MAIN).await;
    let (mut b, _) = Plain::open(&app.host, "/ws", &bob.access).await.expect("connects");
    for person in [&bob, &carol, &dave] {
        let ack = done(&mut a, "follow", user(person)).await;
        let contact = json!({"user_id": person.id, "following": true, "blocked": false});
        assert_eq!(ack["contact"], contact);
    }
    let told = b.next("followed").await;
    assert_eq!((&told["user_id"], &told["by"]), (&json!(bob.id), &json!(alice.id)), "{told}");
    assert!(told.get("user_rev").is_none(), "another's counter is nobody's business: {told}");
    assert_eq!(ids(&app, &alice, "following", 2).await, [bob.id, carol.id, dave.id]);
    assert_eq!(ids(&app, &bob, "followers", 2).await, [alice.id]);
    done(&mut a, "unfollow", user(&carol)).await;
    done(&mut a, "block", user(&dave)).await;
    // The first sync returns all contacts to a client that knows none.
    let synced = done(&mut a, "sync", json!({})).await;
    let contact = |person: &Person, following, blocked| json!({"user_id": person.id, "following": following, "blocked": blocked});
    assert_eq!(synced["contacts"], json!([contact(&bob, true, false), contact(&dave, false, true)]));
    assert_eq!(ids(&app, &alice, "following", 1).await, [bob.id]);
    assert_eq!(ids(&app, &alice, "blocked", 1).await, [dave.id]);
    assert_eq!(ids(&app, &dave, "followers", 1).await, Vec::<i64>::new());
}

#[harness::test]
async fn invalid_contact_requests_name_the_invalid_field() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut a = app.connect(&alice, Transport::MAIN).await;
    let mut b = app.connect(&bob, Transport::MAIN).await;
    for command in ["follow", "unfollow", "block", "unblock"] {
        for (payload, expected) in [
            (user(&alice), "validation_failed"),
            (json!({"user": {"id": 999_999}}), "not_found"),
            (json!({"user": {"id": "x"}}), "validation_failed"),
        ] {
            let ack = a.call(command, payload).await;
            assert_eq!(code(&ack), expected, "{command}: {ack}");
            assert!(ack["error"]["errors"]["user.id"].is_array(), "{command}: {ack}");
        }
    }
    done(&mut b, "block", user(&alice)).await;
    let refused = a.call("follow", user(&bob)).await;
    assert_eq!(code(&refused), "blocked", "{refused}");
    let refused = b.call("follow", user(&alice)).await;
    assert_eq!(code(&refused), "blocked", "unblock first: {refused}");
    assert_eq!(ids(&app, &alice, "following", 50).await, Vec::<i64>::new());
}

#[harness::test]
async fn a_block_stops_only_direct_messages_in_both_directions() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let mut a = app.connect(&alice, Transport::MAIN).await;
    let mut b = app.connect(&bob, Transport::ALL[3]).await;
    let group = app.group(&mut a, &[&bob]).await;
    let chat = direct(&mut a, &bob).await;
    let first = done(&mut b, "send_message", message(chat, "hello")).await;
    let mine = done(&mut a, "send_message", message(chat, "hello you")).await;
    done(&mut a, "block", user(&bob)).await;
    for socket in [&mut a, &mut b] {
        let refused = socket.call("send_message", message(chat, "still there?")).await;
        assert_eq!(code(&refused), "blocked", "{refused}");
        assert!(refused["error"]["errors"]["message.chat_id"].is_array(), "{refused}");
    }
    for (command, payload) in [
        ("edit_message", json!({"message": {"id": first["message"]["id"], "content": "smuggled"}})),
        ("toggle_like_message", json!({"message": {"id": mine["message"]["id"], "liked": true}})),
        ("create_chat", json!({"chat": {"name": "g", "is_group": true, "members_array": [alice.id]}})),
    ] {
        let refused = b.call(command, payload).await;
        assert_eq!(code(&refused), "blocked", "{command}: {refused}");
    }
    // A retry of an earlier message gets the same response, and the chat itself still exists.
    let again = direct(&mut b, &alice).await;
    assert_eq!(again, chat);
    a.rest().await;
    b.rest().await;
    done(&mut b, "typing", json!({"chat": {"id": chat}, "is_typing": true})).await;
    done(&mut b, "mark_read", json!({"chat": {"id": chat}})).await;
    a.expect_silence().await;
    done(&mut b, "send_message", message(group, "in the group")).await;
    assert_eq!(a.next("new_message").await["content"], json!("in the group"));
    // A user cannot add another user who has blocked them.
    let mut c = app.connect(&carol, Transport::MAIN).await;
    done(&mut c, "block", user(&alice)).await;
    let refused = a.call("add_member", json!({"chat": {"id": group}, "user": {"id": carol.id}})).await;
    assert_eq!(code(&refused), "blocked", "{refused}");
    // A new direct chat is rejected too, from either side.
    for (socket, other) in [(&mut a, &carol), (&mut c, &alice)] {
        let payload = json!({"chat": {"is_group": false, "members_array": [other.id]}});
        let refused = socket.call("create_chat", payload).await;
        assert_eq!(code(&refused), "blocked", "{refused}");
    }
    // Both users have to remove their block.
    done(&mut b, "block", user(&alice)).await;
    done(&mut a, "unblock", user(&bob)).await;
    let refused = a.call("send_message", message(chat, "again?")).await;
    assert_eq!(code(&refused), "blocked", "{refused}");
    done(&mut b, "unblock", user(&alice)).await;
    done(&mut a, "send_message", message(chat, "again!")).await;
    assert_eq!(app.contents(chat, &bob).await, ["hello", "hello you", "again!"]);
    assert_eq!(app.contents(group, &alice).await, ["in the group"]);
}

#[harness::test]
async fn a_block_hides_presence_in_both_directions() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let mut a = app.connect(&alice, Transport::MAIN).await;
    let mut b = app.connect(&bob, Transport::MAIN).await;
    app.group(&mut a, &[&bob, &carol]).await;
    let watch = |person: &Person| json!({"users": [person.id]});
    let seen = done(&mut a, "watch_presence", watch(&bob)).await;
    assert_eq!(seen["presence"][0]["online"], json!(true), "{seen}");
    done(&mut b, "watch_presence", json!({"users": [alice.id, carol.id]})).await;
    done(&mut a, "block", user(&bob)).await;
    for (viewer, viewed) in [(&alice, &bob), (&bob, &alice)] {
        let profile = app.get(&format!("/user/{}", viewed.id), viewer).await;
        assert_eq!((&profile["online"], &profile["last_seen_at"]), (&json!(false), &Value::Null));
        let found = app.get("/user?query=b", viewer).await;
        for it in found.as_array().expect("a list").iter().filter(|it| it["id"] == json!(viewed.id)) {
            assert_eq!(it["online"], json!(false), "{it}");
        }
    }
    let profile = app.get(&format!("/user/{}", alice.id), &carol).await;
    assert_eq!(profile["online"], json!(true), "others see it");
    for (socket, other) in [(&mut a, &bob), (&mut b, &alice)] {
        let seen = done(socket, "watch_presence", watch(other)).await;
        assert_eq!(seen["presence"], json!([]), "{seen}");
    }
    // Nor does a profile update show it.
    a.rest().await;
    b.rest().await;
    let patch = json!({"name": "Alice"});
    app.send(Method::PATCH, "/user/me", Some(&alice.access), Some(patch)).await;
    let told = b.next("user_updated").await;
    assert_eq!((&told["user"]["name"], &told["user"]["online"]), (&json!("Alice"), &json!(false)), "{told}");
    assert_eq!(a.next("user_updated").await["user"]["online"], json!(true));
    b.expect_silence().await;
}

#[harness::test]
async fn a_block_ends_an_existing_presence_subscription() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let mut a = app.connect(&alice, Transport::MAIN).await;
    app.group(&mut a, &[&bob, &carol]).await;
    done(&mut a, "watch_presence", json!({"users": [bob.id, carol.id]})).await;
    done(&mut a, "block", user(&bob)).await;
    a.rest().await;
    let _b = app.connect(&bob, Transport::MAIN).await;
    a.expect_silence().await;
    let _c = app.connect(&carol, Transport::MAIN).await;
    assert_eq!(a.next("presence").await["user_id"], json!(carol.id));
}

#[harness::test]
async fn a_block_concurrent_with_a_new_chat_applies_to_all_later_messages() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let mut a = app.connect(&alice, Transport::MAIN).await;
    for round in 0..12 {
        let other = app.person(&format!("other{round}")).await;
        let mut o = app.connect(&other, Transport::MAIN).await;
        let payload = json!({
            "chat": {"is_group": false, "members_array": [alice.id]},
            "message": {"content": "hi", "message_type": "text"},
        });
        let (blocked, created) =
            tokio::join!(a.call("block", user(&other)), o.call("create_chat", payload.clone()));
        assert_eq!(blocked["ok"], json!(true), "{blocked}");
        assert!(created["ok"] == json!(true) || code(&created) == "blocked", "{created}");
        // Whichever came first, the block applies from now on.
        let refused = o.call("create_chat", payload).await;
        assert_eq!(code(&refused), "blocked", "{refused}");
        if let Some(chat) = created["chat"]["id"].as_i64() {
            let refused = o.call("send_message", message(chat, "still?")).await;
            assert_eq!(code(&refused), "blocked", "{refused}");
        }
    }
}

#[harness::test]
async fn presence_is_not_sent_to_users_who_no_longer_share_a_chat() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let mut a = app.connect(&alice, Transport::MAIN).await;
    let mut b = app.connect(&bob, Transport::MAIN).await;
    let group = app.group(&mut a, &[&bob, &carol]).await;
    done(&mut b, "watch_presence", json!({"users": [carol.id]})).await;
    done(&mut a, "watch_presence", json!({"users": [carol.id]})).await;
    done(&mut a, "remove_member", json!({"chat": {"id": group}, "user": {"id": bob.id}})).await;
    b.next("member_removed").await;
    b.rest().await;
    let _c = app.connect(&carol, Transport::MAIN).await;
    assert_eq!(a.next("presence").await["user_id"], json!(carol.id));
    b.expect_silence().await;
}

//! The plain WebSocket, from the first frame to the close codes: same events and rules as Socket.IO, other framing.

mod endings;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::support::{Person, Plain, Socket, TestApp, Transport};

/// A group of Alice (who gets a Socket.IO socket) and Bob; Carol is not in it.
struct Fixture {
    app: TestApp,
    alice: Person,
    bob: Person,
    carol: Person,
    owner: Socket,
    chat: i64,
}

impl Fixture {
    async fn new() -> Self {
        let app = TestApp::start().await;
        let (alice, bob, carol) = app.three().await;
        let mut owner = app.connect(&alice, Transport::MAIN).await;
        let chat = app.group(&mut owner, &[&bob]).await;
        owner.next("chat_created").await;
        Self { app, alice, bob, carol, owner, chat }
    }

    /// Returns both paths of the chat's own socket.
    fn own_paths(&self) -> [String; 2] {
        [format!("/chat/{}/ws", self.chat), format!("/chats/{}/ws", self.chat)]
    }

    async fn own_socket(&self, person: &Person) -> (Plain, Value) {
        Plain::open(&self.app.host, &self.own_paths()[0], &person.access).await.expect("connects")
    }

    async fn say(&mut self, content: &str) -> Value {
        let payload = json!({"message": {"chat_id": self.chat, "content": content, "message_type": "text"}});
        self.owner.call("send_message", payload).await
    }
}

#[harness::test]
async fn every_path_authenticates_by_first_frame_header_and_cookie() {
    let mut fixture = Fixture::new().await;
    for number in 0..60 {
        fixture.say(&format!("m{number}")).await;
    }
    let (host, token) = (fixture.app.host.clone(), fixture.bob.access.clone());
    let [one, other] = fixture.own_paths();
    for path in ["/ws", "/ws/", &one, &other] {
        let (_plain, by_frame) = Plain::open(&host, path, &token).await.expect("connects");
        for (name, value) in [
            ("auth", token.clone()),
            ("auth", format!("Bearer {token}")),
            ("authorization", format!("Bearer {token}")),
            ("cookie", format!("access_token={token}")),
        ] {
            let mut plain = Plain::upgrade(&host, path, &[(name, &value)]).await.expect("upgrades");
            let welcome = plain.ack_of(&Value::Null).await;
            assert_eq!(welcome["ok"], json!(true), "{path} by {name}: {welcome}");
            assert_eq!(welcome["user_id"], by_frame["user_id"]);
        }
        assert_eq!(by_frame["user_id"], json!(fixture.bob.id));
        for field in ["session_id", "epoch", "server_time"] {
            assert!(!by_frame[field].is_null(), "{path}: no {field} in {by_frame}");
        }
        if path.starts_with("/ws") {
            assert!(by_frame.get("chat").is_none() && by_frame.get("messages").is_none());
            continue;
        }
        assert_eq!(by_frame["chat"]["id"], json!(fixture.chat));
        assert!(by_frame["chat"]["my"].is_object(), "{by_frame}");
        let messages = by_frame["messages"].as_array().expect("messages");
        assert_eq!(
            (messages.len(), &messages[0]["content"]),
            (50, &json!("m59")),
            "the last 50, newest first"
        );
    }
    // An auth frame without an id is acknowledged too, and a cookie sent from a foreign origin does not count.
    let mut plain = Plain::upgrade(&host, "/ws", &[]).await.expect("upgrades");
    plain.send_raw(&json!({"type": "auth", "token": token}).to_string()).await;
    assert_eq!(plain.ack_of(&Value::Null).await["ok"], json!(true));
    let cookie = format!("access_token={token}");
    let strange = [("cookie", cookie.as_str()), ("origin", "https://evil.example")];
    let mut plain = Plain::upgrade(&host, "/ws", &strange).await.expect("upgrades");
    plain.emit("history", json!({"chat": {"id": fixture.chat}})).await;
    assert_eq!(plain.ack_of(&Value::Null).await["error"]["code"], json!("token_missing"));
}

#[harness::test]
async fn events_equal_those_of_socket_io() {
    let mut fixture = Fixture::new().await;
    let mut listeners = Vec::new();
    for path in ["/ws", &fixture.own_paths()[1]] {
        listeners.push(Plain::open(&fixture.app.host, path, &fixture.bob.access).await.expect("connects").0);
    }
    let mut reference = fixture.app.connect(&fixture.bob, Transport::MAIN).await;
    let sent = fixture.say("hello").await;
    let id = sent["message"]["id"].clone();
    let member = json!({"chat": {"id": fixture.chat}, "user": {"id": fixture.carol.id}});
    for (event, payload) in [
        ("toggle_like_message", json!({"message": {"id": id, "liked": true}})),
        ("edit_message", json!({"message": {"id": id, "content": "hello!"}})),
        ("update_chat", json!({"chat": {"id": fixture.chat, "name": "new name"}})),
        ("add_member", member.clone()),
        ("remove_member", member),
        ("mark_read", json!({"chat": {"id": fixture.chat}})),
        ("typing", json!({"chat": {"id": fixture.chat}, "is_typing": true})),
        ("delete_message", json!({"message": {"id": id}})),
    ] {
        let ack = fixture.owner.call(event, payload).await;
        assert_eq!(ack["ok"], json!(true), "{event}: {ack}");
    }
    let expected = reference.rest().await;
    assert_eq!(expected.len(), 9, "{expected:?}");
    for listener in &mut listeners {
        assert_eq!(listener.rest().await, expected);
    }
}

#[harness::test]
async fn acks_equal_those_of_socket_io_and_only_frames_with_an_id_get_one() {
    let mut fixture = Fixture::new().await;
    fixture.owner.call("mark_read", json!({"chat": {"id": fixture.chat}})).await;
    let (mut plain, _) =
        Plain::open(&fixture.app.host, "/ws", &fixture.alice.access).await.expect("connects");
    for (event, payload) in [
        ("history", json!({"chat": {"id": fixture.chat}})),
        ("sync", json!({"since": {}})),
        ("history", json!({"chat": {"id": 999}})),
        ("send_message", json!({"message": {"chat_id": fixture.chat}})),
        ("make_coffee", json!({})),
    ] {
        let by_socket = fixture.owner.call(event, payload.clone()).await;
        assert_eq!(plain.call(event, payload.clone()).await, by_socket, "{event}");
        // Without an id, a success is silent and a failure is an exception.
        plain.emit(event, payload).await;
        if by_socket["ok"] == json!(false) {
            let exception = plain.next("exception").await;
            assert_eq!((&exception["event"], &exception["error"]), (&json!(event), &by_socket["error"]));
        }
    }
    plain.expect_silence().await;
    for id in [json!(0), json!("a"), json!({"b": [1]}), json!(null), json!(1.5), json!([])] {
        plain.send_raw(&json!({"type": "sync", "id": id}).to_string()).await;
        assert_eq!(plain.ack_of(&id).await["ok"], json!(true), "{id}");
    }
}

#[harness::test]
async fn on_the_socket_of_one_chat_the_chat_is_implied_and_short_forms_work() {
    let mut fixture = Fixture::new().await;
    let other = fixture.app.group(&mut fixture.owner, &[&fixture.bob]).await;
    let (mut plain, _) = fixture.own_socket(&fixture.bob).await;
    let sent = plain.call("send_message", json!({"text": "hi", "client_id": "short"})).await;
    assert_eq!(sent["message"]["chat_id"], json!(fixture.chat), "{sent}");
    assert_eq!((&sent["message"]["message_type"], &sent["duplicate"]), (&json!("text"), &json!(false)));
    let again = plain.call("send_message", json!({"text": "hi", "client_id": "short"})).await;
    assert_eq!(again["duplicate"], json!(true), "{again}");
    plain.emit("send_message", json!({"text": "without an id"})).await;
    let first = fixture.owner.next("new_message").await;
    assert_eq!(first["id"], sent["message"]["id"]);
    let second = fixture.owner.next("new_message").await;
    assert_eq!(second["content"], json!("without an id"));
    plain.emit("mark_read", json!({"last_read_message_id": second["id"]})).await;
    assert_eq!(fixture.owner.next("chat_read").await["seq"], second["seq"]);
    plain.emit("typing", json!({"is_typing": true})).await;
    assert_eq!(fixture.owner.next("typing").await["user_id"], json!(fixture.bob.id));
    let page = plain.call("history", json!({"limit": 1})).await;
    assert_eq!(page["messages"][0]["id"], second["id"], "{page}");
    let synced = plain.call("sync", json!({})).await;
    assert_eq!(
        (synced["chats"].as_array().map(Vec::len), &synced["chats"][0]["id"]),
        (Some(1), &json!(fixture.chat))
    );
    let pinned = plain.call("toggle_chat_pin", json!({"chat": {"pinned": true}})).await;
    assert_eq!(pinned["pinned"], json!(true), "{pinned}");
    // Naming this chat is allowed, naming another is an error, and events of another chat do not arrive.
    let named = plain.call("history", json!({"chat": {"id": fixture.chat}})).await;
    assert_eq!(named["ok"], json!(true));
    let in_other = fixture
        .owner
        .call("send_message", json!({"message": {"chat_id": other, "content": "x", "message_type": "text"}}))
        .await;
    let elsewhere = in_other["message"]["id"].clone();
    for (event, payload) in [
        ("send_message", json!({"message": {"chat_id": other, "content": "x", "message_type": "text"}})),
        ("history", json!({"chat": {"id": other}})),
        ("mark_read", json!({"chat": {"id": other}})),
        ("typing", json!({"chat": {"id": other}, "is_typing": true})),
        ("sync", json!({"only": [other]})),
        ("toggle_chat_pin", json!({"chat": {"id": other}})),
        ("toggle_like_message", json!({"message": {"id": elsewhere, "liked": true}})),
        ("create_chat", json!({"chat": {"name": "x", "is_group": true, "members_array": []}})),
    ] {
        let ack = plain.call(event, payload.clone()).await;
        assert_eq!(ack["ok"], json!(false), "{event} reached another chat: {ack}");
        plain.emit(event, payload).await;
        plain.next("exception").await;
    }
    let heard = plain.rest().await;
    assert!(heard.iter().all(|(name, _)| name != "new_message"), "it is about one chat: {heard:?}");
    assert_eq!(fixture.app.contents(other, &fixture.alice).await, ["x"]);
}

#[harness::test]
async fn pings_are_answered_and_sent() {
    let app = TestApp::with(&[("PING_INTERVAL_MS", "300"), ("PING_TIMEOUT_MS", "300")]).await;
    let alice = app.person("alice").await;
    let (mut plain, _) = Plain::open(&app.host, "/ws", &alice.access).await.expect("connects");
    // The client library answers pings as it reads them; a client that answers stays connected.
    for _ in 0..4 {
        plain.expect_ping(crate::support::PATIENCE).await;
    }
    plain.send_message(Message::Ping(Bytes::from_static(b"are you there"))).await;
    assert_eq!(plain.call("sync", json!({})).await["ok"], json!(true));
    // The server drops a client that does not even read.
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    while !plain.ended {
        plain.rest().await;
    }
}

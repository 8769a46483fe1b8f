//! The writer: many sends at once, each stored once and in one order, and a failing one does not affect the others.

use std::collections::HashSet;

use futures_util::future::join_all;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::support::{Person, Socket, TestApp, Transport, database_kind};

#[harness::test]
async fn messages_of_many_senders_are_stored_once_and_delivered_in_one_order() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let people = [&alice, &bob, &carol];
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let mut chats = Vec::new();
    for _ in 0..4 {
        chats.push(app.group(&mut owner, &[&bob, &carol]).await);
    }
    let mut listener = app.connect(&carol, Transport::ALL[3]).await;
    let mut senders: Vec<(Socket, usize)> = Vec::new();
    for index in 0..12 {
        senders.push((app.connect(people[index % 3], Transport::ALL[index % 4]).await, index));
    }
    let sent = join_all(senders.iter_mut().map(async |(socket, index)| {
        let mut acks = Vec::new();
        for number in 0..50 {
            let payload = json!({"message": {
                "chat_id": chats[(*index + number) % chats.len()],
                "content": format!("{index}-{number}"),
                "message_type": "text",
                "client_id": format!("{index}-{number}"),
            }});
            acks.push(socket.feed("send_message", payload).await);
        }
        socket.flush().await;
        let mut messages = Vec::new();
        for ack in acks {
            let ack = socket.ack(ack).await;
            assert_eq!((&ack["ok"], &ack["duplicate"]), (&json!(true), &json!(false)), "{ack}");
            messages.push(ack["message"].clone());
        }
        messages
    }))
    .await;
    let ids: HashSet<i64> = sent.iter().flatten().map(|it| it["id"].as_i64().expect("an id")).collect();
    assert_eq!(ids.len(), 600);
    let mut last = std::collections::HashMap::new();
    for _ in 0..600 {
        let event = listener.next("new_message").await;
        let before = last.insert(event["chat"].as_i64().expect("a chat"), event["rev"].clone());
        assert_eq!(event["prev"], before.unwrap_or_else(|| json!(1)), "no hole, no repetition");
    }
    for chat in &chats {
        let shown = app.get(&format!("/chat/{chat}"), &bob).await;
        assert_eq!((&shown["rev"], &shown["last_seq"]), (&json!(151), &json!(151)));
        assert_eq!(app.contents(*chat, &bob).await.len(), 150);
    }
    // The messages of each sender are in the order in which they were sent.
    for chat in &chats {
        let contents = app.contents(*chat, &alice).await;
        for index in 0..12 {
            let own: Vec<i64> = contents
                .iter()
                .filter_map(|it| it.strip_prefix(&format!("{index}-"))?.parse().ok())
                .collect();
            assert!(own.is_sorted(), "{own:?}");
        }
    }
}

#[harness::test]
async fn one_client_id_sent_concurrently_by_many_devices_is_one_message() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob]).await;
    let mut devices: Vec<Socket> = Vec::new();
    for index in 0..8 {
        devices.push(app.connect(&bob, Transport::ALL[index % 4]).await);
    }
    let payload =
        json!({"message": {"chat_id": chat, "content": "once", "message_type": "text", "client_id": "x"}});
    let acks = join_all(devices.iter_mut().map(|socket| socket.call("send_message", payload.clone()))).await;
    assert_eq!(acks.iter().filter(|ack| ack["duplicate"] == json!(false)).count(), 1, "{acks:?}");
    assert!(acks.iter().all(|ack| ack["message"]["id"] == acks[0]["message"]["id"]));
    owner.next("new_message").await;
    owner.next("chat_created").await;
    owner.expect_silence().await;
    assert_eq!(app.contents(chat, &alice).await, ["once"]);
}

#[harness::test]
async fn valid_messages_are_stored_despite_invalid_ones_in_their_group() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let mut foreign_owner = app.connect(&carol, Transport::MAIN).await;
    let chat = app.group(&mut socket, &[&bob]).await;
    let foreign = app.group(&mut foreign_owner, &[]).await;
    let told = socket
        .call("send_message", json!({"message": {"chat_id": chat, "content": "first", "message_type": "text", "client_id": "c"}}))
        .await;
    let first = told["message"]["id"].clone();
    let elsewhere = foreign_owner
        .call(
            "send_message",
            json!({"message": {"chat_id": foreign, "content": "theirs", "message_type": "text"}}),
        )
        .await["message"]["id"]
        .clone();
    let payload =
        |chat: i64, content: &str| json!({"chat_id": chat, "content": content, "message_type": "text"});
    let plus = |mut message: Value, name: &str, value: Value| {
        message[name] = value;
        message
    };
    let cases = [
        (payload(chat, "good 1"), None),
        (payload(foreign, "bad"), Some("not_found")),
        (payload(999_999, "bad"), Some("not_found")),
        (plus(payload(chat, "good 2"), "reply_to", first.clone()), None),
        (plus(payload(chat, "bad"), "reply_to", elsewhere), Some("not_found")),
        (plus(payload(chat, "bad"), "reply_to", json!(999_999)), Some("not_found")),
        (plus(payload(chat, "bad"), "client_id", json!("c")), Some("client_id_conflict")),
        (plus(payload(chat, "first"), "client_id", json!("c")), None),
        (payload(chat, "good 3"), None),
    ];
    let mut acks = Vec::new();
    for (message, _) in &cases {
        acks.push(socket.feed("send_message", json!({"message": message})).await);
    }
    socket.flush().await;
    for (ack, (message, code)) in acks.into_iter().zip(&cases) {
        let ack = socket.ack(ack).await;
        assert_eq!(ack["error"]["code"].as_str(), *code, "{message}: {ack}");
    }
    assert_eq!(app.contents(chat, &bob).await, ["first", "good 1", "good 2", "good 3"]);
    assert_eq!(app.contents(foreign, &carol).await, ["theirs"]);
}

#[harness::test]
async fn all_25_message_types_deliver_content_unchanged() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let mut listener = app.connect(&bob, Transport::MAIN).await;
    let chat = app.group(&mut socket, &[&bob]).await;
    let kinds = app.get("/message_type", &alice).await;
    let kinds = kinds.as_array().expect("a list");
    assert_eq!(kinds.len(), 25);
    let content = "  <b>\"q\"\\</b>\n\t{\"a\":[1]} ü 漢字 🥭 \u{202e} \u{7f} ";
    for kind in kinds {
        for spelled in [&kind["name"], &kind["id"]] {
            let payload = json!({"message": {"chat_id": chat, "content": content, "message_type": spelled}});
            let ack = socket.call("send_message", payload).await;
            assert_eq!(
                (&ack["message"]["content"], &ack["message"]["message_type"]),
                (&json!(content), &kind["name"])
            );
            let event = listener.next("new_message").await;
            assert_eq!((&event["content"], &event["message_type"]), (&json!(content), &kind["name"]));
        }
    }
    let mango = app.get(&format!("/message/{chat}"), &bob).await;
    assert_eq!(mango[0]["message_type"], json!(25));
    let unknown = json!({"message": {"chat_id": chat, "content": "x", "message_type": "hologram"}});
    let ack = socket.call("send_message", unknown).await;
    assert!(ack["error"]["errors"]["message.message_type"].is_array(), "{ack}");
}

#[harness::test]
async fn a_removed_member_can_send_nothing_more_despite_sends_in_flight() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob]).await;
    let mut sender: Socket = app.connect(&bob, Transport::MAIN).await;
    let mut acks = Vec::new();
    for number in 0..300 {
        let payload =
            json!({"message": {"chat_id": chat, "content": number.to_string(), "message_type": "text"}});
        acks.push(sender.feed("send_message", payload).await);
    }
    let removal = owner.begin("remove_member", json!({"chat": {"id": chat}, "user": {"id": bob.id}})).await;
    sender.flush().await;
    let removed = owner.ack(removal).await["rev"].as_i64().expect("a rev");
    let mut stored = Vec::new();
    for (number, ack) in acks.into_iter().enumerate() {
        let ack = sender.ack(ack).await;
        if ack["ok"] == json!(true) {
            assert!(ack["rev"].as_i64().expect("a rev") < removed, "stored after the removal");
            stored.push(number.to_string());
        } else {
            assert_eq!(ack["error"]["code"], json!("not_found"));
        }
    }
    let alice: &Person = &alice;
    assert_eq!(app.contents(chat, alice).await, stored);
}

#[harness::test]
async fn a_message_that_the_database_rejects_does_not_fail_the_rest_of_its_group() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut socket, &[]).await;
    let db = app.server.context.db.read();
    let triggers: &[&str] = if database_kind() == "postgres" {
        &[
            "CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$ LANGUAGE plpgsql",
            "CREATE TRIGGER refuse BEFORE INSERT ON messages FOR EACH ROW \
             WHEN (NEW.content = 'bad') EXECUTE FUNCTION refuse()",
        ]
    } else {
        &["CREATE TRIGGER refuse BEFORE INSERT ON messages WHEN NEW.content = 'bad' \
           BEGIN SELECT RAISE(ABORT, 'refused'); END"]
    };
    for trigger in triggers {
        db.execute_unprepared(trigger).await.expect("a trigger");
    }
    let contents: Vec<String> =
        (0..60).map(|it| if it == 37 { "bad".into() } else { it.to_string() }).collect();
    let mut acks = Vec::new();
    for content in &contents {
        let message = json!({"chat_id": chat, "content": content, "message_type": "text"});
        acks.push(socket.feed("send_message", json!({"message": message})).await);
    }
    socket.flush().await;
    for (content, ack) in contents.iter().zip(acks) {
        let ack = socket.ack(ack).await;
        assert_eq!(ack["ok"], json!(content != "bad"), "{content}: {ack}");
    }
    let stored: Vec<String> = contents.into_iter().filter(|it| it != "bad").collect();
    assert_eq!(app.contents(chat, &alice).await, stored, "the others keep their order");
}

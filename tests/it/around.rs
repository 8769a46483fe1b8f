//! Pages around a message, mutes that expire, and typing that ends with a message.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::{TestApp, Transport};

#[harness::test]
async fn a_page_around_a_message_is_full_at_every_position() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut socket, &[]).await;
    // Creating the group took the first value of the counter.
    for number in 2..=11 {
        let payload =
            json!({"message": {"chat_id": chat, "content": number.to_string(), "message_type": "text"}});
        assert_eq!(socket.call("send_message", payload).await["message"]["seq"], json!(number));
    }
    let all: Vec<i64> = (2..=11).rev().collect();
    for limit in 1..=12_usize {
        for around in 0..=13_i64 {
            let path = format!("/chat/{chat}/messages?around={around}&limit={limit}");
            let page = app.get(&path, &alice).await;
            let seqs: Vec<i64> =
                page.as_array().into_iter().flatten().filter_map(|it| it["seq"].as_i64()).collect();
            assert_eq!(seqs.len(), limit.min(all.len()), "{path}: {seqs:?}");
            assert!(all.windows(seqs.len()).any(|part| part == seqs), "{path}: without holes: {seqs:?}");
            if (2..=11).contains(&around) {
                assert!(seqs.contains(&around), "{path}: {seqs:?}");
                let above = seqs.iter().filter(|seq| **seq > around).count();
                let room = all.iter().filter(|seq| **seq > around).count();
                let below = all.len() - room;
                assert_eq!(above, room.min((limit / 2).max(limit.saturating_sub(below))), "{path}: {seqs:?}");
            }
            let asked = json!({"chat": {"id": chat}, "around": around, "limit": limit});
            let reply = socket.call("history", asked).await;
            let oldest = seqs.last().copied().unwrap_or_default();
            assert_eq!(reply["has_more"], json!(oldest > 2), "{path}: {seqs:?}");
        }
    }
}

#[harness::test]
async fn an_expired_mute_appears_in_no_response() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut socket, &[]).await;
    let muted =
        socket.call("toggle_chat_mute", json!({"chat": {"id": chat, "muted": true, "seconds": 1}})).await;
    assert!(muted["muted_until"].is_string(), "{muted}");
    let everywhere = async |socket: &mut crate::support::Socket| -> Vec<Value> {
        let list = app.get("/chat", &alice).await;
        let one = app.get(&format!("/chat/{chat}"), &alice).await;
        let whole = socket.call("sync", json!({})).await;
        let own = socket.call("sync", json!({"since": {chat.to_string(): 1}, "user_rev": 0})).await;
        let renamed = socket.call("update_chat", json!({"chat": {"id": chat, "name": "g"}})).await;
        [&list[0]["my"], &one["my"], &whole["chats"][0]["my"], &own["mine"][0]["my"], &renamed["chat"]["my"]]
            .map(|my| my["muted_until"].clone())
            .to_vec()
    };
    assert_eq!(everywhere(&mut socket).await, vec![muted["muted_until"].clone(); 5]);
    sleep(Duration::from_millis(1_050)).await;
    assert_eq!(everywhere(&mut socket).await, vec![Value::Null; 5]);
}

#[harness::test]
async fn a_message_ends_the_typing_state_of_its_sender_only() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let mut a = app.connect(&alice, Transport::MAIN).await;
    let (mut b, mut c) =
        (app.connect(&bob, Transport::MAIN).await, app.connect(&carol, Transport::MAIN).await);
    let chat = app.group(&mut a, &[&bob, &carol]).await;
    let typing = json!({"chat": {"id": chat}, "is_typing": true});
    for socket in [&mut b, &mut c] {
        assert_eq!(socket.call("typing", typing.clone()).await["ok"], json!(true));
    }
    for _ in 0..2 {
        assert_eq!(a.next("typing").await["is_typing"], json!(true));
    }
    a.rest().await;
    let payload = json!({"message": {"chat_id": chat, "content": "hi", "message_type": "text"}});
    b.call("send_message", payload.clone()).await;
    let told = a.rest().await;
    assert_eq!(told.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["new_message", "typing"]);
    assert_eq!(told[1].1, json!({"chat": chat, "user_id": bob.id, "is_typing": false}));
    // Typing again is announced at once. Sending without typing announces no end of typing.
    b.call("typing", typing).await;
    assert_eq!(a.next("typing").await["is_typing"], json!(true));
    b.call("send_message", payload.clone()).await;
    assert_eq!(a.next("typing").await["is_typing"], json!(false));
    b.call("send_message", payload).await;
    let late = a.rest().await;
    assert!(late.iter().all(|(name, _)| name == "new_message"), "{late:?}");
}

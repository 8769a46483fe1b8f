//! What `sync` accepts, and how large its answers may be.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{list, message, of, one_group, say};
use crate::support::model::{Depth, Model};
use crate::support::{Person, TestApp, Transport, fresh};

/// An answer stays below this many bytes.
const MOST: usize = 1_000_000;

#[harness::test]
async fn invalid_requests_name_the_invalid_field() {
    let (_app, _, _, mut socket, chat) = one_group().await;
    say(&mut socket, chat, 1).await;
    for (request, field) in [
        (json!({"limit": 0}), "limit"),
        (json!({"limit": 501}), "limit"),
        (json!({"limit": "ten"}), "limit"),
        (json!({"max_behind": -1}), "max_behind"),
        (json!({"since": of(chat, -1)}), "since"),
        (json!({"since": [1]}), "since"),
        (json!({"only": "all"}), "only"),
        (json!({"user_rev": "x"}), "user_rev"),
        (json!({"epoch": 7}), "epoch"),
    ] {
        let ack = socket.call("sync", request.clone()).await;
        assert_eq!(ack["error"]["code"], json!("validation_failed"), "{request}: {ack}");
        assert!(ack["error"]["errors"].get(field).is_some(), "{request}: {ack}");
    }
    for request in
        [json!({"limit": 1}), json!({"limit": 500}), json!({"max_behind": 0}), json!({"only": [chat]})]
    {
        assert_eq!(socket.call("sync", request.clone()).await["ok"], json!(true), "{request}");
    }
    let ack = socket.call("sync", json!({"since": {"mine": 1}})).await;
    assert_eq!(ack["error"]["code"], json!("validation_failed"), "{ack}");
}

/// Syncs to the end over REST, and checks that every page is within its limit.
async fn bounded(app: &TestApp, person: &Person, mut model: Model) -> (Model, usize) {
    let mut pages = 0;
    loop {
        let mut request = model.sync_request(None);
        request["limit"] = json!(500);
        let answer = app.raw(Method::POST, "/events/sync", Some(&person.access), Some(request)).await;
        assert_eq!(answer.status(), 200);
        let text = answer.text().await.expect("a body");
        assert!(text.len() < MOST, "page {pages} has {} bytes", text.len());
        let reply: Value = serde_json::from_str(&text).expect("JSON");
        pages += 1;
        assert!(pages < 200, "it does not end");
        if !model.synced(&reply, true) {
            return (model, pages);
        }
    }
}

/// Syncs a chat with `count` large messages from the beginning.
async fn large(content: &str, count: usize) {
    let (app, alice, _, mut socket, chat) = one_group().await;
    for _ in 0..count {
        let ack = socket.call("send_message", message(chat, content)).await;
        assert_eq!(ack["ok"], json!(true), "{}", ack["error"]);
    }
    let real = fresh(&app, &alice, &BTreeSet::new()).await;
    let mut model = Model::new(alice.id);
    model.take_chat(&app.get(&format!("/chat/{chat}"), &alice).await, 0);
    let (model, _) = bounded(&app, &alice, model).await;
    assert_eq!(model.differences(&real, Depth::Promise), Vec::<String>::new());
    // The whole chat, as for a client that knows nothing about it.
    bounded(&app, &alice, Model::new(alice.id)).await;
}

#[harness::test]
async fn a_page_of_large_messages_stays_below_1_mb() {
    Box::pin(large(&"x".repeat(60_000), 40)).await;
}

#[harness::test]
async fn a_page_of_messages_that_grow_as_json_stays_below_1_mb() {
    // One byte each, but six in JSON.
    Box::pin(large(&"\u{1}".repeat(60_000), 12)).await;
}

#[harness::test]
async fn a_page_of_many_chats_with_large_last_messages_stays_below_1_mb() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let content = "x".repeat(60_000);
    let mut model = Model::new(alice.id);
    for _ in 0..40 {
        let chat = app.group(&mut socket, &[&bob]).await;
        socket.call("send_message", message(chat, &content)).await;
        // Only the chat itself is new; its last message is sent with it.
        model.take_chat(&app.get(&format!("/chat/{chat}"), &alice).await, 2);
        socket.call("update_chat", json!({"chat": {"id": chat, "name": "other"}})).await;
    }
    bounded(&app, &alice, model).await;
    let (model, _) = bounded(&app, &alice, Model::new(alice.id)).await;
    let real = fresh(&app, &alice, &BTreeSet::new()).await;
    assert_eq!(model.differences(&real, Depth::Promise), Vec::<String>::new());
}

#[harness::test]
async fn a_page_of_many_chats_with_many_members_stays_below_1_mb() {
    let app = TestApp::start().await;
    let names: Vec<String> = (0..50).map(|number| format!("somebody_with_a_long_name_{number}")).collect();
    let people: Vec<Person> = join_all(names.iter().map(|name| app.person(name))).await;
    // Names have up to 100 characters of up to four bytes.
    let name = json!({"name": "🥭".repeat(100)});
    for person in &people {
        let (status, _) = app.send(Method::PATCH, "/user/me", Some(&person.access), Some(name.clone())).await;
        assert_eq!(status, 200);
    }
    let others: Vec<&Person> = people[1..].iter().collect();
    let mut socket = app.connect(&people[0], Transport::MAIN).await;
    for _ in 0..100 {
        app.group(&mut socket, &others).await;
    }
    let (model, _) = bounded(&app, &people[0], Model::new(people[0].id)).await;
    assert_eq!(model.chats.len(), 100);
    let reply = socket.call("sync", json!({"only": []})).await;
    assert!(list(&reply, "chats").is_empty());
}

#[harness::test]
async fn a_complete_chat_has_its_last_30_messages_even_on_a_full_page() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let content = "x".repeat(20_000);
    for _ in 0..6 {
        let chat = app.group(&mut socket, &[&bob]).await;
        for _ in 0..10 {
            socket.call("send_message", message(chat, &content)).await;
        }
    }
    let (model, pages) = bounded(&app, &alice, Model::new(alice.id)).await;
    assert!(pages >= 2, "1.2 MB in {pages} pages");
    let real = fresh(&app, &alice, &BTreeSet::new()).await;
    let missing: Vec<(i64, usize)> =
        model.chats.iter().map(|(id, chat)| (*id, chat.messages.len())).filter(|it| it.1 != 10).collect();
    assert!(missing.is_empty(), "chats with how many of their 10 messages: {missing:?}");
    assert_eq!(model.differences(&real, Depth::Promise), Vec::<String>::new());
}

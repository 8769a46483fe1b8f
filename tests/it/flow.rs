//! Chatting: every member receives each message once and in order, over every transport.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Socket, TestApp, Transport};

fn message(chat: i64, content: &str) -> Value {
    json!({"message": {"chat_id": chat, "content": content, "message_type": "text"}})
}

#[harness::test]
async fn a_repeated_send_is_stored_and_announced_once_over_every_transport() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    for transport in Transport::ALL {
        let mut listener = app.connect(&alice, transport).await;
        let mut caller = app.connect(&bob, Transport::MAIN).await;
        let chat = app.group(&mut caller, &[&alice]).await;
        let mut payload = message(chat, "lunch?");
        payload["message"]["client_id"] = json!(format!("a-{chat}"));
        let first = caller.call("send_message", payload.clone()).await;
        let again = caller.call("send_message", payload.clone()).await;
        assert_eq!(first["duplicate"], json!(false), "{first}");
        assert_eq!(again["duplicate"], json!(true), "{again}");
        assert_eq!(first["message"]["id"], again["message"]["id"]);
        assert!(again.get("rev").is_none(), "nothing changed: {again}");
        listener.next("chat_created").await;
        let event = listener.next("new_message").await;
        assert_eq!(event["id"], first["message"]["id"]);
        assert_eq!((&event["chat"], &event["prev"]), (&json!(chat), &json!(1)));
        assert!(event.get("my").is_none(), "my is for answers to oneself");
        listener.expect_silence().await;
        payload["message"]["content"] = json!("dinner?");
        let conflict = caller.call("send_message", payload).await;
        assert_eq!(conflict["error"]["code"], json!("client_id_conflict"));
        assert_eq!(app.contents(chat, &alice).await, ["lunch?"]);
    }
}

#[harness::test]
async fn events_of_one_socket_take_effect_in_the_order_sent() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut sender = app.connect(&alice, Transport::MAIN).await;
    let mut listener = app.connect(&bob, Transport::ALL[3]).await;
    let chat = app.group(&mut sender, &[&bob]).await;
    let expected: Vec<String> = (0..2_000).map(|number| format!("m{number}")).collect();
    let mut acks = Vec::new();
    for content in &expected {
        acks.push(sender.feed("send_message", message(chat, content)).await);
    }
    // Queued after all of them: it must not start before they are stored.
    let last = sender.feed("history", json!({"chat": {"id": chat}, "limit": 1})).await;
    sender.flush().await;
    let mut previous = 1;
    for ack in acks {
        let ack = sender.ack(ack).await;
        assert_eq!(ack["ok"], json!(true), "{ack}");
        assert_eq!(ack["prev"], json!(previous));
        previous = ack["rev"].as_i64().expect("a rev");
    }
    assert_eq!(sender.ack(last).await["messages"][0]["content"], json!("m1999"));
    listener.next("chat_created").await;
    for content in &expected {
        assert_eq!(listener.next("new_message").await["content"], json!(content));
    }
    listener.expect_silence().await;
    assert_eq!(app.contents(chat, &bob).await, expected);
}

#[harness::test]
async fn events_sent_before_ready_are_not_lost() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut first = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut first, &[&bob]).await;
    for transport in Transport::ALL {
        let payload = message(chat, transport.path);
        // The client is connected as soon as CONNECT is answered, but joins its rooms after that.
        let mut eager = Socket::open(&app.host, Some(&bob.access), transport).await.expect("connects");
        eager.emit("send_message", payload.clone()).await;
        eager.emit("send_message", payload).await;
        eager.next("ready").await;
        let page = eager.call("history", json!({"chat": {"id": chat}, "limit": 2})).await;
        let contents: Vec<&str> = page["messages"]
            .as_array()
            .expect("a page")
            .iter()
            .map(|it| it["content"].as_str().expect("text"))
            .collect();
        assert_eq!(contents, [transport.path, transport.path]);
    }
}

#[harness::test]
async fn every_device_receives_an_event_once_and_the_acting_socket_an_ack_instead() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let mut acting = app.connect(&alice, Transport::MAIN).await;
    let mut others = Vec::new();
    for (person, transport) in [
        (&alice, Transport::ALL[1]),
        (&bob, Transport::ALL[0]),
        (&bob, Transport::ALL[2]),
        (&bob, Transport::ALL[3]),
    ] {
        others.push(app.connect(person, transport).await);
    }
    let mut stranger = app.connect(&carol, Transport::MAIN).await;
    let chat = app.group(&mut acting, &[&bob]).await;
    acting.next("chat_created").await;
    let sent = acting.call("send_message", message(chat, "hello")).await;
    let id = sent["message"]["id"].clone();
    let liked = acting.call("toggle_like_message", json!({"message": {"id": id}})).await;
    assert_eq!((&liked["liked"], &liked["likes"], &liked["prev"]), (&json!(true), &json!(1), &sent["rev"]));
    let same = acting.call("toggle_like_message", json!({"message": {"id": id, "liked": true}})).await;
    assert!(same.get("rev").is_none(), "{same}");
    for other in &mut others {
        let created = other.next("chat_created").await;
        assert_eq!(created["details"]["id"], json!(chat));
        assert!(created["details"].get("my").is_none());
        assert_eq!(other.next("new_message").await["id"], id);
        let like = other.next("message_liked").await;
        assert_eq!((&like["message_id"], &like["likes"], &like["by"]), (&id, &json!(1), &json!(alice.id)));
        other.expect_silence().await;
    }
    acting.expect_silence().await;
    stranger.expect_silence().await;
}

#[harness::test]
async fn a_removed_member_receives_the_removal_last_and_an_added_member_sees_the_history() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let mut removed = app.connect(&bob, Transport::ALL[1]).await;
    let mut added = app.connect(&carol, Transport::ALL[2]).await;
    let chat = app.group(&mut owner, &[&bob]).await;
    owner.call("send_message", message(chat, "before")).await;
    let member = |id: i64| json!({"chat": {"id": chat}, "user": {"id": id}});
    let ack = owner.call("add_member", member(carol.id)).await;
    assert_eq!(ack["member"]["user"]["id"], json!(carol.id), "{ack}");
    assert_eq!(added.next("member_added").await["rev"], ack["rev"]);
    owner.call("remove_member", member(bob.id)).await;
    owner.call("send_message", message(chat, "after")).await;
    added.next("new_message").await;
    let heard: Vec<String> = removed.rest().await.into_iter().map(|(name, _)| name).collect();
    assert_eq!(heard, ["chat_created", "new_message", "member_added", "member_removed"]);
    let refused = removed.call("send_message", message(chat, "still here")).await;
    assert_eq!(refused["error"]["code"], json!("not_found"));
    assert_eq!(app.contents(chat, &carol).await, ["before", "after"]);
    // Added again: the socket joins the room again, and the counter has advanced.
    owner.call("add_member", member(bob.id)).await;
    assert_eq!(removed.next("member_added").await["member_count"], json!(3));
    let sent = removed.call("send_message", message(chat, "back")).await;
    assert_eq!(added.next("new_message").await["rev"], sent["rev"]);
}

#[harness::test]
async fn concurrent_creations_of_a_direct_chat_create_one() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut sockets = Vec::new();
    for index in 0..8 {
        let (person, other) = if index % 2 == 0 { (&alice, &bob) } else { (&bob, &alice) };
        sockets.push((app.connect(person, Transport::MAIN).await, other.id));
    }
    let acks = join_all(sockets.iter_mut().map(async |(socket, other)| {
        socket
            .call("create_chat", json!({"chat": {"name": "x", "is_group": false, "members_array": [other]}}))
            .await
    }))
    .await;
    for ack in &acks {
        assert_eq!(ack["ok"], json!(true), "{ack}");
        assert_eq!(ack["chat"]["id"], acks[0]["chat"]["id"]);
        assert_eq!(ack["chat"]["name"], Value::Null, "a direct chat has no name of its own");
    }
    assert_eq!(acks.iter().filter(|ack| ack.get("rev").is_some()).count(), 1, "one of them made it");
    for (socket, _) in &mut sockets {
        socket.next("chat_created").await;
        socket.expect_silence().await;
    }
}

#[harness::test]
async fn a_group_created_with_a_client_id_is_created_once() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let payload = json!({
        "chat": {"name": "once", "is_group": true, "members_array": [bob.id], "client_id": "g-1"},
        "message": {"content": "hi", "message_type": "text"},
    });
    let first = socket.call("create_chat", payload.clone()).await;
    assert_eq!((&first["rev"], &first["prev"]), (&json!(2), &json!(0)), "{first}");
    let again = socket.call("create_chat", payload).await;
    assert_eq!(again["chat"]["id"], first["chat"]["id"]);
    assert_eq!(app.contents(first["chat"]["id"].as_i64().expect("an id"), &bob).await, ["hi"]);
    let other = json!({"chat": {"name": "other", "is_group": true, "members_array": [], "client_id": "g-1"}});
    assert_eq!(socket.call("create_chat", other).await["error"]["code"], json!("client_id_conflict"));
}

#[harness::test]
async fn a_socket_that_connects_during_a_membership_change_joins_the_right_rooms() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[]).await;
    let member = json!({"chat": {"id": chat}, "user": {"id": bob.id}});
    // Connecting reads memberships while they change. A member at the end must receive the message, a removed one must
    // not.
    for round in 0..10 {
        let (event, is_in) = if round % 2 == 0 { ("add_member", true) } else { ("remove_member", false) };
        let change = owner.begin(event, member.clone()).await;
        let mut came = app.connect(&bob, Transport::ALL[round % 4]).await;
        assert_eq!(owner.ack(change).await["ok"], json!(true));
        owner.call("send_message", message(chat, "now")).await;
        let heard = came.rest().await.iter().any(|(name, _)| name == "new_message");
        assert_eq!(heard, is_in, "round {round}");
    }
}

//! Read marks that are moved at the same time share a commit: each moves exactly once, and none delays another.

use std::collections::HashMap;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Person, Socket, TestApp, Transport};

/// Members who read at the same time.
const READERS: usize = 12;

async fn group_with_messages(app: &TestApp, count: usize) -> (i64, Vec<i64>, Person, Vec<Person>) {
    let author = app.person("author").await;
    let mut readers = Vec::new();
    for number in 0..READERS {
        readers.push(app.person(&format!("reader{number}")).await);
    }
    let mut owner = app.connect(&author, Transport::MAIN).await;
    let chat = app.group(&mut owner, &readers.iter().collect::<Vec<_>>()).await;
    let mut ids = Vec::new();
    for number in 0..count {
        let message = json!({"chat_id": chat, "content": format!("{number}"), "message_type": "text"});
        let ack = owner.call("send_message", json!({"message": message})).await;
        ids.push(ack["message"]["id"].as_i64().expect("an id"));
    }
    (chat, ids, author, readers)
}

async fn connect_all(app: &TestApp, people: &[Person]) -> Vec<Socket> {
    let transports = Transport::ALL.into_iter().cycle();
    join_all(people.iter().zip(transports).map(|(person, transport)| app.connect(person, transport))).await
}

#[harness::test]
async fn marks_of_many_members_move_at_once_and_are_announced_once() {
    let app = TestApp::start().await;
    let (chat, ids, author, readers) = group_with_messages(&app, 5).await;
    let mut observer = app.connect(&author, Transport::MAIN).await;
    let mut sockets = connect_all(&app, &readers).await;
    // A second device of the first reader, which marks the same chat at the same moment.
    sockets.push(app.connect(&readers[0], Transport::MAIN).await);

    // The first message has seq 2, after the chat's creation.
    let payload = |index: usize| match index % 3 {
        0 => json!({"chat": {"id": chat}, "seq": 4}),
        1 => json!({"chat": {"id": chat}, "last_read_message_id": ids[2]}),
        _ => json!({"chat": {"id": chat}}),
    };
    let expected = |index: usize| if index % 3 == 2 { (6, 0) } else { (4, 2) };
    let calls = sockets.iter_mut().enumerate().map(|(index, socket)| {
        // The second device marks what the first does.
        let payload = payload(index % READERS);
        async move { socket.call("mark_read", payload).await }
    });
    for (index, ack) in join_all(calls).await.into_iter().enumerate() {
        let (seq, unread) = expected(index % READERS);
        assert_eq!(
            (&ack["ok"], &ack["seq"], &ack["unread"]),
            (&json!(true), &json!(seq), &json!(unread)),
            "{ack}"
        );
    }

    let mut announced: HashMap<i64, Vec<Value>> = HashMap::new();
    for (event, payload) in observer.rest().await {
        if event == "chat_read" {
            let user = payload["user_id"].as_i64().expect("a user");
            assert_eq!(payload.get("user_rev"), None, "the user's own counter is not for others: {payload}");
            announced.entry(user).or_default().push(payload["seq"].clone());
        }
    }
    for (index, reader) in readers.iter().enumerate() {
        assert_eq!(announced.get(&reader.id), Some(&vec![json!(expected(index).0)]), "{announced:?}");
    }
    let own: Vec<_> =
        sockets[0].rest().await.into_iter().filter(|(_, it)| it["user_id"] == json!(readers[0].id)).collect();
    assert_eq!(own.len(), 1, "{own:?}");
    assert!(own[0].1["user_rev"].is_i64(), "{own:?}");
    let members = app.get(&format!("/chat/{chat}/members"), &author).await;
    for member in members.as_array().expect("members").iter().skip(1) {
        let index = readers.iter().position(|it| json!(it.id) == member["user"]["id"]).expect("a reader");
        assert_eq!(member["last_read_seq"], json!(expected(index).0), "{member}");
    }
}

#[harness::test]
async fn an_invalid_mark_fails_alone() {
    let app = TestApp::start().await;
    let (chat, ids, author, readers) = group_with_messages(&app, 2).await;
    let stranger = app.person("stranger").await;
    let mut owner = app.connect(&author, Transport::MAIN).await;
    let other = app.group(&mut owner, &[]).await;
    let message = json!({"message": {"chat_id": other, "content": "elsewhere", "message_type": "text"}});
    let elsewhere = owner.call("send_message", message).await["message"]["id"].clone();

    let mut sockets = connect_all(&app, &readers).await;
    let mut outsider = app.connect(&stranger, Transport::MAIN).await;
    let calls = sockets.iter_mut().enumerate().map(|(index, socket)| {
        let payload = match index {
            0 => json!({"chat": {"id": chat}, "last_read_message_id": elsewhere}),
            1 => json!({"chat": {"id": other}}),
            _ => json!({"chat": {"id": chat}, "last_read_message_id": ids[1]}),
        };
        async move { socket.call("mark_read", payload).await }
    });
    let (acks, refused) =
        tokio::join!(join_all(calls), outsider.call("mark_read", json!({"chat": {"id": chat}})));
    let error = |ack: &Value, field: &str| {
        assert_eq!(ack["error"]["code"], json!("not_found"), "{ack}");
        assert!(ack["error"]["errors"][field].is_array(), "{ack}");
    };
    error(&acks[0], "last_read_message_id");
    error(&acks[1], "chat.id");
    error(&refused, "chat.id");
    for ack in &acks[2..] {
        assert_eq!((&ack["ok"], &ack["unread"]), (&json!(true), &json!(0)), "{ack}");
    }
}

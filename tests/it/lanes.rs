//! Deliveries while the database is slow, and while a user with many contacts changes all the time: messages are
//! delayed by neither. A table lock only has an effect on PostgreSQL; SQLite's readers do not wait.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use sea_orm::{ConnectionTrait, Database, DatabaseTransaction, TransactionTrait};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{Plain, Polling, Socket, TestApp, Transport, database_kind, eventually, fresh_database};

/// The longest wait of a request that is not blocked.
const SOON: Duration = Duration::from_millis(1_500);

/// The number of lanes of the bus: chats whose ids differ by a multiple of it share a lane.
const LANES: i64 = 4;

/// Starts a server; returns it with the URL of its database.
async fn start() -> (TestApp, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let url = fresh_database(&folder).await;
    (TestApp::on(folder, &url, &[]).await, url)
}

/// Blocks all reads of a table until the returned transaction is dropped.
#[expect(clippy::disallowed_methods, reason = "this is somebody else's transaction")]
async fn close_table(url: &str, table: &str) -> DatabaseTransaction {
    let tx = Database::connect(url).await.expect("connects").begin().await.expect("begins");
    tx.execute_unprepared(&format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await.expect("locked");
    tx
}

/// Edits the first message of a chat without an event, as if the response to that commit was lost.
async fn edit_unheard(app: &TestApp, chat: i64, content: &str) {
    let tx = app.server.context.db.begin().await.expect("begins");
    for sql in [
        format!("UPDATE chats SET rev = rev + 1 WHERE id = {chat}"),
        format!(
            "UPDATE messages SET content = '{content}', edited_at = 1, \
             rev = (SELECT rev FROM chats WHERE id = {chat}) WHERE chat_id = {chat}"
        ),
    ] {
        tx.conn().execute_unprepared(&sql).await.expect("done");
    }
    tx.commit_silently().await.expect("committed");
}

fn message(chat: i64, content: &str) -> Value {
    json!({"message": {"chat_id": chat, "content": content, "message_type": "text"}})
}

/// Returns the chat and the content of the next message.
async fn next_message(socket: &mut Socket) -> (i64, Value) {
    let told = socket.next("new_message").await;
    (told["chat"].as_i64().expect("a chat"), told["content"].clone())
}

#[harness::test]
async fn a_gap_that_takes_long_to_fill_does_not_delay_other_chats() {
    if database_kind() != "postgres" {
        return;
    }
    let (app, url) = start().await;
    let (alice, bob, _) = app.three().await;
    let (mut sender, mut listener) =
        (app.connect(&alice, Transport::MAIN).await, app.connect(&bob, Transport::MAIN).await);
    let mut groups = Vec::new();
    for _ in 0..=LANES {
        groups.push(app.group(&mut sender, &[&bob]).await);
    }
    let (slow, beside) = (groups[0], groups[LANES as usize]);
    assert_eq!((beside - slow) % LANES, 0, "they share a lane");
    let first = sender.call("send_message", message(slow, "first")).await["message"]["id"].clone();
    assert_eq!(next_message(&mut listener).await, (slow, json!("first")));
    sender.call("toggle_like_message", json!({"message": {"id": first}})).await;
    listener.next("message_liked").await;
    listener.come();
    edit_unheard(&app, slow, "edited").await;

    // Only filling a gap reads likes, and only of messages that have some.
    let closed = close_table(&url, "likes").await;
    let waits = [
        sender.begin("send_message", message(slow, "second")).await,
        sender.begin("send_message", message(slow, "third")).await,
    ];
    for number in 0..20 {
        let ack = timeout(SOON, sender.call("send_message", message(beside, &format!("{number}")))).await;
        assert_eq!(ack.expect("others go on")["ok"], json!(true));
        assert_eq!(next_message(&mut listener).await, (beside, json!(format!("{number}"))));
    }
    closed.rollback().await.expect("released");
    let edited = listener.next("message_edited").await;
    assert_eq!(edited["message"]["content"], json!("edited"));
    let mut rev = edited["rev"].clone();
    for (ack, content) in waits.into_iter().zip(["second", "third"]) {
        let ack = sender.ack(ack).await;
        let told = listener.next("new_message").await;
        assert_eq!((&told["content"], &told["prev"]), (&json!(content), &rev), "in order");
        assert_eq!((&ack["ok"], &ack["rev"]), (&json!(true), &told["rev"]));
        rev = told["rev"].clone();
    }
    listener.expect_silence().await;
}

#[harness::test]
async fn frequent_profile_changes_are_announced_at_a_limited_rate_with_the_latest_state() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob]).await;
    let mut listener = app.connect(&bob, Transport::MAIN).await;
    let began = Instant::now();
    for number in 1..=60 {
        let payload = json!({"name": format!("Alice {number}")});
        let (status, _) = app.send(Method::PATCH, "/user/me", Some(&alice.access), Some(payload)).await;
        assert!(status.is_success(), "{status}");
        owner.call("send_message", message(chat, "between")).await;
    }
    let mut told = 0;
    loop {
        told += 1;
        if listener.next("user_updated").await["user"]["name"] == json!("Alice 60") {
            break;
        }
    }
    assert!(told <= 2 + began.elapsed().as_secs(), "told {told} times in {:?}", began.elapsed());
    sleep(SOON).await;
    let rest = listener.come();
    let messages = rest.iter().filter(|(event, _)| event == "new_message").count();
    assert!(!rest.iter().any(|(event, _)| event == "user_updated"), "nothing older comes later");
    assert_eq!(messages, 60, "all messages came");
}

#[harness::test]
async fn a_client_that_disconnects_while_connecting_leaves_no_connection() {
    if database_kind() != "postgres" {
        return;
    }
    let (app, url) = start().await;
    let alice = app.person("alice").await;
    // Caches the session, so that connecting only reads the rooms.
    app.get("/user/me", &alice).await;
    let closed = close_table(&url, "members").await;
    let mut gone = Vec::new();
    for transport in Transport::ALL {
        let (host, token) = (app.host.clone(), alice.access.clone());
        gone.push(tokio::spawn(async move {
            drop(timeout(Duration::from_millis(400), Socket::open(&host, Some(&token), transport)).await);
        }));
    }
    let mut plain = Plain::upgrade(&app.host, "/ws", &[("auth", &alice.access)]).await.expect("upgrades");
    let polling = Polling::open(&app, &alice.access).await;
    assert_eq!(polling.post("40").await, 200);
    sleep(Duration::from_millis(500)).await;
    for task in gone {
        task.await.expect("it left");
    }
    assert_eq!(polling.post("1").await, 200, "it closes its session");
    plain.send_raw(r#"{"type":"typing"}"#).await;
    drop(plain);
    let count = || app.server.context.presence.count();
    closed.rollback().await.expect("released");
    eventually("nobody is there", async || count() == (0, 0)).await;
    sleep(Duration::from_millis(300)).await;
    assert_eq!(count(), (0, 0), "and nobody comes back");
}

#[harness::test]
async fn a_connection_is_not_admitted_before_the_heads_of_its_rooms_are_known() {
    if database_kind() != "postgres" {
        return;
    }
    let (app, url) = start().await;
    let (alice, bob, _) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    app.group(&mut owner, &[&bob]).await;
    drop(owner);
    eventually("the room is empty", async || app.server.context.presence.count() == (0, 0)).await;
    app.get("/user/me", &bob).await;
    let closed = close_table(&url, "chats").await;
    let open = |token: &str| {
        let (host, token) = (app.host.clone(), token.to_owned());
        tokio::spawn(async move { Socket::open(&host, Some(&token), Transport::MAIN).await })
    };
    let first = open(&alice.access);
    sleep(Duration::from_millis(300)).await;
    let second = open(&bob.access);
    sleep(Duration::from_millis(700)).await;
    // The second connection finds the room created by the first, which has not read its head yet. If the second were
    // admitted now, it could fetch, and the head that the first reads later would count commits since then as
    // delivered.
    assert!(!first.is_finished() && !second.is_finished());
    closed.rollback().await.expect("released");
    for socket in [first, second] {
        let mut socket = timeout(SOON, socket).await.expect("soon").expect("it runs").expect("connects");
        socket.next("ready").await;
    }
    let (status, _) = app.send(Method::GET, "/health/ready", None, None).await;
    assert_eq!(status, StatusCode::OK);
}

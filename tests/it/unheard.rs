//! Changes that this process receives no event for: memberships that another process gives or takes, and sessions that
//! it ends. The comparison with the database finds them within five seconds.

use std::time::Duration;

use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::support::{Plain, Socket, TestApp, Transport, eventually, fresh_database};

/// Longer than the interval between two comparisons.
const COMPARED: Duration = Duration::from_secs(6);

/// Starts a server, and opens another connection to its database.
async fn start() -> (TestApp, DatabaseConnection) {
    let folder = tempfile::tempdir().expect("a folder");
    let url = fresh_database(&folder).await;
    let app = TestApp::on(folder, &url, &[]).await;
    (app, Database::connect(&url).await.expect("connects"))
}

async fn run(db: &DatabaseConnection, statements: &[String]) {
    for sql in statements {
        db.execute_unprepared(sql).await.expect("done");
    }
}

fn message(chat: i64, content: &str) -> Value {
    json!({"message": {"chat_id": chat, "content": content, "message_type": "text"}})
}

async fn next_soon(socket: &mut Socket, event: &str) -> Value {
    timeout(COMPARED, socket.next(event)).await.expect("within the comparison")
}

#[harness::test]
async fn membership_changes_by_another_process_take_effect_within_seconds() {
    let (app, db) = start().await;
    let (alice, bob, carol) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&carol]).await;
    // No connected client is a member, so the server does not compare this chat's head.
    drop(owner);
    eventually("nobody is there", async || app.server.context.presence.count() == (0, 0)).await;
    let mut outsider = app.connect(&bob, Transport::MAIN).await;
    // Longer than the interval of comparisons, and with timestamps of another program, as an import writes them.
    sleep(Duration::from_millis(4_500)).await;
    let id = bob.id;
    run(
        &db,
        &[
            format!("UPDATE users SET user_rev = user_rev + 1 WHERE id = {id}"),
            format!("UPDATE chats SET rev = rev + 1, meta_rev = rev + 1, member_count = 3 WHERE id = {chat}"),
            format!(
                "INSERT INTO members \
                 (chat_id, user_id, role, joined_at, rev, last_read_seq, archived, user_rev) \
                 SELECT {chat}, {id}, 'member', 1000, chats.rev, 0, FALSE, users.user_rev \
                 FROM chats, users WHERE chats.id = {chat} AND users.id = {id}"
            ),
        ],
    )
    .await;
    let told = next_soon(&mut outsider, "member_added").await;
    assert_eq!((&told["chat"], &told["member"]["user"]["id"]), (&json!(chat), &json!(id)));
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    assert_eq!(owner.call("send_message", message(chat, "welcome")).await["ok"], json!(true));
    assert_eq!(outsider.next("new_message").await["content"], json!("welcome"));

    run(
        &db,
        &[
            format!("UPDATE users SET user_rev = user_rev + 1 WHERE id = {id}"),
            format!("UPDATE chats SET rev = rev + 1, meta_rev = rev + 1, member_count = 2 WHERE id = {chat}"),
            format!(
                "UPDATE members SET left_at = 2000, left_reason = 'removed', \
                 rev = (SELECT rev FROM chats WHERE id = {chat}), \
                 user_rev = (SELECT user_rev FROM users WHERE id = {id}) \
                 WHERE chat_id = {chat} AND user_id = {id}"
            ),
        ],
    )
    .await;
    for socket in [&mut outsider, &mut owner] {
        let told = next_soon(socket, "member_removed").await;
        assert_eq!((&told["chat"], &told["member"]["user"]["id"]), (&json!(chat), &json!(id)));
    }
    assert_eq!(owner.call("send_message", message(chat, "among us")).await["ok"], json!(true));
    outsider.expect_silence().await;
}

#[harness::test]
async fn connections_of_a_session_that_another_process_ended_are_closed_within_seconds() {
    let (app, db) = start().await;
    let (alice, bob, carol) = app.three().await;
    let mut stays = app.connect(&carol, Transport::MAIN).await;
    for (person, event, also) in [
        (&alice, "session_ended", String::new()),
        (&bob, "user_banned", "UPDATE users SET banned_at = 1, ban_reason = 'spam' WHERE id = ".to_owned()),
    ] {
        let mut sockets = Vec::new();
        for transport in Transport::ALL {
            sockets.push(app.connect(person, transport).await);
        }
        let (mut plain, _) = Plain::open(&app.host, "/ws", &person.access).await.expect("opens");
        if !also.is_empty() {
            run(&db, &[format!("{also}{}", person.id)]).await;
        }
        run(&db, &[format!("UPDATE sessions SET ended_at = 1 WHERE user_id = {}", person.id)]).await;
        for socket in &mut sockets {
            let told = next_soon(socket, event).await;
            assert!(event != "user_banned" || told["reason"] == json!("spam"), "{told}");
            socket.expect_end(Duration::from_secs(3)).await;
            assert!(socket.dismissed, "it stays away");
        }
        assert_eq!(plain.expect_close(COMPARED).await, 4403);
        let refused = Socket::open(&app.host, Some(&person.access), Transport::MAIN).await.err();
        assert_eq!(refused.as_deref(), Some(format!("unauthorized: {event}").as_str()));
    }
    assert_eq!(stays.call("sync", json!({"since": {}})).await["ok"], json!(true), "others stay");
}

//! The export of a user's data.

use std::sync::Arc;
use std::time::Duration;

use entity::{message, session};
use mango_chat::domain::Actor;
use mango_chat::domain::accounts::{Running, export};
use mango_chat::error::Code;
use mango_chat::ids::{SessionId, UserId};
use reqwest::Method;
use sea_orm::ActiveValue::Set;
use sea_orm::{ConnectionTrait, EntityTrait, Statement};
use serde_json::{Value, json};

use super::fill;
use crate::support::{Person, TestApp, Transport, fresh_database};

async fn lines(app: &TestApp, person: &Person) -> Vec<Value> {
    let answer = app.raw(Method::GET, "/user/me/export", Some(&person.access), None).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
    let disposition = answer.headers()["content-disposition"].to_str().expect("text");
    assert_eq!(disposition, format!("attachment; filename=\"mango-chat-{}.ndjson\"", person.id));
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let text = answer.text().await.expect("a whole body");
    assert!(text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

/// Inserts many messages directly into the database.
async fn write(app: &TestApp, chat: i64, author: i64, count: i64, content: &str) {
    for seqs in (0..count).collect::<Vec<_>>().chunks(50) {
        let rows = seqs.iter().map(|n| message::ActiveModel {
            chat_id: Set(chat),
            seq: Set(1_000 + author * 10_000 + n),
            rev: Set(1_000 + author * 10_000 + n),
            user_id: Set(author),
            message_type: Set(1),
            content: Set(format!("{n} {content}")),
            likes: Set(0),
            created_at: Set(1),
            ..Default::default()
        });
        message::Entity::insert_many(rows)
            .exec_without_returning(app.server.context.db.read())
            .await
            .expect("inserted");
    }
}

#[harness::test]
async fn an_export_contains_all_data_of_the_user_and_none_of_others() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    fill(&app, &alice, &bob).await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut socket, &[&bob]).await;
    write(&app, chat, alice.id, 250, "mine").await;
    write(&app, chat, bob.id, 30, "of another").await;
    let payload = json!({"message": {"chat_id": chat, "content": "liked", "message_type": "markdown"}});
    let sent = socket.call("send_message", payload).await;
    let like = json!({"message": {"id": sent["message"]["id"]}});
    assert_eq!(socket.call("toggle_like_message", like).await["ok"], json!(true));
    let payload = json!({"user_id": bob.id, "reason": "rude"});
    app.send(Method::POST, "/report", Some(&alice.access), Some(payload)).await;
    let about_her = json!({"user_id": alice.id, "reason": "a secret of bob's"});
    app.send(Method::POST, "/report", Some(&bob.access), Some(about_her)).await;

    let root = app.person("root").await;
    crate::moderation::make_admin(&app, "root").await;
    let path = format!("/admin/user/{}/role", alice.id);
    let made = app.send(Method::PUT, &path, Some(&root.access), Some(json!({"role": "moderator"}))).await;
    assert_eq!(made.0, 200, "{}", made.1);

    let lines = lines(&app, &alice).await;
    let of = |kind: &str| lines.iter().filter(|it| it["kind"] == json!(kind)).collect::<Vec<_>>();
    assert_eq!(lines[0]["kind"], json!("user"));
    assert_eq!(lines[0]["username"], json!("alice"));
    for (kind, count) in [
        ("user", 1),
        ("session", 1),
        ("one_time_token", 1),
        ("contact", 1),
        ("chat", 1),
        ("message", 251),
        ("like", 1),
        ("report", 1),
        ("mail", 2),
        ("act", 0),
        ("moderation", 1),
    ] {
        assert_eq!(of(kind).len(), count, "{kind}");
    }
    let contents: Vec<&str> =
        of("message").iter().map(|it| it["content"].as_str().expect("content")).collect();
    let expected: Vec<String> = (0..250).map(|n| format!("{n} mine")).chain(["liked".to_owned()]).collect();
    assert_eq!(contents, expected, "each once, in order");
    assert_eq!(of("message")[250]["message_type"], json!("markdown"));
    assert_eq!(of("chat")[0]["role"], json!("owner"));
    assert_eq!(of("contact")[0]["user_id"], json!(bob.id));
    let act = of("moderation")[0];
    assert_eq!((&act["action"], &act["details"]["to"]), (&json!("user.role"), &json!("moderator")));
    assert!(act.get("actor_id").is_none() && act.get("address").is_none(), "{act}");
    let end = lines.last().expect("an end");
    assert_eq!(end, &json!({"kind": "end", "lines": lines.len() - 1}));
    let text = json!(lines).to_string();
    for secret in ["argon2", "of another", "a secret", &"ab".repeat(32)] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[harness::test]
async fn an_export_fails_when_its_session_has_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = fresh_database(&folder).await;
    let app = TestApp::on(folder, &url, &[]).await;
    let alice = app.person("alice").await;
    // A second server that has not cached the session, as after half a minute.
    let other = TestApp::on(tempfile::tempdir().expect("a folder"), &url, &[]).await;
    let context = &other.server.context;
    let sessions = session::Entity::find().all(context.db.read()).await.expect("read");
    let actor = Actor { user_id: UserId(alice.id), session_id: SessionId(sessions[0].id) };
    session::Entity::update_many()
        .col_expr(session::Column::EndedAt, 1_i64.into())
        .exec(context.db.read())
        .await
        .expect("ended");
    let mut lines = export(context, &Arc::default(), actor).expect("begins");
    let first = lines.next().await.expect("an answer").expect_err("refused");
    assert_eq!(first.code, Code::SessionEnded);
    assert!(lines.next().await.is_none());
}

#[harness::test]
async fn a_large_export_uses_the_memory_of_one_page() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut socket, &[]).await;
    write(&app, chat, alice.id, 400, &"x".repeat(60_000)).await;
    let running = Arc::<Running>::default();
    let actor = Actor { user_id: UserId(alice.id), session_id: SessionId(1) };
    let mut whole = export(&app.server.context, &running, actor).expect("begins");
    // The export is not read, so it waits. A second export of the same user is rate limited. If the first had kept
    // reading ahead, it would miss the message that is written now.
    let second = export(&app.server.context, &running, actor).err().expect("one at a time");
    assert_eq!(second.code, Code::RateLimited);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let later = app.group(&mut socket, &[]).await;
    write(&app, later, alice.id, 1, "written while nobody read").await;
    let (mut chunks, mut bytes, mut waited) = (0, 0, false);
    while let Some(chunk) = whole.next().await {
        let chunk = chunk.expect("lines");
        waited |= chunk.windows(25).any(|part| part == b"written while nobody read");
        assert!(chunk.len() < 256 * 1_024 + 100_000, "{} bytes at a time", chunk.len());
        chunks += 1;
        bytes += chunk.len();
    }
    assert!(bytes > 24_000_000 && chunks > 50, "{bytes} bytes in {chunks}");
    assert!(waited, "it was read to its end before anybody read it");
    drop(whole);
    let mut again = export(&app.server.context, &running, actor).expect("the first is over");
    again.next().await.expect("lines").expect("lines");
    // When a session ends, its export ends too, with an error that the reader sees.
    let (status, _) = app.send(Method::POST, "/auth/logout", Some(&alice.access), None).await;
    assert_eq!(status, 204);
    let mut last = None;
    while let Some(chunk) = again.next().await {
        last = Some(chunk.is_err());
    }
    assert_eq!(last, Some(true));
}

/// Every column that refers to a user, with how the export and the deletion treat it. A new table fails the test below:
/// add it here with whether it is exported and what happens to it on deletion.
const REFERENCES: [&str; 25] = [
    "account_endings.user_id",   // unfinished deletion work
    "attachments.user_id",       // exported; those of messages stay, others are removed within a day
    "audit_log.actor_id",        // exported; stays
    "chats.owner_id",            // through memberships; ownership passes on
    "contacts.other_id",         // belongs to another user, who may remove it
    "contacts.user_id",          // exported; removed
    "chat_bans.user_id",         // belongs to the group; stays
    "invites.created_by",        // belongs to the group; stays
    "join_requests.user_id",     // removed
    "likes.user_id",             // exported; stays
    "mail_log.user_id",          // exported; stays without the address
    "mentions.user_id",          // through messages of others; stays, so that their names keep a meaning
    "reactions.user_id",         // exported; stays
    "members.user_id",           // exported; groups are left, direct chats stay
    "messages.user_id",          // exported; stays
    "one_time_tokens.user_id",   // exported without the token; removed
    "reports.reporter_id",       // exported; stays
    "reports.resolved_by",       // through acts; stays
    "reports.user_id",           // belongs to another user; stays
    "sessions.user_id",          // exported; removed
    "imports.new_id",            // not only users; stays, so that an import does not restore the user
    "audit_log.target_id",       // not only users; stays
    "mail_outbox.mail_id",       // through mails; removed
    "refresh_tokens.session_id", // through sessions; removed
    "users.id",                  // exported; the tombstone
];

#[harness::test]
async fn every_table_that_references_users_is_covered_by_export_and_deletion() {
    let app = TestApp::start().await;
    let conn = app.server.context.db.read();
    let sql = if crate::support::database_kind() == "postgres" {
        "SELECT table_name AS t, column_name AS c FROM information_schema.columns WHERE table_schema = 'public'"
    } else {
        "SELECT m.name AS t, p.name AS c FROM sqlite_master m JOIN pragma_table_info(m.name) p WHERE m.type = 'table'"
    };
    let rows =
        conn.query_all_raw(Statement::from_string(conn.get_database_backend(), sql)).await.expect("columns");
    let suspects =
        ["user_id", "owner_id", "other_id", "reporter_id", "resolved_by", "actor_id", "created_by"];
    let mut found: Vec<String> = rows
        .iter()
        .map(|row| -> (String, String) {
            (row.try_get("", "t").expect("a table"), row.try_get("", "c").expect("a column"))
        })
        .filter(|(_, column)| suspects.contains(&column.as_str()))
        .map(|(table, column)| format!("{table}.{column}"))
        .filter(|it| !REFERENCES.contains(&it.as_str()))
        .collect();
    found.sort();
    assert_eq!(found, Vec::<String>::new(), "say what becomes of it: see REFERENCES");
}

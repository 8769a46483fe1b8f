//! A Mango with every error that its tables allow: the import reports each error and skips nothing else.

use std::collections::BTreeSet;

use entity::user;
use mango_chat::domain::import::Options;
use mango_chat::domain::import::report::Kind;
use reqwest::{Method, StatusCode};
use sea_orm::ActiveModelTrait;
use sea_orm::ActiveValue::Set;
use serde_json::{Value, json};

use super::mango::{Mango, SALAD, dump, expect_sound, import_with, rows};
use super::{login_imported, login_with_old_password};
use crate::support::{TestApp, Transport, fetch::fetch};

/// Returns the Mango ids by reason, as in the report file.
fn told(file: &std::path::Path) -> BTreeSet<(String, String, Option<i64>)> {
    let text = std::fs::read_to_string(file).expect("a report");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines
        .filter(|it| it["what"].is_string())
        .map(|it| {
            let text = |name: &str| it[name].as_str().expect("text").to_owned();
            (format!("{} {}", text("what"), text("kind")), text("reason"), it["old_id"].as_i64())
        })
        .collect()
}

fn dirt() -> String {
    format!(
        "ALTER TABLE user_table ALTER phone DROP NOT NULL, ALTER hashed_password DROP NOT NULL, ALTER photo DROP NOT NULL;
         ALTER TABLE message ALTER content DROP NOT NULL, ALTER created_at DROP NOT NULL;
         ALTER TABLE message DROP CONSTRAINT message_message_type_fkey;
         ALTER TABLE chat ALTER name DROP NOT NULL, ALTER is_group DROP NOT NULL;
         INSERT INTO user_table (name, phone, photo, hashed_password, created_at) VALUES
         ('good', '+7 900 1', 'x', '{SALAD}', '2023-02-01 10:00:00+00'),
         ('twin', '+7-900-(1)', 'x', '{SALAD}', '2023-02-01 10:00:00+00'),
         ('no phone', 'call me', NULL, '{SALAD}', '2023-02-01 10:00:00+00'),
         (repeat('long ', 50), NULL, '', NULL, 'yesterday'),
         ('md5', '79002', 'x', '5f4dcc3b5aa765d61d8327deb882cf99', '2023-02-30 10:00:00'),
         (E'ab\\nsurd', '79003', 'x', '$pbkdf2-sha256$99000000$MDEy$QyrhjO.vckJBYsEx8fCojgl76exb4b7xSLFZWStlieM', '2023-02-01 10:00:00+00'),
         ('other', '79004', 'x', '{SALAD}', '2023-02-01 10:00:00+00');
         INSERT INTO chat (name, is_group, created_at) VALUES
         ('one', false, '2023-02-02 10:00:00+00'), ('one again', false, '2023-02-02 11:00:00+00'),
         ('alone', false, '2023-02-02 10:00:00+00'), ('three', NULL, '2023-02-02 10:00:00+00'),
         ('empty', true, '2023-02-02 10:00:00+00'), ('group', true, 'once'),
         ('', true, '2023-02-02 10:00:00+00');
         INSERT INTO chat_user VALUES
         (1, 1), (1, 7), (1, 7), (1, 1), (2, 7), (2, 1), (3, 1), (4, 1), (4, 2), (4, 7), (6, 1), (6, 7), (6, NULL), (NULL, 1),
         (7, 7), (7, 5);
         INSERT INTO message (user_id, chat_id, message_type, content, created_at) VALUES
         (1, 1, 1, 'first', '2023-02-03 10:00:00+00'),
         (7, 2, 1, 'second', '2023-02-03 10:00:01+00'),
         (1, 1, 1, 'third', '2023-02-03 10:00:02+00'),
         (2, 1, 1, 'from outside', '2023-02-03 10:00:03+00'),
         (1, 1, 99, 'of no type', '2023-02-03 10:00:04+00'),
         (1, 1, NULL, NULL, '2023-02-03 10:00:05+00'),
         (NULL, 1, 1, 'by nobody', '2023-02-03 10:00:06+00'),
         (1, NULL, 1, 'nowhere', '2023-02-03 10:00:07+00'),
         (1, 5, 1, 'in the empty chat', '2023-02-03 10:00:08+00'),
         (1, 1, 1, repeat('long ', 20000), '2023-02-03 10:00:09+00'),
         (1, 6, 1, 'some time', 'some time'),
         (7, 6, 1, 'no time', NULL),
         (7, 7, 1, 'plain', '2023-02-03 10:00:10+00');
         INSERT INTO message_likes VALUES (1, 7), (1, 7), (1, 2), (NULL, 1), (2, NULL), (7, 1), (13, 5);
         INSERT INTO pinned_chat (\"user\") VALUES (1), (1), (NULL), (2);
         INSERT INTO pinned_chat_chats VALUES (1, 2), (2, 2), (2, 6), (3, 1), (4, 1), (1, NULL);"
    )
}

#[harness::test]
async fn invalid_data_is_reported_and_all_other_data_is_imported() {
    let Some(mango) = Mango::with(&dirt()).await else { return };
    let app = TestApp::start().await;
    let file = app.folder.path().join("report.jsonl");
    let options = Options { report: Some(file.clone()), batch: 3, ..mango.options() };
    let report = import_with(&app.server.context, options).await.expect("goes through");
    let expected: BTreeSet<(String, String, Option<i64>)> = [
        ("left_out user", "the phone belongs to another account", Some(2)),
        ("left_out user", "there is nothing to log in with", Some(2)),
        ("left_out user", "the phone is invalid", Some(3)),
        ("left_out user", "there is nothing to log in with", Some(3)),
        ("left_out user", "there is nothing to log in with", Some(4)),
        ("left_out user", "the password's hash is of an unknown kind, or costs too much", Some(4)),
        ("changed user", "the time of registration could not be read; the current time is used", Some(4)),
        ("left_out user", "the password's hash is of an unknown kind, or costs too much", Some(5)),
        ("changed user", "the time of registration could not be read; the current time is used", Some(5)),
        ("left_out user", "the password's hash is of an unknown kind, or costs too much", Some(6)),
        ("changed user", "the name was too long, or had characters that a name cannot have", Some(4)),
        ("changed user", "the name was too long, or had characters that a name cannot have", Some(6)),
        ("skipped member", "the row has no chat or no user", None),
        ("skipped pin", "the row has no chat or no user", None),
        ("changed chat", "a second direct chat of the same two users was merged with the first", Some(2)),
        ("changed chat", "a direct chat without exactly two members became a group", Some(3)),
        ("changed chat", "a direct chat without exactly two members became a group", Some(4)),
        ("skipped chat", "it has no members", Some(5)),
        ("skipped pin", "the user who pinned the chat is not a member", Some(1)),
        ("changed chat", "its creation time could not be read; the current time is used", Some(6)),
        ("skipped like", "the row has no message or no user", None),
        ("changed message", "a message of an unknown type became text", Some(5)),
        ("changed message", "a message of an unknown type became text", Some(6)),
        ("changed message", "a message without content is empty", Some(6)),
        ("skipped message", "its author was not imported", Some(7)),
        ("skipped message", "its chat was not imported, or is deleted here", Some(8)),
        ("skipped message", "its chat was not imported, or is deleted here", Some(9)),
        ("changed message", "its time could not be read; that of its chat is used", Some(11)),
        ("changed message", "its time could not be read; that of its chat is used", Some(12)),
    ]
    .map(|(what, reason, id)| (what.to_owned(), reason.to_owned(), id))
    .into();
    assert_eq!(told(&file), expected);
    assert!(!report.is_complete());
    let count = |kind| (report.count(kind).taken, report.count(kind).skipped);
    assert_eq!((count(Kind::User), count(Kind::Chat), count(Kind::Message)), ((7, 0), (6, 1), (10, 3)));
    assert_eq!(count(Kind::Like), (3, 2));
    let db = app.server.context.db.read();
    expect_sound(db).await;

    let good = login_imported(&app, "+79001").await;
    let other = login_imported(&app, "79004").await;
    assert_eq!(app.get("/user/me", &good).await["name"], json!("good"), "the phone is the first one's");
    for phone in ["79002", "79003", "call me"] {
        assert_eq!(login_with_old_password(&app, phone).await.0, StatusCode::UNAUTHORIZED, "{phone}");
    }
    let chats = app.get("/chat", &good).await;
    let chats = chats.as_array().expect("a list");
    let direct: Vec<&Value> = chats.iter().filter(|it| it["is_group"] == json!(false)).collect();
    assert_eq!(direct.len(), 1, "with `other`, once: {chats:?}");
    let long = "long ".repeat(20_000);
    let one = direct.iter().find(|it| it["last_message"]["content"] == json!(long)).expect("the merged chat");
    let id = one["id"].as_i64().expect("an id");
    assert_eq!(
        app.contents(id, &other).await,
        ["first", "second", "third", "from outside", "of no type", "", &long],
        "both direct chats in the order of time"
    );
    assert_eq!(one["member_count"], json!(2), "who wrote from outside is no member");
    assert_eq!(one["my"]["pinned"], json!(true), "the second one was pinned");
    for person in [&good, &other] {
        let seen = fetch(&app.http, &app.url, &person.access, person.id, &BTreeSet::new()).await;
        seen.expect("lists, chats and messages agree");
    }

    // Imported data is not reported again; skipped data is retried.
    let before = dump(db).await;
    let again = mango.import(&app.server.context).await;
    assert_eq!(dump(db).await, before);
    assert_eq!(again.count(Kind::Message).known, 10);
    assert_eq!(again.count(Kind::Message).skipped, 3);
    mango.run("INSERT INTO chat_user VALUES (5, 7)").await;
    let repaired = mango.import(&app.server.context).await;
    assert_eq!((repaired.count(Kind::Chat).taken, repaired.count(Kind::Message).taken), (1, 1));
    expect_sound(db).await;
}

#[harness::test]
async fn an_existing_account_keeps_its_phone_number_and_receives_no_imported_data() {
    let fill = super::small();
    let Some(mango) = Mango::with(&fill).await else { return };
    let app = TestApp::start().await;
    let payload = json!({"phone": "+79000000001", "password": "another one entirely", "name": "squatter"});
    let (status, squatter) = app.send(Method::POST, "/user", None, Some(payload)).await;
    assert_eq!(status, StatusCode::CREATED);
    let report = mango.import(&app.server.context).await;
    assert!(!report.is_complete());
    assert!(report.to_text().contains("the phone belongs to another account (1)"), "{}", report.to_text());
    assert_eq!(login_with_old_password(&app, "+79000000001").await.0, StatusCode::UNAUTHORIZED);
    let found = rows(app.server.context.db.read(), "SELECT id, phone FROM users WHERE name = 'Анна'").await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["phone"], Value::Null);
    assert_ne!(found[0]["id"], squatter["id"], "nobody is given another's chats");
    // The rest of her data is there.
    let boris = login_imported(&app, "+79000000002").await;
    assert_eq!(app.get("/chat", &boris).await.as_array().map(Vec::len), Some(2));
    expect_sound(app.server.context.db.read()).await;
}

#[harness::test]
async fn a_user_who_is_deleted_during_an_import_is_in_none_of_the_imported_chats() {
    let Some(mango) = Mango::with(&super::small()).await else { return };
    let app = TestApp::start().await;
    let context = &app.server.context;
    mango.import(context).await;
    let (anna, boris) =
        (login_imported(&app, "+79000000001").await, login_imported(&app, "+79000000002").await);
    mango
        .run(
            "INSERT INTO chat (name, is_group) VALUES ('late', true);
             INSERT INTO chat_user VALUES (4, 1), (4, 2);",
        )
        .await;
    let tx = context.db.begin().await.expect("begins");
    let gone = user::ActiveModel { id: Set(boris.id), deleted_at: Set(Some(1)), ..Default::default() };
    gone.update(tx.conn()).await.expect("deleted");
    let commit = async {
        app.somebody_waits().await;
        tx.commit_silently().await.expect("commits");
    };
    let (report, ()) = tokio::join!(mango.import(context), commit);
    assert_eq!(report.count(Kind::Chat).taken, 1, "{}", report.to_text());
    let chats = app.get("/chat", &anna).await;
    let late = chats.as_array().expect("a list").iter().find(|it| it["name"] == json!("late"));
    assert_eq!(late.expect("it came over")["member_count"], json!(1), "{chats}");
    expect_sound(context.db.read()).await;
}

#[harness::test]
async fn a_repeated_import_keeps_local_changes() {
    let Some(mango) = Mango::with(&super::small()).await else { return };
    let app = TestApp::start().await;
    mango.import(&app.server.context).await;
    let (anna, clara) =
        (login_imported(&app, "+79000000001").await, login_imported(&app, "+79000000003").await);
    let (status, _) =
        app.send(Method::PATCH, "/user/me", Some(&anna.access), Some(json!({"name": "Anna"}))).await;
    assert!(status.is_success());
    let chats = app.get("/chat", &clara).await;
    let group = chats[0]["id"].as_i64().expect("an id");
    let mut caller = app.connect(&clara, Transport::ALL[0]).await;
    let gone = caller.call("delete_chat", json!({"chat": {"id": group}})).await;
    assert_eq!(gone["ok"], json!(true), "{gone}");
    // A direct chat of two users who had none in Mango is created here first, and then in Mango.
    let mut anna_calls = app.connect(&anna, Transport::ALL[0]).await;
    let made = anna_calls
        .call("create_chat", json!({"chat": {"is_group": false, "members_array": [clara.id]}}))
        .await;
    let made = made["chat"]["id"].as_i64().expect("an id");
    mango
        .run(
            "INSERT INTO chat (name, is_group) VALUES ('anna and clara', false);
             INSERT INTO chat_user VALUES (4, 1), (4, 3);
             INSERT INTO pinned_chat_chats VALUES (1, 4);
             INSERT INTO message (user_id, chat_id, message_type, content) VALUES
             (1, 2, 1, 'into the deleted group'), (3, 4, 1, 'dear Anna')",
        )
        .await;
    let later = mango.import(&app.server.context).await;
    let text = later.to_text();
    assert!(text.contains("its chat was not imported, or is deleted here (6)"), "{text}");
    assert!(
        text.contains("a direct chat was merged with the existing one of the same two users (4)"),
        "{text}"
    );
    assert_eq!(app.get("/user/me", &anna).await["name"], json!("Anna"));
    assert_eq!(app.contents(made, &clara).await, ["dear Anna"]);
    assert_eq!(app.get(&format!("/chat/{made}"), &anna).await["my"]["pinned"], json!(true));
    assert_eq!(app.get(&format!("/chat/{made}"), &clara).await["my"]["pinned"], json!(false));
    let heard = anna_calls.next("new_message").await;
    assert_eq!(heard["content"], json!("dear Anna"));
    expect_sound(app.server.context.db.read()).await;
}

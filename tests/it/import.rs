//! An import copies all data of a Mango server, and imported users, chats and messages work like any others. A repeated
//! import adds only what is new.

mod broken;
mod dirty;
mod mango;
mod photos;

use std::collections::BTreeSet;

use mango_chat::domain::import::{self, report::Kind};
use reqwest::{Method, StatusCode};
use sea_orm::EntityTrait;
use serde_json::{Value, json};

use crate::support::{PASSWORD, Person, TestApp, Transport, eventually, fetch::fetch};
use mango::{BCRYPT_SALAD, DJANGO_SALAD, Mango, SALAD, by_old_ids, dump, expect_sound, import_with, rows};

/// The password of every user in Mango.
const OLD_PASSWORD: &str = "mango salad";

/// Four users, a direct chat, a group, and a chat without messages.
fn small() -> String {
    format!(
        "INSERT INTO user_table (name, phone, photo, description, hashed_password, created_at) VALUES
         ('Анна', '+7 (900) 000-00-01', 'x', 'first', '{SALAD}', '2023-02-01 10:00:00.123456+00'),
         ('Boris', '+79000000002', 'x', NULL, '{DJANGO_SALAD}', '2023-02-01 13:00:00+03'),
         (NULL, '+79000000003', 'x', '', '{BCRYPT_SALAD}', '2023-02-01 10:00:00'),
         ('Dina', '+79000000004', 'x', NULL, '{SALAD}', '2023-02-01 10:00:00');
         INSERT INTO chat (name, is_group, created_at) VALUES
         ('anna and boris', false, '2023-02-02 10:00:00+00'),
         ('Mango lovers', true, '2023-02-02 11:00:00+00'),
         ('quiet', false, '2023-02-02 12:00:00+00');
         INSERT INTO chat_user (chat_id, user_id) VALUES (1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 1), (3, 4);
         INSERT INTO message (user_id, chat_id, message_type, content, created_at) VALUES
         (1, 1, 1, 'hello', '2023-02-03 10:00:00.5+00'),
         (3, 2, 1, 'who is here?', '2023-02-03 10:00:01+00'),
         (2, 1, 21, '# hello', '2023-02-03 10:00:02+00'),
         (1, 2, 3, '{{\"a\": 1}}', '2023-02-03 10:00:03+00'),
         (2, 2, 1, 'me', '2023-02-03 10:00:02.7+00');
         INSERT INTO message_likes (message_id, user_id) VALUES (1, 2), (5, 1), (5, 3);
         INSERT INTO pinned_chat (\"user\") VALUES (1);
         INSERT INTO pinned_chat_chats VALUES (1, 2), (1, 1);"
    )
}

/// Logs in with the user's password from Mango.
async fn login_with_old_password(app: &TestApp, phone: &str) -> (StatusCode, Value) {
    let credentials = json!({"username": phone, "password": OLD_PASSWORD});
    app.send(Method::POST, "/auth/login", None, Some(credentials)).await
}

/// Logs in an imported user.
async fn login_imported(app: &TestApp, phone: &str) -> Person {
    let (status, tokens) = login_with_old_password(app, phone).await;
    assert_eq!(status, StatusCode::OK, "{tokens}");
    let text = |name: &str| tokens[name].as_str().expect("a token").to_owned();
    let (access, refresh) = (text("access_token"), text("refresh_token"));
    let (_, me) = app.send(Method::GET, "/user/me", Some(&access), None).await;
    Person { id: me["id"].as_i64().expect("an id"), access, refresh }
}

/// Returns the content, type and number of likes of each message, the oldest first.
fn summaries(messages: &Value) -> Vec<(String, String, i64)> {
    let list = messages.as_array().expect("a list");
    let summary = |it: &Value| {
        let text = |name: &str| it[name].as_str().expect("text").to_owned();
        (text("content"), text("message_type"), it["likes"].as_i64().expect("a number"))
    };
    list.iter().rev().map(summary).collect()
}

#[harness::test]
async fn an_import_copies_all_data_and_old_passwords_stay_valid() {
    let Some(mango) = Mango::with(&small()).await else { return };
    let app = TestApp::start().await;
    let stranger = app.person("stranger").await;

    let report = mango.import(&app.server.context).await;
    assert!(report.is_complete(), "{}", report.to_text());
    let imported = |kind| report.count(kind).taken;
    assert_eq!((imported(Kind::User), imported(Kind::Chat), imported(Kind::Member)), (4, 3, 7));
    assert_eq!((imported(Kind::Message), imported(Kind::Like), imported(Kind::Pin)), (5, 3, 2));
    expect_sound(app.server.context.db.read()).await;

    let anna = login_imported(&app, "+7 900 000-00-01").await;
    let me = app.get("/user/me", &anna).await;
    assert_eq!((&me["name"], &me["phone"]), (&json!("Анна"), &json!("+79000000001")));
    assert_eq!((&me["description"], &me["role"]), (&json!("first"), &json!("user")));
    assert_eq!(me["created_at"], json!("2023-02-01T10:00:00.123Z"));
    let boris = login_imported(&app, "+79000000002").await;
    assert_eq!(app.get("/user/me", &boris).await["created_at"], json!("2023-02-01T10:00:00.000Z"));
    let clara = login_imported(&app, "+79000000003").await;
    let me = app.get("/user/me", &clara).await;
    assert_eq!((&me["name"], &me["description"]), (&Value::Null, &Value::Null));

    let chats = app.get("/chat", &anna).await;
    let shown: Vec<(Value, Value, Value)> = chats
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| (it["name"].clone(), it["my"]["pinned"].clone(), it["my"]["unread"].clone()))
        .collect();
    let expected = [("Mango lovers", true), ("", true), ("", false)].map(|(name, pinned)| {
        (if name.is_empty() { Value::Null } else { json!(name) }, json!(pinned), json!(0))
    });
    assert_eq!(shown, expected, "the latest activity is first, and everything counts as read");
    assert_eq!(app.get("/chat/pinned", &anna).await.as_array().map(Vec::len), Some(2));
    assert_eq!(app.get("/chat/pinned", &boris).await.as_array().map(Vec::len), Some(0));
    assert_eq!(app.get("/chat", &stranger).await, json!([]));

    let (group, direct) = (&chats[0], &chats[1]);
    assert_eq!((&group["is_group"], &direct["is_group"]), (&json!(true), &json!(false)));
    assert_eq!(group["owner_id"], json!(clara.id), "the owner of a group is the author of its first message");
    assert_eq!(group["created_at"], json!("2023-02-02T11:00:00.000Z"));
    let direct_id = direct["id"].as_i64().expect("an id");
    let messages = app.get(&format!("/chat/{direct_id}/messages"), &anna).await;
    let message = |text: &str, kind: &str, likes| (text.to_owned(), kind.to_owned(), likes);
    assert_eq!(summaries(&messages), [message("hello", "text", 1), message("# hello", "markdown", 0)]);
    assert_eq!(messages[1]["created_at"], json!("2023-02-03T10:00:00.500Z"));
    let (group_id, path) = (group["id"].as_i64().expect("an id"), format!("/chat/{}/messages", group["id"]));
    let messages = app.get(&path, &clara).await;
    assert_eq!(
        summaries(&messages),
        [message("who is here?", "text", 0), message("me", "text", 2), message("{\"a\": 1}", "json", 0)],
        "ordered by time, not by id"
    );
    assert_eq!(messages[1]["my"]["liked"], json!(true));
    let seqs: Vec<i64> =
        messages.as_array().expect("a list").iter().filter_map(|it| it["seq"].as_i64()).collect();
    assert_eq!(seqs, [4, 3, 2], "position 1 is the creation of the chat");

    // Imported chats work like any others.
    let mut listener = app.connect(&clara, Transport::ALL[1]).await;
    let mut caller = app.connect(&boris, Transport::ALL[0]).await;
    let request = json!({"message": {"chat_id": group_id, "content": "new here", "message_type": "text"}});
    let ack = caller.call("send_message", request).await;
    assert_eq!((&ack["ok"], &ack["rev"], &ack["prev"]), (&json!(true), &json!(5), &json!(4)), "{ack}");
    assert_eq!(listener.next("new_message").await["content"], json!("new here"));
    assert_eq!(app.get(&format!("/chat/{group_id}"), &clara).await["my"]["unread"], json!(1));
    let ack =
        caller.call("create_chat", json!({"chat": {"is_group": false, "members_array": [anna.id]}})).await;
    assert_eq!(
        ack["chat"]["id"],
        json!(direct_id),
        "the direct chat of anna and boris exists already: {ack}"
    );
    for user in [&anna, &boris, &clara] {
        let seen = fetch(&app.http, &app.url, &user.access, user.id, &BTreeSet::new()).await;
        seen.expect("lists, chats and messages agree");
    }
}

#[harness::test]
async fn a_repeated_import_changes_nothing_and_a_later_one_adds_new_data() {
    let Some(mango) = Mango::with(&small()).await else { return };
    let app = TestApp::start().await;
    let db = app.server.context.db.read();
    mango.import(&app.server.context).await;
    let boris = login_imported(&app, "+79000000002").await;
    let before = dump(db).await;

    let repeated = mango.import(&app.server.context).await;
    assert!(repeated.is_complete());
    for kind in [Kind::User, Kind::Chat, Kind::Message] {
        assert_eq!((repeated.count(kind).taken, repeated.count(kind).skipped), (0, 0), "{kind:?}");
    }
    assert_eq!(repeated.count(Kind::Message).known, 5);
    assert_eq!(dump(db).await, before);

    // Both servers keep running; clients connected here receive what is new in Mango.
    let mut caller = app.connect(&boris, Transport::ALL[0]).await;
    let chats = app.get("/chat", &boris).await;
    let group = chats[0]["id"].as_i64().expect("an id");
    let request = json!({"message": {"chat_id": group, "content": "here", "message_type": "text"}});
    assert_eq!(caller.call("send_message", request).await["rev"], json!(5));
    mango
        .run(&format!(
            "INSERT INTO user_table (name, phone, photo, hashed_password) VALUES ('Egor', '79000000005', 'x', '{SALAD}');
             INSERT INTO chat (name, is_group, created_at) VALUES ('late', true, '2023-02-03 10:00:00+00');
             INSERT INTO chat_user VALUES (4, 2), (4, 5);
             INSERT INTO message (user_id, chat_id, message_type, content, created_at) VALUES
             (1, 2, 1, 'there', '2023-02-04 10:00:00+00'), (5, 4, 1, 'late, too', '2023-02-04 10:00:00+00');"
        ))
        .await;

    let later = mango.import(&app.server.context).await;
    let imported = |kind| later.count(kind).taken;
    assert_eq!((imported(Kind::User), imported(Kind::Chat), imported(Kind::Message)), (1, 1, 2));
    // Events of different chats arrive in any order.
    let mut event = caller.next("new_message").await;
    if event["chat"] != json!(group) {
        assert_eq!(event["content"], json!("late, too"), "{event}");
        event = caller.next("new_message").await;
    }
    assert_eq!((&event["content"], &event["seq"], &event["prev"]), (&json!("there"), &json!(6), &json!(5)));
    assert_eq!(app.contents(group, &boris).await, ["who is here?", "me", "{\"a\": 1}", "here", "there"]);

    // A connected user joins the room of a newly imported chat, even if the chat is old in Mango.
    let chats = app.get("/chat", &boris).await;
    let late = chats.as_array().expect("a list").iter().find(|it| it["name"] == json!("late")).expect("late");
    let late = late["id"].clone();
    eventually("boris receives events of the new chat", async || {
        let request = json!({"message": {"chat_id": late, "content": "here, too", "message_type": "text"}});
        let other = login_imported(&app, "79000000005").await;
        let (status, _) =
            app.send(Method::POST, "/events/send_message", Some(&other.access), Some(request)).await;
        assert_eq!(status, StatusCode::OK);
        caller.rest().await.iter().any(|(name, payload)| name == "new_message" && payload["chat"] == late)
    })
    .await;

    let entries = entity::audit::Entity::find().all(db).await.expect("the audit log");
    let details: Vec<Value> =
        entries.iter().map(|entry| serde_json::from_str(&entry.details).expect("JSON")).collect();
    // The run that imported nothing is not in the audit log.
    assert_eq!(details.len(), 2, "{entries:?}");
    assert_eq!((&details[0]["messages"], &details[1]["messages"]), (&json!(5), &json!(2)), "{details:?}");
    expect_sound(db).await;
    let egor = login_imported(&app, "79000000005").await;
    let seen = fetch(&app.http, &app.url, &egor.access, egor.id, &BTreeSet::new()).await.expect("sound");
    assert_eq!(seen.chats.len(), 1);
}

#[harness::test]
async fn concurrent_first_logins_succeed_and_renew_the_imported_password_hash() {
    let Some(mango) = Mango::with(&small()).await else { return };
    let app = TestApp::start().await;
    mango.import(&app.server.context).await;

    for phone in ["+79000000001", "+79000000002", "+79000000003"] {
        let wrong = json!({"username": phone, "password": "mango sorbet"});
        assert_eq!(
            app.send(Method::POST, "/auth/login", None, Some(wrong)).await.0,
            StatusCode::UNAUTHORIZED
        );
        let responses =
            futures_util::future::join_all((0..4).map(|_| login_with_old_password(&app, phone))).await;
        for (status, body) in responses {
            assert_eq!(status, StatusCode::OK, "{body}");
        }
        let sql = format!("SELECT password_hash FROM users WHERE phone = '{phone}'");
        let hash = rows(app.server.context.db.read(), &sql).await;
        let hash = hash[0]["password_hash"].as_str().expect("a hash");
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert_eq!(login_with_old_password(&app, phone).await.0, StatusCode::OK);
    }
}

#[harness::test]
async fn a_failed_login_takes_as_long_for_an_imported_account_as_for_an_unknown_one() {
    let Some(mango) = Mango::with(&small()).await else { return };
    mango.run("UPDATE user_table SET hashed_password = 'nothing fits this' WHERE id = 4").await;
    // Expensive enough that a cheaper hash would be measurable.
    let app = TestApp::with(&[("PASSWORD_HASH", "argon2id,m=32768,t=3,p=1")]).await;
    mango.import(&app.server.context).await;
    let phones = ["+79000000099", "+79000000002", "+79000000003", "+79000000004"];

    let mut elapsed = [std::time::Duration::ZERO; 4];
    for round in 0..24 {
        let credentials = json!({"username": phones[round % 4], "password": "mango sorbet"});
        let started = std::time::Instant::now();
        let (status, _) = app.send(Method::POST, "/auth/login", None, Some(credentials)).await;
        elapsed[round % 4] += started.elapsed();
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }

    for (phone, duration) in phones.iter().zip(elapsed).skip(1) {
        let ratio = duration.as_secs_f64() / elapsed[0].as_secs_f64();
        assert!((0.4..2.5).contains(&ratio), "{phone} takes {ratio} times as long as an unknown one");
    }
}

#[harness::test]
async fn imports_into_sqlite_and_postgresql_have_equal_results() {
    let Some(mango) = Mango::generated(60, 90, 2_000).await else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let file = format!("sqlite://{}/mango.db", folder.path().display());
    let sqlite_app = TestApp::on(folder, &file, &[]).await;
    let app = TestApp::start().await;

    let mut results = Vec::new();
    for app in [&sqlite_app, &app] {
        let report = mango.import(&app.server.context).await;
        assert!(report.is_complete(), "{}", report.to_text());
        assert_eq!(report.count(Kind::Message).taken, 2_000);
        expect_sound(app.server.context.db.read()).await;
        let data = by_old_ids(app.server.context.db.read()).await;
        results.push(serde_json::to_string(&data).expect("JSON").replace("true", "1").replace("false", "0"));
    }

    assert!(results[0] == results[1], "the data in SQLite and PostgreSQL differs");
}

#[harness::test]
async fn the_batch_size_does_not_change_the_result() {
    let Some(mango) = Mango::generated(40, 60, 700).await else { return };

    let mut results = Vec::new();
    for batch in [1_000, 333, 7] {
        let app = TestApp::start().await;
        let options = import::Options { batch, ..mango.options() };
        import_with(&app.server.context, options).await.expect("imported");
        results.push(by_old_ids(app.server.context.db.read()).await);
    }

    assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "the batch size changes the result");
}

#[harness::test]
async fn a_dry_run_reports_the_same_and_stores_nothing() {
    let invalid = "INSERT INTO message (user_id, chat_id, content) VALUES (NULL, 1, 'without an author');";
    let Some(mango) = Mango::with(&format!("{}{invalid}", small())).await else { return };
    let app = TestApp::start().await;
    let db = app.server.context.db.read();
    let empty = dump(db).await;

    let options = import::Options { dry_run: true, ..mango.options() };
    let dry = import_with(&app.server.context, options).await.expect("the dry run succeeds");
    assert_eq!(dump(db).await, empty);

    let real = mango.import(&app.server.context).await;
    assert_eq!(dry.to_text(), real.to_text());
    assert_eq!((real.count(Kind::Message).taken, real.count(Kind::Message).skipped), (5, 1));
    assert!(!real.is_complete());
}

#[harness::test]
async fn common_passwords_are_rejected_when_the_blocklist_is_enabled() {
    let app = TestApp::with(&[("PASSWORD_BLOCKLIST", "true")]).await;
    let register = async |app: &TestApp, username: &str, password: &str| {
        let request = json!({"username": username, "password": password});
        app.send(Method::POST, "/user", None, Some(request)).await
    };

    for common in ["password1", "PassWord1", "12345678", "88888888", "qwertyuiop"] {
        let (status, problem) = register(&app, "alice", common).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{common}: {problem}");
        assert_eq!(problem["code"], json!("validation_failed"));
        assert!(
            problem["errors"]["password"][0].as_str().is_some_and(|it| it.contains("common")),
            "{problem}"
        );
    }

    for (rule, password) in [("short", "7 chars"), ("long", &*"x".repeat(129))] {
        let (status, problem) = register(&app, "alice", password).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{rule}");
        assert!(problem["errors"]["password"][0].is_string(), "{problem}");
    }

    for (name, password) in [("alice", PASSWORD), ("boris", &*"ы".repeat(128)), ("clara", "        ")] {
        let (status, body) = register(&app, name, password).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
    }

    let app_without_blocklist = TestApp::start().await;
    assert_eq!(
        register(&app_without_blocklist, "alice", "password1").await.0,
        StatusCode::CREATED,
        "the blocklist is off by default outside production"
    );
}

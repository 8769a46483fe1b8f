//! Importing from Mango: all data arrives and works as if it had been created here, and a second run changes nothing.

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
async fn old_login(app: &TestApp, phone: &str) -> (StatusCode, Value) {
    let wish = json!({"username": phone, "password": OLD_PASSWORD});
    app.send(Method::POST, "/auth/login", None, Some(wish)).await
}

async fn moved(app: &TestApp, phone: &str) -> Person {
    let (status, tokens) = old_login(app, phone).await;
    assert_eq!(status, StatusCode::OK, "{tokens}");
    let text = |name: &str| tokens[name].as_str().expect("a token").to_owned();
    let (access, refresh) = (text("access_token"), text("refresh_token"));
    let (_, me) = app.send(Method::GET, "/user/me", Some(&access), None).await;
    Person { id: me["id"].as_i64().expect("an id"), access, refresh }
}

fn sees(messages: &Value) -> Vec<(String, String, i64)> {
    let list = messages.as_array().expect("a list");
    let one = |it: &Value| {
        let text = |name: &str| it[name].as_str().expect("text").to_owned();
        (text("content"), text("message_type"), it["likes"].as_i64().expect("a number"))
    };
    list.iter().rev().map(one).collect()
}

#[harness::test]
async fn everything_arrives_and_the_old_password_opens_it() {
    let Some(mango) = Mango::with(&small()).await else { return };
    let app = TestApp::start().await;
    let stranger = app.person("stranger").await;
    let report = mango.import(&app.server.context).await;
    assert!(report.is_complete(), "{}", report.to_text());
    let taken = |kind| report.count(kind).taken;
    assert_eq!((taken(Kind::User), taken(Kind::Chat), taken(Kind::Member)), (4, 3, 7));
    assert_eq!((taken(Kind::Message), taken(Kind::Like), taken(Kind::Pin)), (5, 3, 2));
    expect_sound(app.server.context.db.read()).await;

    let anna = moved(&app, "+7 900 000-00-01").await;
    let me = app.get("/user/me", &anna).await;
    assert_eq!((&me["name"], &me["phone"]), (&json!("Анна"), &json!("+79000000001")));
    assert_eq!((&me["description"], &me["role"]), (&json!("first"), &json!("user")));
    assert_eq!(me["created_at"], json!("2023-02-01T10:00:00.123Z"));
    let boris = moved(&app, "+79000000002").await;
    assert_eq!(app.get("/user/me", &boris).await["created_at"], json!("2023-02-01T10:00:00.000Z"));
    let clara = moved(&app, "+79000000003").await;
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
    assert_eq!(shown, expected, "latest activity first, and everything counts as read");
    assert_eq!(app.get("/chat/pinned", &anna).await.as_array().map(Vec::len), Some(2));
    assert_eq!(app.get("/chat/pinned", &boris).await.as_array().map(Vec::len), Some(0));
    assert_eq!(app.get("/chat", &stranger).await, json!([]));

    let (group, direct) = (&chats[0], &chats[1]);
    assert_eq!((&group["is_group"], &direct["is_group"]), (&json!(true), &json!(false)));
    assert_eq!(group["owner_id"], json!(clara.id), "its first author");
    assert_eq!(group["created_at"], json!("2023-02-02T11:00:00.000Z"));
    let direct_id = direct["id"].as_i64().expect("an id");
    let messages = app.get(&format!("/chat/{direct_id}/messages"), &anna).await;
    let hello = |text: &str, kind: &str, likes| (text.to_owned(), kind.to_owned(), likes);
    assert_eq!(sees(&messages), [hello("hello", "text", 1), hello("# hello", "markdown", 0)]);
    assert_eq!(messages[1]["created_at"], json!("2023-02-03T10:00:00.500Z"));
    let (group_id, path) = (group["id"].as_i64().expect("an id"), format!("/chat/{}/messages", group["id"]));
    let messages = app.get(&path, &clara).await;
    assert_eq!(
        sees(&messages),
        [hello("who is here?", "text", 0), hello("me", "text", 2), hello("{\"a\": 1}", "json", 0)],
        "in the order of time, not of numbers"
    );
    assert_eq!(messages[1]["my"]["liked"], json!(true));
    let seqs: Vec<i64> =
        messages.as_array().expect("a list").iter().filter_map(|it| it["seq"].as_i64()).collect();
    assert_eq!(seqs, [4, 3, 2], "1 is the making of the chat");

    // The chat continues like any other chat.
    let mut listener = app.connect(&clara, Transport::ALL[1]).await;
    let mut caller = app.connect(&boris, Transport::ALL[0]).await;
    let wish = json!({"message": {"chat_id": group_id, "content": "new here", "message_type": "text"}});
    let ack = caller.call("send_message", wish).await;
    assert_eq!((&ack["ok"], &ack["rev"], &ack["prev"]), (&json!(true), &json!(5), &json!(4)), "{ack}");
    assert_eq!(listener.next("new_message").await["content"], json!("new here"));
    assert_eq!(app.get(&format!("/chat/{group_id}"), &clara).await["my"]["unread"], json!(1));
    let ack =
        caller.call("create_chat", json!({"chat": {"is_group": false, "members_array": [anna.id]}})).await;
    assert_eq!(ack["chat"]["id"], json!(direct_id), "the direct chat of the two exists: {ack}");
    for person in [&anna, &boris, &clara] {
        let seen = fetch(&app.http, &app.url, &person.access, person.id, &BTreeSet::new()).await;
        seen.expect("lists, chats and messages agree");
    }
}

#[harness::test]
async fn a_second_run_changes_nothing_and_a_later_one_takes_what_is_new() {
    let Some(mango) = Mango::with(&small()).await else { return };
    let app = TestApp::start().await;
    let db = app.server.context.db.read();
    mango.import(&app.server.context).await;
    let boris = moved(&app, "+79000000002").await;
    let before = dump(db).await;
    let again = mango.import(&app.server.context).await;
    assert!(again.is_complete());
    for kind in [Kind::User, Kind::Chat, Kind::Message] {
        assert_eq!((again.count(kind).taken, again.count(kind).skipped), (0, 0), "{kind:?}");
    }
    assert_eq!(again.count(Kind::Message).known, 5);
    assert_eq!(dump(db).await, before);

    // Both servers keep running; clients connected here receive what is new in Mango.
    let mut caller = app.connect(&boris, Transport::ALL[0]).await;
    let chats = app.get("/chat", &boris).await;
    let group = chats[0]["id"].as_i64().expect("an id");
    let wish = json!({"message": {"chat_id": group, "content": "here", "message_type": "text"}});
    assert_eq!(caller.call("send_message", wish).await["rev"], json!(5));
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
    let taken = |kind| later.count(kind).taken;
    assert_eq!((taken(Kind::User), taken(Kind::Chat), taken(Kind::Message)), (1, 1, 2));
    // There is no order between two chats.
    let mut heard = caller.next("new_message").await;
    if heard["chat"] != json!(group) {
        assert_eq!(heard["content"], json!("late, too"), "{heard}");
        heard = caller.next("new_message").await;
    }
    assert_eq!((&heard["content"], &heard["seq"], &heard["prev"]), (&json!("there"), &json!(6), &json!(5)));
    assert_eq!(app.contents(group, &boris).await, ["who is here?", "me", "{\"a\": 1}", "here", "there"]);
    // A connected user joins the room of a newly imported chat, however old the chat is in Mango.
    let chats = app.get("/chat", &boris).await;
    let late = chats.as_array().expect("a list").iter().find(|it| it["name"] == json!("late")).expect("late");
    let late = late["id"].clone();
    eventually("boris is in the room", async || {
        let wish = json!({"message": {"chat_id": late, "content": "here, too", "message_type": "text"}});
        let other = moved(&app, "79000000005").await;
        let (status, _) =
            app.send(Method::POST, "/events/send_message", Some(&other.access), Some(wish)).await;
        assert_eq!(status, StatusCode::OK);
        caller.rest().await.iter().any(|(name, payload)| name == "new_message" && payload["chat"] == late)
    })
    .await;
    let acts = entity::audit::Entity::find().all(db).await.expect("the audit log");
    let details: Vec<Value> =
        acts.iter().map(|act| serde_json::from_str(&act.details).expect("JSON")).collect();
    // The run that imported nothing is not in the audit log.
    assert_eq!(details.len(), 2, "{acts:?}");
    assert_eq!((&details[0]["messages"], &details[1]["messages"]), (&json!(5), &json!(2)), "{details:?}");
    expect_sound(db).await;
    let egor = moved(&app, "79000000005").await;
    let seen = fetch(&app.http, &app.url, &egor.access, egor.id, &BTreeSet::new()).await.expect("sound");
    assert_eq!(seen.chats.len(), 1);
}

#[harness::test]
async fn the_first_login_renews_the_hash_also_when_two_come_at_once() {
    let Some(mango) = Mango::with(&small()).await else { return };
    let app = TestApp::start().await;
    mango.import(&app.server.context).await;
    for phone in ["+79000000001", "+79000000002", "+79000000003"] {
        let wrong = json!({"username": phone, "password": "mango sorbet"});
        assert_eq!(
            app.send(Method::POST, "/auth/login", None, Some(wrong)).await.0,
            StatusCode::UNAUTHORIZED
        );
        let all = futures_util::future::join_all((0..4).map(|_| old_login(&app, phone))).await;
        for (status, answer) in all {
            assert_eq!(status, StatusCode::OK, "{answer}");
        }
        let sql = format!("SELECT password_hash FROM users WHERE phone = '{phone}'");
        let hash = rows(app.server.context.db.read(), &sql).await;
        let hash = hash[0]["password_hash"].as_str().expect("a hash");
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert_eq!(old_login(&app, phone).await.0, StatusCode::OK);
    }
}

#[harness::test]
async fn an_imported_account_takes_as_long_to_refuse_as_an_unknown_one() {
    let Some(mango) = Mango::with(&small()).await else { return };
    mango.run("UPDATE user_table SET hashed_password = 'nothing fits this' WHERE id = 4").await;
    // Costly enough that a cheaper hash would be noticed.
    let app = TestApp::with(&[("PASSWORD_HASH", "argon2id,m=32768,t=3,p=1")]).await;
    mango.import(&app.server.context).await;
    let phones = ["+79000000099", "+79000000002", "+79000000003", "+79000000004"];
    let mut spent = [std::time::Duration::ZERO; 4];
    for round in 0..24 {
        let wish = json!({"username": phones[round % 4], "password": "mango sorbet"});
        let started = std::time::Instant::now();
        let (status, _) = app.send(Method::POST, "/auth/login", None, Some(wish)).await;
        spent[round % 4] += started.elapsed();
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }
    for (phone, time) in phones.iter().zip(spent).skip(1) {
        let ratio = time.as_secs_f64() / spent[0].as_secs_f64();
        assert!((0.4..2.5).contains(&ratio), "{phone} takes {ratio} times as long as an unknown one");
    }
}

#[harness::test]
async fn sqlite_and_postgresql_come_to_the_same() {
    let Some(mango) = Mango::generated(60, 90, 2_000).await else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let file = format!("sqlite://{}/mango.db", folder.path().display());
    let on_file = TestApp::on(folder, &file, &[]).await;
    let app = TestApp::start().await;
    let mut found = Vec::new();
    for app in [&on_file, &app] {
        let report = mango.import(&app.server.context).await;
        assert!(report.is_complete(), "{}", report.to_text());
        assert_eq!(report.count(Kind::Message).taken, 2_000);
        expect_sound(app.server.context.db.read()).await;
        let told = by_old_ids(app.server.context.db.read()).await;
        found.push(serde_json::to_string(&told).expect("JSON").replace("true", "1").replace("false", "0"));
    }
    assert!(found[0] == found[1], "both databases hold the same");
}

#[harness::test]
async fn batches_of_any_size_come_to_the_same() {
    let Some(mango) = Mango::generated(40, 60, 700).await else { return };
    let mut found = Vec::new();
    for batch in [1_000, 333, 7] {
        let app = TestApp::start().await;
        let options = import::Options { batch, ..mango.options() };
        import_with(&app.server.context, options).await.expect("imported");
        found.push(by_old_ids(app.server.context.db.read()).await);
    }
    assert!(found.windows(2).all(|pair| pair[0] == pair[1]));
}

#[harness::test]
async fn a_dry_run_tells_the_same_and_keeps_nothing() {
    let dirt = "INSERT INTO message (user_id, chat_id, content) VALUES (NULL, 1, 'nobody said this');";
    let Some(mango) = Mango::with(&format!("{}{dirt}", small())).await else { return };
    let app = TestApp::start().await;
    let db = app.server.context.db.read();
    let empty = dump(db).await;
    let options = import::Options { dry_run: true, ..mango.options() };
    let dry = import_with(&app.server.context, options).await.expect("goes through");
    assert_eq!(dump(db).await, empty);
    let real = mango.import(&app.server.context).await;
    assert_eq!(dry.to_text(), real.to_text());
    assert_eq!((real.count(Kind::Message).taken, real.count(Kind::Message).skipped), (5, 1));
    assert!(!real.is_complete());
}

#[harness::test]
async fn common_passwords_are_refused_where_that_is_set() {
    let app = TestApp::with(&[("PASSWORD_BLOCKLIST", "true")]).await;
    let register = async |app: &TestApp, username: &str, password: &str| {
        let wish = json!({"username": username, "password": password});
        app.send(Method::POST, "/user", None, Some(wish)).await
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
        let (status, answer) = register(&app, name, password).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
    }
    let lax = TestApp::start().await;
    assert_eq!(register(&lax, "alice", "password1").await.0, StatusCode::CREATED, "off unless in prod");
}

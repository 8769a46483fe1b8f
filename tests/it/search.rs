//! Search for messages: what is found and what is not, how results are ordered and paged, and that the index follows every
//! change.

use std::collections::BTreeSet;
use std::time::Duration;

use mango_chat::clock::Timestamp;
use reqwest::Method;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::support::{Person, Socket, TestApp, Transport, fresh_database};

async fn say(socket: &mut Socket, chat: i64, content: &str) -> i64 {
    send(socket, json!({"chat_id": chat, "content": content, "message_type": "text"})).await
}

async fn send(socket: &mut Socket, message: Value) -> i64 {
    let ack = socket.call("send_message", json!({ "message": message })).await;
    ack["message"]["id"].as_i64().unwrap_or_else(|| panic!("{ack}"))
}

/// Returns the results of a search: status and body.
async fn ask(app: &TestApp, person: &Person, path: &str, query: &[(&str, &str)]) -> (u16, Value) {
    let request = app.http.get(format!("{}{path}", app.url)).bearer_auth(&person.access).query(query);
    let response = request.send().await.expect("an answer");
    (response.status().as_u16(), response.json().await.expect("JSON"))
}

/// Returns the contents of what is found, best first.
async fn found(app: &TestApp, person: &Person, query: &[(&str, &str)]) -> Vec<String> {
    let (status, body) = ask(app, person, "/search", query).await;
    assert_eq!(status, 200, "{query:?} {body}");
    let text = |hit: &Value| hit["message"]["content"].as_str().expect("a content").to_owned();
    body.as_array().expect("an array").iter().map(text).collect()
}

#[harness::test]
async fn words_are_found_in_all_their_forms_and_operators_are_text() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut socket, &[&bob]).await;
    for text in [
        "We are running late",
        "Ёлки стояли в лесу",
        "50% off: buy \"now\"",
        "apple pie",
        "cats AND dogs",
        "日本語のテスト",
        "party 🎉 tonight",
        "path C:\\temp\\file_name.txt",
    ] {
        say(&mut socket, chat, text).await;
    }
    for (query, wanted) in [
        ("runs", Some("We are running late")),
        ("RUN", Some("We are running late")),
        ("елка", Some("Ёлки стояли в лесу")),
        ("ЛЕС стоять", Some("Ёлки стояли в лесу")),
        ("50%", Some("50% off: buy \"now\"")),
        ("\"now buy\"", Some("50% off: buy \"now\"")),
        ("app*", None),
        ("apple NOT pie", None),
        ("apple -pie", Some("apple pie")),
        ("cats and dogs", Some("cats AND dogs")),
        ("cats OR nothing", None),
        ("日本", Some("日本語のテスト")),
        ("🎉", Some("party 🎉 tonight")),
        ("file name", Some("path C:\\temp\\file_name.txt")),
        ("terms:cats", None),
        ("%", None),
        ("'", None),
        ("\" OR \"\"", None),
        (":* & ! |", None),
        ("NEAR(cats dogs)", None),
    ] {
        let wanted: Vec<&str> = wanted.into_iter().collect();
        assert_eq!(found(&app, &bob, &[("q", query)]).await, wanted, "{query}");
    }
    assert_eq!(found(&app, &bob, &[("q", "app"), ("prefix", "true")]).await, ["apple pie"]);
    assert!(found(&app, &bob, &[("q", "app ")]).await.is_empty());
}

#[harness::test]
async fn a_search_that_cannot_be_understood_says_which_parameter_is_wrong() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut socket, &[&bob]).await;
    for (query, field) in [
        (vec![], "q"),
        (vec![("q", " ")], "q"),
        (vec![("q", "a\0")], "q"),
        (vec![("q", "a"), ("prefix", "yes")], "prefix"),
        (vec![("q", "a"), ("author", "bob")], "author"),
        (vec![("q", "a"), ("type", "texts")], "type"),
        (vec![("q", "a"), ("from", "yesterday")], "from"),
        (vec![("q", "a"), ("to", "2026-13-01")], "to"),
        (vec![("q", "a"), ("sort", "size")], "sort"),
        (vec![("q", "a"), ("limit", "0")], "limit"),
        (vec![("q", "a"), ("limit", "201")], "limit"),
        (vec![("q", "a"), ("cursor", "x")], "cursor"),
        (vec![("q", "a"), ("cursor", "x"), ("sort", "date")], "cursor"),
    ] {
        let (status, body) = ask(&app, &bob, "/search", &query).await;
        assert_eq!(status, 422, "{query:?} {body}");
        assert!(body["errors"][field].is_array(), "{query:?} {body}");
    }
    let (status, _) = ask(&app, &carol, &format!("/chat/{chat}/search"), &[("q", "a")]).await;
    assert_eq!(status, 404, "a stranger does not learn that the chat exists");
    let (status, _) = app.send(Method::GET, "/search?q=a", None, None).await;
    assert_eq!(status, 401);
}

#[harness::test]
async fn the_index_follows_edits_deletions_and_who_is_a_member() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob, &carol]).await;
    let id = say(&mut owner, chat, "first words").await;
    let other = say(&mut owner, chat, "second words").await;
    let edit = json!({"message": {"id": id, "content": "changed letters"}});
    assert_eq!(owner.call("edit_message", edit).await["ok"], json!(true));
    assert!(found(&app, &bob, &[("q", "first")]).await.is_empty());
    assert_eq!(found(&app, &bob, &[("q", "letter")]).await, ["changed letters"]);
    // An edit that fails changes nothing.
    let mut stranger = app.connect(&carol, Transport::MAIN).await;
    let edit = json!({"message": {"id": id, "content": "stolen"}});
    assert_eq!(stranger.call("edit_message", edit).await["ok"], json!(false));
    assert_eq!(found(&app, &bob, &[("q", "letter")]).await, ["changed letters"]);
    let delete = json!({"message": {"id": id}});
    assert_eq!(owner.call("delete_message", delete).await["ok"], json!(true));
    assert!(found(&app, &bob, &[("q", "letter")]).await.is_empty());
    // To nothing that is a word, and back.
    for (content, number) in [("!?", 0), ("second again", 1)] {
        let edit = json!({"message": {"id": other, "content": content}});
        assert_eq!(owner.call("edit_message", edit).await["ok"], json!(true));
        assert_eq!(found(&app, &bob, &[("q", "second")]).await.len(), number, "{content}");
    }
    let leave = json!({"chat": {"id": chat}});
    assert_eq!(stranger.call("leave_chat", leave).await["ok"], json!(true));
    assert!(found(&app, &carol, &[("q", "second")]).await.is_empty());
    let (status, _) = ask(&app, &carol, &format!("/chat/{chat}/search"), &[("q", "second")]).await;
    assert_eq!(status, 404);
    let add = json!({"chat": {"id": chat}, "user": {"id": carol.id}});
    assert_eq!(owner.call("add_member", add).await["ok"], json!(true));
    assert_eq!(found(&app, &carol, &[("q", "second")]).await.len(), 1, "who is added sees the history");
    let delete = json!({"chat": {"id": chat}});
    assert_eq!(owner.call("delete_chat", delete).await["ok"], json!(true));
    assert!(found(&app, &bob, &[("q", "second")]).await.is_empty());
}

#[harness::test]
async fn results_are_filtered_by_author_type_time_and_chat() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut a = app.connect(&alice, Transport::MAIN).await;
    let mut b = app.connect(&bob, Transport::MAIN).await;
    let (one, two) = (app.group(&mut a, &[&bob]).await, app.group(&mut a, &[&bob]).await);
    say(&mut a, one, "plan alpha").await;
    say(&mut b, two, "plan beta").await;
    send(&mut a, json!({"chat_id": two, "content": "# plan gamma", "message_type": "markdown"})).await;
    send(&mut a, json!({"chat_id": two, "content": "cGxhbg== plan", "message_type": "zip"})).await;
    let (alice_id, bob_id) = (alice.id.to_string(), bob.id.to_string());
    let sorted = |mut list: Vec<String>| {
        list.sort();
        list
    };
    for (query, wanted) in [
        (vec![], vec!["# plan gamma", "plan alpha", "plan beta"]),
        (vec![("author", alice_id.as_str())], vec!["# plan gamma", "plan alpha"]),
        (vec![("author", bob_id.as_str())], vec!["plan beta"]),
        (vec![("type", "markdown")], vec!["# plan gamma"]),
        (vec![("author", bob_id.as_str()), ("type", "markdown")], vec![]),
        (vec![("from", "2020-01-01")], vec!["# plan gamma", "plan alpha", "plan beta"]),
        (vec![("to", "2020-01-01T00:00:00+02:00")], vec![]),
        (vec![("from", "2999-01-01")], vec![]),
    ] {
        let mut all = vec![("q", "plan")];
        all.extend(query);
        assert_eq!(sorted(found(&app, &bob, &all).await), wanted, "{all:?}");
    }
    let (_, body) = ask(&app, &bob, &format!("/chat/{one}/search"), &[("q", "plan")]).await;
    assert_eq!(body.as_array().map(Vec::len), Some(1));
    assert_eq!(body[0]["snippet"], json!([{"text": "plan", "hit": true}, {"text": " alpha", "hit": false}]));
    assert!(body[0]["rank"].as_f64().is_some_and(|rank| rank > 0.0 && rank <= 1.0));
    assert_eq!(body[0]["message"]["my"]["liked"], json!(false));
}

#[harness::test]
async fn pages_hold_every_result_once_even_while_messages_arrive() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut socket, &[&bob]).await;
    let mut wanted = BTreeSet::new();
    for n in 0..25 {
        wanted.insert(say(&mut socket, chat, &format!("word {}", "filler ".repeat(n % 7))).await);
    }
    for sort in ["rank", "date"] {
        let mut next = Some(format!("/search?q=word&sort={sort}&limit=10"));
        let (mut ids, mut ranks) = (Vec::new(), Vec::new());
        while let Some(path) = next {
            let request = app.http.get(format!("{}{path}", app.url)).bearer_auth(&bob.access);
            let response = request.send().await.expect("an answer");
            next = response.headers().get("link").map(|link| {
                let link = link.to_str().expect("text");
                link[1..link.find('>').expect("an end")].to_owned()
            });
            let body: Value = response.json().await.expect("JSON");
            for hit in body.as_array().expect("an array") {
                ids.push(hit["message"]["id"].as_i64().expect("an id"));
                ranks.push(hit["rank"].as_f64().expect("a rank"));
            }
            say(&mut socket, chat, "unrelated").await;
            say(&mut socket, chat, &format!("a late word for {sort}")).await;
        }
        assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len(), "{sort}: {ids:?}");
        assert!(wanted.iter().all(|id| ids.contains(id)), "{sort}: {ids:?}");
        if sort == "rank" {
            assert!(ranks.is_sorted_by(|a, b| a >= b), "{ranks:?}");
        } else {
            assert!(ids.is_sorted_by(|a, b| a > b), "{ids:?}");
        }
    }
}

#[harness::test]
async fn a_message_is_found_by_the_names_of_its_files_and_so_is_its_copy() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let (chat, other) = (app.group(&mut socket, &[&bob]).await, app.group(&mut socket, &[&bob]).await);
    let part = reqwest::multipart::Part::bytes(b"hello".to_vec()).file_name("Отчёт_за май.txt");
    let form = reqwest::multipart::Form::new().part("file", part);
    let url = format!("{}/chat/{chat}/attachment", app.url);
    let request = app.http.post(url).bearer_auth(&alice.access);
    let file: Value = request.multipart(form).send().await.expect("an answer").json().await.expect("JSON");
    let message =
        json!({"chat_id": chat, "content": "see", "message_type": "text", "attachments": [file["id"]]});
    let id = send(&mut socket, message).await;
    let forward = json!({"message": {"id": id}, "chat": {"id": other}});
    assert_eq!(socket.call("forward_message", forward).await["ok"], json!(true));
    let (_, body) = ask(&app, &bob, "/search", &[("q", "отчеты")]).await;
    assert_eq!(body.as_array().map(Vec::len), Some(2), "{body}");
    assert_eq!(body[0]["snippet"][0], json!({"text": "Отчёт", "hit": true}));
    let edit = json!({"message": {"id": id, "content": "look"}});
    assert_eq!(socket.call("edit_message", edit).await["ok"], json!(true));
    assert_eq!(found(&app, &bob, &[("q", "отчет look")]).await, ["look"]);
}

#[harness::test]
async fn a_first_message_and_one_in_a_crowd_of_chats_are_found() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let chat = json!({"name": null, "is_group": false, "members_array": [bob.id]});
    let message = json!({"content": "opening words", "message_type": "text"});
    let ack = socket.call("create_chat", json!({"chat": chat, "message": message})).await;
    assert_eq!(ack["ok"], json!(true), "{ack}");
    // More chats than are alternatives in the condition on the index.
    for _ in 0..205 {
        app.group(&mut socket, &[]).await;
    }
    let hidden = app.group(&mut socket, &[&bob]).await;
    say(&mut socket, hidden, "words of the last chat").await;
    assert_eq!(
        found(&app, &alice, &[("q", "word"), ("sort", "date")]).await,
        ["words of the last chat", "opening words"]
    );
    let leave = json!({"chat": {"id": hidden}});
    assert_eq!(socket.call("leave_chat", leave).await["ok"], json!(true));
    assert_eq!(found(&app, &alice, &[("q", "word")]).await, ["opening words"]);
}

#[harness::test]
async fn without_the_module_there_is_no_search_and_afterwards_everything_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = fresh_database(&folder).await;
    let app = TestApp::on(folder, &url, &[("MODULES", "docs,ui")]).await;
    let (alice, bob, _) = app.three().await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut socket, &[&bob]).await;
    let id = say(&mut socket, chat, "silent words").await;
    let (status, _) = ask(&app, &bob, "/search", &[("q", "word")]).await;
    assert_eq!(status, 404);
    let (status, _) = ask(&app, &bob, &format!("/chat/{chat}/search"), &[("q", "word")]).await;
    assert_eq!(status, 404);
    let document = app.get("/openapi.json", &bob).await;
    assert!(document["paths"]["/search"].is_null() && document["paths"]["/chat"].is_object());
    drop(socket);
    let TestApp { server, folder, .. } = app;
    server.shutdown().await;
    let app = TestApp::on(folder, &url, &[]).await;
    for _ in 0..100 {
        if !found(&app, &bob, &[("q", "silent")]).await.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(found(&app, &bob, &[("q", "silent")]).await, ["silent words"]);
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let delete = json!({"message": {"id": id}});
    assert_eq!(socket.call("delete_message", delete).await["ok"], json!(true));
    assert!(found(&app, &bob, &[("q", "silent")]).await.is_empty());
}

#[harness::test]
async fn history_jumps_to_a_date() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut socket, &[&bob]).await;
    let mut ids = Vec::new();
    for n in 0..30 {
        ids.push(say(&mut socket, chat, &format!("n{n}")).await);
    }
    let days: Vec<(usize, &str)> =
        vec![(0, "2026-01-01T10:00:00Z"), (10, "2026-02-01T10:00:00Z"), (20, "2026-03-01T10:00:00Z")];
    for (from, day) in &days {
        for id in &ids[*from..*from + 10] {
            let time = Timestamp::from_rfc3339(day).expect("a time").0;
            let sql = format!("UPDATE messages SET created_at = {time} WHERE id = {id}");
            app.server.context.db.read().execute_unprepared(&sql).await.expect("aged");
        }
    }
    for (date, wanted) in [
        ("2025-01-01", "n0"),
        ("2026-01-01T10:00:00Z", "n0"),
        ("2026-01-02", "n10"),
        ("2026-02-01", "n10"),
        ("2026-02-15T00:00:00+05:00", "n20"),
    ] {
        let ack = socket.call("history", json!({"chat": {"id": chat}, "date": date, "limit": 5})).await;
        let texts: Vec<&str> = ack["messages"]
            .as_array()
            .expect("a page")
            .iter()
            .filter_map(|it| it["content"].as_str())
            .collect();
        assert!(texts.contains(&wanted) && texts.len() == 5, "{date}: {texts:?}");
        let query = [("date", date), ("limit", "5")];
        let (_, page) = ask(&app, &bob, &format!("/chat/{chat}/messages"), &query).await;
        let ids =
            |page: &Value| page.as_array().map(|it| it.iter().map(|it| it["id"].clone()).collect::<Vec<_>>());
        assert_eq!(ids(&page), ids(&ack["messages"]), "{date}");
    }
    let ack = socket.call("history", json!({"chat": {"id": chat}, "date": "2030-01-01", "limit": 2})).await;
    assert_eq!(ack["messages"][0]["content"], json!("n29"), "nothing is so new: the newest");
    for payload in [json!({"date": "soon"}), json!({"date": "2026-01-01", "before": 3}), json!({"date": 5})] {
        let mut payload = payload;
        payload["chat"] = json!({"id": chat});
        let ack = socket.call("history", payload.clone()).await;
        assert_eq!(ack["error"]["code"], json!("validation_failed"), "{payload}: {ack}");
    }
    let (status, body) = ask(&app, &bob, &format!("/chat/{chat}/messages"), &[("date", "soon")]).await;
    assert!(status == 422 && body["errors"]["date"].is_array(), "{body}");
}

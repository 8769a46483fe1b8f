//! Token buckets on every transport: requests over the limit are refused with the time to retry, requests under it are
//! executed.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::limited;
use crate::support::{PASSWORD, Person, Plain, SECRET, Socket, TestApp, Transport, eventually};

fn wish(chat: i64, number: usize) -> Value {
    json!({"message": {"chat_id": chat, "content": format!("{number}"), "message_type": "text"}})
}

/// Returns how long a refused client has to wait, in milliseconds; `None` if it was not refused.
fn retry_after(ack: &Value) -> Option<u64> {
    if ack["ok"] == json!(true) {
        return None;
    }
    assert_eq!(ack["error"]["code"], json!("rate_limited"), "{ack}");
    let wait = ack["error"]["retry_after_ms"].as_u64().unwrap_or_else(|| panic!("no wait in {ack}"));
    assert!(wait > 0, "{ack}");
    Some(wait)
}

/// Creates a user in their own group, without using up the events of a test.
async fn alone(app: &TestApp) -> (Person, Socket, i64) {
    let alice = app.person("alice").await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut socket, &[]).await;
    (alice, socket, chat)
}

#[harness::test]
async fn messages_over_the_limit_are_refused_told_when_to_come_and_nothing_else_is_lost() {
    let app = limited(&[("RATE_SEND", "1/s:5")]).await;
    let (alice, mut socket, chat) = alone(&app).await;
    let mut numbers = Vec::new();
    for number in 0..30 {
        numbers.push(socket.begin("send_message", wish(chat, number)).await);
    }
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    for (number, id) in numbers.into_iter().enumerate() {
        match retry_after(&socket.ack(id).await) {
            None => taken.push(number.to_string()),
            Some(wait) => refused.push((number, wait)),
        }
    }
    assert!((5..=15).contains(&taken.len()), "a burst of five, and what comes back meanwhile: {taken:?}");
    assert_eq!(
        app.contents(chat, &alice).await,
        taken,
        "what was acked is stored, in order, and nothing else"
    );
    // Retrying after the given time is enough.
    let (number, wait) = refused[0];
    tokio::time::sleep(Duration::from_millis(wait + 50)).await;
    assert_eq!(socket.call("send_message", wish(chat, number)).await["ok"], json!(true));
    // Other events have their own bucket.
    assert_eq!(socket.call("history", json!({"chat": {"id": chat}})).await["ok"], json!(true));
}

#[harness::test]
async fn a_limit_is_of_the_user_whatever_the_door_and_nobody_elses() {
    let app = limited(&[("RATE_SEND", "1/min:4")]).await;
    let (alice, mut socket, chat) = alone(&app).await;
    let mut other = app.connect(&alice, Transport::ALL[3]).await;
    let (mut plain, _) = Plain::open(&app.host, "/ws", &alice.access).await.expect("opens");
    assert_eq!(retry_after(&socket.call("send_message", wish(chat, 0)).await), None);
    assert_eq!(retry_after(&other.call("send_message", wish(chat, 1)).await), None);
    assert_eq!(retry_after(&plain.call("send_message", wish(chat, 2)).await), None);
    let path = "/events/send_message";
    let (status, _) = app.send(Method::POST, path, Some(&alice.access), Some(wish(chat, 3))).await;
    assert_eq!(status, StatusCode::OK);
    for ack in [
        socket.call("send_message", wish(chat, 4)).await,
        other.call("send_message", wish(chat, 4)).await,
        plain.call("send_message", wish(chat, 4)).await,
    ] {
        assert!(retry_after(&ack).is_some_and(|wait| wait > 30_000), "{ack}");
    }
    let answer = app.raw(Method::POST, path, Some(&alice.access), Some(wish(chat, 4))).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    let seconds: u64 = answer.headers()["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((30..=60).contains(&seconds), "{seconds}");
    let problem: Value = answer.json().await.expect("a problem");
    assert_eq!((&problem["code"], &problem["status"]), (&json!("rate_limited"), &json!(429)));
    assert!(problem["request_id"].is_string(), "{problem}");
    // Without a callback the refusal is an `exception` event.
    socket.emit("send_message", wish(chat, 5)).await;
    let exception = socket.next("exception").await;
    assert_eq!(exception["event"], json!("send_message"));
    assert!(retry_after(&exception).is_some());
    plain.emit("send_message", wish(chat, 5)).await;
    assert!(retry_after(&plain.next("exception").await).is_some());
    // Other users are not slowed down.
    let bob = app.person("bob").await;
    let mut bobs = app.connect(&bob, Transport::MAIN).await;
    let own = app.group(&mut bobs, &[]).await;
    assert_eq!(bobs.call("send_message", wish(own, 0)).await["ok"], json!(true));
    assert_eq!(app.contents(chat, &alice).await, ["0", "1", "2", "3"]);
}

#[harness::test]
async fn other_events_share_a_bucket_and_a_token_is_renewed_all_the_same() {
    let app = limited(&[("RATE_EVENT", "1/min:3")]).await;
    let (alice, mut socket, chat) = alone(&app).await;
    assert_eq!(socket.call("history", json!({"chat": {"id": chat}})).await["ok"], json!(true));
    // Invalid events count like any other, and are not even parsed.
    let unknown = socket.call("make_coffee", json!(7)).await;
    assert_eq!(unknown["error"]["code"], json!("unknown_event"));
    for (event, payload) in [
        ("typing", json!({"chat": {"id": chat}, "is_typing": true})),
        ("toggle_like_message", json!({"message": {"id": 1}})),
        ("sync", json!({})),
        ("make_coffee", json!(7)),
        ("history", json!("nonsense")),
    ] {
        let ack = socket.call(event, payload).await;
        assert!(retry_after(&ack).is_some(), "{event}: {ack}");
    }
    assert_eq!(
        socket.call("send_message", wish(chat, 0)).await["ok"],
        json!(true),
        "messages have their own"
    );
    // The session stays alive: tokens can be refreshed and replaced on the socket.
    let body = json!({"refresh_token": alice.refresh});
    let (status, pair) = app.send(Method::POST, "/auth/refresh", None, Some(body)).await;
    assert_eq!(status, StatusCode::OK, "{pair}");
    for _ in 0..5 {
        let renewed = socket.call("authenticate", json!({"token": pair["access_token"]})).await;
        assert!(renewed["expires_at"].is_string(), "{renewed}");
    }
}

#[harness::test]
async fn rest_requests_that_change_something_count_as_events_and_reading_does_not() {
    let app = limited(&[("RATE_EVENT", "1/min:3")]).await;
    let alice = app.person("alice").await;
    let mut answers = Vec::new();
    for number in 0..5 {
        let body = json!({"name": format!("name {number}")});
        answers.push(app.send(Method::PATCH, "/user/me", Some(&alice.access), Some(body)).await.0.as_u16());
    }
    assert_eq!(answers, [200, 200, 200, 429, 429]);
    let (status, _) = app.send(Method::DELETE, "/auth/session/999", Some(&alice.access), None).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    let (status, _) = app.send(Method::POST, "/events/sync", Some(&alice.access), Some(json!({}))).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "events over REST are the same bucket");
    assert_eq!(app.get("/user/me", &alice).await["name"], json!("name 2"));
    let (status, _) = app.send(Method::POST, "/auth/logout", Some(&alice.access), None).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "whoever wants to leave may leave");
}

#[harness::test]
async fn registering_in_masses_from_one_address_ends_soon() {
    let app = limited(&[("RATE_REGISTER", "3/h")]).await;
    let register = async |number: usize, path: &str| {
        let wish = json!({"username": format!("robot{number}"), "password": PASSWORD});
        app.send(Method::POST, path, None, Some(wish)).await
    };
    // Invalid registrations do not count.
    for _ in 0..5 {
        let (status, _) = app.send(Method::POST, "/user", None, Some(json!({"password": "short"}))).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let mut made = 0;
    for number in 0..12 {
        let (status, body) = register(number, ["/user", "/user/create"][number % 2]).await;
        if status == StatusCode::CREATED {
            made += 1;
        } else {
            assert_eq!((status.as_u16(), &body["code"]), (429, &json!("rate_limited")), "{body}");
        }
    }
    assert_eq!(made, 3);
    let person = app.login("robot0").await;
    let found = app.get("/user?query=robot", &person).await;
    assert_eq!(found.as_array().expect("a list").len(), 3, "no more accounts than were told: {found}");
}

#[harness::test]
async fn uploads_have_a_bucket_of_their_own() {
    let app = limited(&[("RATE_UPLOAD", "1/h:2"), ("RATE_EVENT", "50/s")]).await;
    let alice = app.person("alice").await;
    let upload = async || {
        let part = reqwest::multipart::Part::bytes(b"not a picture".to_vec()).file_name("a.png");
        let form = reqwest::multipart::Form::new().part("image", part);
        let url = format!("{}/user/photo_to_base64", app.url);
        app.http.post(url).multipart(form).send().await.expect("an answer").status().as_u16()
    };
    assert_eq!([upload().await, upload().await, upload().await], [200, 200, 429], "by address, before login");
    // A registration with a photo counts as another upload from this address, one without does not.
    let photo = json!({"username": "bob", "password": PASSWORD, "photo": "AAAA"});
    let (status, _) = app.send(Method::POST, "/user", None, Some(photo)).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    app.person("bob").await;
    // After the login, the limit applies per user.
    let patch =
        async |body: Value| app.send(Method::PATCH, "/user/me", Some(&alice.access), Some(body)).await.0;
    let put =
        app.send(Method::PUT, "/user/me/photo", Some(&alice.access), Some(json!({"photo": "AAAA"}))).await;
    assert_eq!(put.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(patch(json!({"photo": "AAAA"})).await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(patch(json!({"photo": "AAAA"})).await, StatusCode::TOO_MANY_REQUESTS);
    let put =
        app.send(Method::PUT, "/user/me/photo", Some(&alice.access), Some(json!({"photo": "AAAA"}))).await;
    assert_eq!(put.0, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(patch(json!({"name": "no photo"})).await, StatusCode::OK);
}

#[harness::test]
async fn no_event_is_a_way_round_the_limit_of_another() {
    let app = limited(&[("RATE_SEND", "1/h:2"), ("RATE_UPLOAD", "1/h:2")]).await;
    let (alice, mut socket, group) = alone(&app).await;
    let bob = app.person("bob").await;
    // Creating an existing direct chat with a first message counts as a new message.
    let mut refused = Vec::new();
    for number in 0..4 {
        let first = json!({"content": format!("{number}"), "message_type": "text"});
        let wish = json!({"chat": {"is_group": false, "members_array": [bob.id]}, "message": first});
        refused.push(retry_after(&socket.call("create_chat", wish).await).is_some());
    }
    assert_eq!(refused, [false, false, true, true]);
    assert!(retry_after(&socket.call("send_message", wish(group, 0)).await).is_some());
    let wish = json!({"chat": {"is_group": false, "members_array": [bob.id]}});
    let chat = socket.call("create_chat", wish).await["chat"]["id"].as_i64().expect("without a message");
    assert_eq!(app.contents(chat, &alice).await, ["0", "1"], "what was refused has not happened");
    // A group's photo counts as an upload.
    let photo = json!({"chat": {"id": group, "photo": "AAAA"}});
    for _ in 0..2 {
        let ack = socket.call("update_chat", photo.clone()).await;
        assert_eq!(ack["error"]["code"], json!("validation_failed"), "{ack}");
    }
    assert!(retry_after(&socket.call("update_chat", photo).await).is_some());
    for fields in [json!({"id": group, "photo": null}), json!({"id": group, "name": "other"})] {
        assert_eq!(socket.call("update_chat", json!({"chat": fields})).await["ok"], json!(true));
    }
}

#[harness::test]
async fn tokens_are_exchanged_so_often_and_no_more_by_one_user() {
    let app = limited(&[]).await;
    let (alice, bob) = (app.person("alice").await, app.person("bob").await);
    let mut token = alice.refresh;
    let mut done = 0;
    let refused = loop {
        let (status, pair) =
            app.send(Method::POST, "/auth/refresh", None, Some(json!({"refresh_token": token}))).await;
        if status != StatusCode::OK {
            break (status.as_u16(), pair["code"].clone());
        }
        done += 1;
        assert!(done < 1_000, "without end");
        token = pair["refresh_token"].as_str().expect("the next one").to_owned();
    };
    assert_eq!(refused, (429, json!("rate_limited")));
    assert!(done >= 120, "{done}");
    // Mango's path uses the same bucket; another user has their own.
    let refresh =
        async |token: &str| app.send(Method::POST, "/user/refresh", Some(token), None).await.0.as_u16();
    assert_eq!(refresh(&bob.access).await, 200);
    // The bucket refills at two tokens per second.
    eventually("it is refused, too", async || refresh(&alice.access).await == 429).await;
}

#[harness::test]
async fn registering_again_and_again_fills_nobodys_mailbox() {
    let app = limited(&[("RATE_MAIL", "1/h:2"), ("EMAIL_VERIFICATION", "optional")]).await;
    let register = async |name: &str, email: &str| {
        let wish = json!({"username": name, "password": PASSWORD, "email": email});
        app.send(Method::POST, "/user", None, Some(wish)).await.0.as_u16()
    };
    // Requested mails, even for an address without an account, do not prevent a registration.
    for _ in 0..3 {
        app.send(Method::POST, "/auth/password/forgot", None, Some(json!({"email": "alice@example.org"})))
            .await;
    }
    for _ in 0..2 {
        // A refused registration causes no mail.
        let wish =
            json!({"username": "x", "password": PASSWORD, "email": "alice@example.org", "photo": "AAAA"});
        assert_eq!(app.send(Method::POST, "/user", None, Some(wish.clone())).await.0, 422);
        let mut broken = wish;
        broken["username"] = json!("alice");
        assert_eq!(app.send(Method::POST, "/user", None, Some(broken)).await.0, 422);
        assert_eq!(register("alice", "Alice@example.org").await, 201);
        assert_eq!(register("robot", "alice@example.org").await, 409);
        let alice = app.login("alice").await;
        let wish = json!({"password": PASSWORD});
        let (status, _) = app.send(Method::POST, "/user/me/delete", Some(&alice.access), Some(wish)).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
    }
    assert_eq!(register("alice", "alice@example.org").await, 429);
    assert_eq!(register("bob", "bob@example.org").await, 201, "another's address is not counted with it");
}

#[harness::test]
async fn mails_are_counted_by_address_and_by_account() {
    let app = limited(&[("RATE_MAIL", "1/h:2")]).await;
    let rates = &app.server.context.rates;
    let address = |text: &str| Some(text.parse().expect("an address"));
    for (from, account, fine) in [
        ("192.0.2.1", "alice@example.org", true),
        ("192.0.2.2", " Alice@Example.org", true),
        ("192.0.2.3", "alice@example.org", false),
        ("192.0.2.1", "bob@example.org", true),
        ("192.0.2.1", "carol@example.org", false),
        ("192.0.2.4", "nobody@example.org", true),
    ] {
        let taken = rates.take_mail(address(from), account).await;
        assert_eq!(taken.is_ok(), fine, "{from} {account}: {taken:?}");
    }
}

#[harness::test]
async fn prod_without_limits_warns_in_the_log() {
    for (switch, warns) in [("off", true), ("on", false)] {
        let folder = tempfile::tempdir().expect("a folder");
        let url = crate::support::fresh_database(&folder).await;
        let settings =
            [("MANGO_ENV", "prod"), ("JWT_SECRET", SECRET), ("DATABASE_URL", &url), ("RATE_LIMIT", switch)];
        let server = crate::binary::serve(&folder, &settings);
        let logs = std::fs::read_dir(folder.path().join("assets/logs")).expect("logs");
        let said: String =
            logs.map(|file| std::fs::read_to_string(file.expect("a file").path()).expect("text")).collect();
        assert_eq!(said.contains("RATE_LIMIT is off"), warns, "{said}");
        drop(server);
    }
}

#[harness::test]
async fn nothing_is_limited_where_limits_are_off() {
    let app = TestApp::with(&[("RATE_SEND", "1/h"), ("RATE_EVENT", "1/h"), ("RATE_LOGIN", "1/h")]).await;
    let (alice, mut socket, chat) = alone(&app).await;
    for number in 0..20 {
        assert_eq!(socket.call("send_message", wish(chat, number)).await["ok"], json!(true));
    }
    app.login("alice").await;
    assert_eq!(app.contents(chat, &alice).await.len(), 20);
}

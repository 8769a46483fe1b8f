//! Token buckets limit the rate of requests on every transport. Requests over a limit are rejected with the time after
//! which to retry, and requests within it are executed.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::limited;
use crate::support::{PASSWORD, Person, Plain, SECRET, Socket, TestApp, Transport, eventually};

fn message(chat: i64, number: usize) -> Value {
    json!({"message": {"chat_id": chat, "content": format!("{number}"), "message_type": "text"}})
}

/// Returns the milliseconds after which a rejected client may retry; `None` if the request was not rejected.
fn retry_after(ack: &Value) -> Option<u64> {
    if ack["ok"] == json!(true) {
        return None;
    }
    assert_eq!(ack["error"]["code"], json!("rate_limited"), "{ack}");
    let wait =
        ack["error"]["retry_after_ms"].as_u64().unwrap_or_else(|| panic!("{ack} has no retry_after_ms"));
    assert!(wait > 0, "{ack}");
    Some(wait)
}

/// Creates alice with a connection and a group of her own. Takes no tokens from the buckets that the tests limit.
async fn alice_in_a_group(app: &TestApp) -> (Person, Socket, i64) {
    let alice = app.person("alice").await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut socket, &[]).await;
    (alice, socket, chat)
}

#[harness::test]
async fn sends_over_the_rate_limit_are_rejected_with_a_retry_time_and_no_other_send_is_lost() {
    let app = limited(&[("RATE_SEND", "1/s:5")]).await;
    let (alice, mut socket, chat) = alice_in_a_group(&app).await;
    let mut acks = Vec::new();
    for number in 0..30 {
        acks.push(socket.begin("send_message", message(chat, number)).await);
    }

    let (mut accepted, mut rejected) = (Vec::new(), Vec::new());
    for (number, ack) in acks.into_iter().enumerate() {
        match retry_after(&socket.ack(ack).await) {
            None => accepted.push(number.to_string()),
            Some(wait) => rejected.push((number, wait)),
        }
    }

    assert!(
        (5..=15).contains(&accepted.len()),
        "a burst of five and the tokens of the elapsed time: {accepted:?}"
    );
    assert_eq!(
        app.contents(chat, &alice).await,
        accepted,
        "exactly the accepted messages are stored, in order"
    );

    // A retry after the given time succeeds.
    let (number, wait) = rejected[0];
    tokio::time::sleep(Duration::from_millis(wait + 50)).await;
    assert_eq!(socket.call("send_message", message(chat, number)).await["ok"], json!(true));

    // Other events have a separate bucket.
    assert_eq!(socket.call("history", json!({"chat": {"id": chat}})).await["ok"], json!(true));
}

#[harness::test]
async fn a_rate_limit_applies_per_user_across_all_transports() {
    let app = limited(&[("RATE_SEND", "1/min:4")]).await;
    let (alice, mut socket, chat) = alice_in_a_group(&app).await;
    let mut other = app.connect(&alice, Transport::ALL[3]).await;
    let (mut plain, _) = Plain::open(&app.host, "/ws", &alice.access).await.expect("opens");

    assert_eq!(retry_after(&socket.call("send_message", message(chat, 0)).await), None);
    assert_eq!(retry_after(&other.call("send_message", message(chat, 1)).await), None);
    assert_eq!(retry_after(&plain.call("send_message", message(chat, 2)).await), None);
    let path = "/events/send_message";
    let (status, _) = app.send(Method::POST, path, Some(&alice.access), Some(message(chat, 3))).await;
    assert_eq!(status, StatusCode::OK);

    for ack in [
        socket.call("send_message", message(chat, 4)).await,
        other.call("send_message", message(chat, 4)).await,
        plain.call("send_message", message(chat, 4)).await,
    ] {
        assert!(retry_after(&ack).is_some_and(|wait| wait > 30_000), "{ack}");
    }

    let response = app.raw(Method::POST, path, Some(&alice.access), Some(message(chat, 4))).await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    let seconds: u64 = response.headers()["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((30..=60).contains(&seconds), "{seconds}");
    let problem: Value = response.json().await.expect("a problem");
    assert_eq!((&problem["code"], &problem["status"]), (&json!("rate_limited"), &json!(429)));
    assert!(problem["request_id"].is_string(), "{problem}");

    // Without a callback the error is an `exception` event.
    socket.emit("send_message", message(chat, 5)).await;
    let exception = socket.next("exception").await;
    assert_eq!(exception["event"], json!("send_message"));
    assert!(retry_after(&exception).is_some());
    plain.emit("send_message", message(chat, 5)).await;
    assert!(retry_after(&plain.next("exception").await).is_some());

    // Other users are not affected.
    let bob = app.person("bob").await;
    let mut socket_of_bob = app.connect(&bob, Transport::MAIN).await;
    let group_of_bob = app.group(&mut socket_of_bob, &[]).await;
    assert_eq!(socket_of_bob.call("send_message", message(group_of_bob, 0)).await["ok"], json!(true));
    assert_eq!(app.contents(chat, &alice).await, ["0", "1", "2", "3"]);
}

#[harness::test]
async fn other_events_share_one_bucket_and_token_renewal_is_exempt() {
    let app = limited(&[("RATE_EVENT", "1/min:3")]).await;
    let (alice, mut socket, chat) = alice_in_a_group(&app).await;
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
        socket.call("send_message", message(chat, 0)).await["ok"],
        json!(true),
        "messages have a separate bucket"
    );

    // Tokens can still be refreshed, and replaced on the socket, so the session stays alive.
    let body = json!({"refresh_token": alice.refresh});
    let (status, pair) = app.send(Method::POST, "/auth/refresh", None, Some(body)).await;
    assert_eq!(status, StatusCode::OK, "{pair}");
    for _ in 0..5 {
        let renewed = socket.call("authenticate", json!({"token": pair["access_token"]})).await;
        assert!(renewed["expires_at"].is_string(), "{renewed}");
    }
}

#[harness::test]
async fn rest_writes_count_as_events_and_reads_do_not() {
    let app = limited(&[("RATE_EVENT", "1/min:3")]).await;
    let alice = app.person("alice").await;

    let mut statuses = Vec::new();
    for number in 0..5 {
        let body = json!({"name": format!("name {number}")});
        statuses.push(app.send(Method::PATCH, "/user/me", Some(&alice.access), Some(body)).await.0.as_u16());
    }

    assert_eq!(statuses, [200, 200, 200, 429, 429]);

    let (status, _) = app.send(Method::DELETE, "/auth/session/999", Some(&alice.access), None).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    let (status, _) = app.send(Method::POST, "/events/sync", Some(&alice.access), Some(json!({}))).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "events over REST use the same bucket");

    assert_eq!(app.get("/user/me", &alice).await["name"], json!("name 2"));
    let (status, _) = app.send(Method::POST, "/auth/logout", Some(&alice.access), None).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "a logout is not limited");
}

#[harness::test]
async fn registrations_per_ip_address_are_rate_limited() {
    let app = limited(&[("RATE_REGISTER", "3/h")]).await;
    let register = async |number: usize, path: &str| {
        let request = json!({"username": format!("robot{number}"), "password": PASSWORD});
        app.send(Method::POST, path, None, Some(request)).await
    };

    // Invalid registrations do not count.
    for _ in 0..5 {
        let (status, _) = app.send(Method::POST, "/user", None, Some(json!({"password": "short"}))).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    }

    let mut registered = 0;
    for number in 0..12 {
        let (status, body) = register(number, ["/user", "/user/create"][number % 2]).await;
        if status == StatusCode::CREATED {
            registered += 1;
        } else {
            assert_eq!((status.as_u16(), &body["code"]), (429, &json!("rate_limited")), "{body}");
        }
    }

    assert_eq!(registered, 3);
    let person = app.login("robot0").await;
    let found = app.get("/user?query=robot", &person).await;
    assert_eq!(
        found.as_array().expect("a list").len(),
        3,
        "a rejected registration creates no account: {found}"
    );
}

#[harness::test]
async fn uploads_have_a_separate_bucket() {
    let app = limited(&[("RATE_UPLOAD", "1/h:2"), ("RATE_EVENT", "50/s")]).await;
    let alice = app.person("alice").await;
    let upload = async || {
        let part = reqwest::multipart::Part::bytes(b"not a picture".to_vec()).file_name("a.png");
        let form = reqwest::multipart::Form::new().part("image", part);
        let url = format!("{}/user/photo_to_base64", app.url);
        app.http.post(url).multipart(form).send().await.expect("an answer").status().as_u16()
    };

    assert_eq!(
        [upload().await, upload().await, upload().await],
        [200, 200, 429],
        "before the login, the limit applies per IP address"
    );

    // A registration with a photo counts as an upload from this address; a registration without a photo does not.
    let photo = json!({"username": "bob", "password": PASSWORD, "photo": "AAAA"});
    let (status, _) = app.send(Method::POST, "/user", None, Some(photo)).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    app.person("bob").await;

    // After the login, the limit applies per user.
    let patch =
        async |body: Value| app.send(Method::PATCH, "/user/me", Some(&alice.access), Some(body)).await.0;
    let put =
        async |body: Value| app.send(Method::PUT, "/user/me/photo", Some(&alice.access), Some(body)).await.0;
    assert_eq!(put(json!({"photo": "AAAA"})).await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(patch(json!({"photo": "AAAA"})).await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(patch(json!({"photo": "AAAA"})).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(put(json!({"photo": "AAAA"})).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(patch(json!({"name": "no photo"})).await, StatusCode::OK);
}

#[harness::test]
async fn a_rate_limit_cannot_be_bypassed_with_another_event() {
    let app = limited(&[("RATE_SEND", "1/h:2"), ("RATE_UPLOAD", "1/h:2")]).await;
    let (alice, mut socket, group) = alice_in_a_group(&app).await;
    let bob = app.person("bob").await;

    // Creating an existing direct chat with a first message counts as a new message.
    let mut rejected = Vec::new();
    for number in 0..4 {
        let first = json!({"content": format!("{number}"), "message_type": "text"});
        let request = json!({"chat": {"is_group": false, "members_array": [bob.id]}, "message": first});
        rejected.push(retry_after(&socket.call("create_chat", request).await).is_some());
    }
    assert_eq!(rejected, [false, false, true, true]);
    assert!(retry_after(&socket.call("send_message", message(group, 0)).await).is_some());
    let request = json!({"chat": {"is_group": false, "members_array": [bob.id]}});
    let chat = socket.call("create_chat", request).await["chat"]["id"]
        .as_i64()
        .expect("a chat without a first message");
    assert_eq!(app.contents(chat, &alice).await, ["0", "1"], "a rejected request has no effect");

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
async fn token_refreshes_are_rate_limited_per_user() {
    let app = limited(&[]).await;
    let (alice, bob) = (app.person("alice").await, app.person("bob").await);
    let mut token = alice.refresh;

    let mut refreshes = 0;
    let rejected = loop {
        let (status, pair) =
            app.send(Method::POST, "/auth/refresh", None, Some(json!({"refresh_token": token}))).await;
        if status != StatusCode::OK {
            break (status.as_u16(), pair["code"].clone());
        }
        refreshes += 1;
        assert!(refreshes < 1_000, "the number of refreshes is not limited");
        token = pair["refresh_token"].as_str().expect("a refresh token").to_owned();
    };

    assert_eq!(rejected, (429, json!("rate_limited")));
    assert!(refreshes >= 120, "{refreshes}");

    // Mango's path uses the same bucket; every user has a separate one.
    let refresh =
        async |token: &str| app.send(Method::POST, "/user/refresh", Some(token), None).await.0.as_u16();
    assert_eq!(refresh(&bob.access).await, 200);
    // The bucket refills at two tokens per second.
    eventually("alice is rate limited on Mango's path too", async || refresh(&alice.access).await == 429)
        .await;
}

#[harness::test]
async fn registrations_that_send_mail_are_rate_limited_per_email_address() {
    let app = limited(&[("RATE_MAIL", "1/h:2"), ("EMAIL_VERIFICATION", "optional")]).await;
    let register = async |name: &str, email: &str| {
        let request = json!({"username": name, "password": PASSWORD, "email": email});
        app.send(Method::POST, "/user", None, Some(request)).await.0.as_u16()
    };

    // Mails that a user requests, even for an address without an account, do not count against registrations.
    for _ in 0..3 {
        app.send(Method::POST, "/auth/password/forgot", None, Some(json!({"email": "alice@example.org"})))
            .await;
    }

    for _ in 0..2 {
        // An invalid registration sends no mail, so it does not count.
        let request =
            json!({"username": "x", "password": PASSWORD, "email": "alice@example.org", "photo": "AAAA"});
        assert_eq!(app.send(Method::POST, "/user", None, Some(request.clone())).await.0, 422);
        let mut invalid = request;
        invalid["username"] = json!("alice");
        assert_eq!(app.send(Method::POST, "/user", None, Some(invalid)).await.0, 422);
        assert_eq!(register("alice", "Alice@example.org").await, 201);
        assert_eq!(register("robot", "alice@example.org").await, 409);
        let alice = app.login("alice").await;
        let request = json!({"password": PASSWORD});
        let (status, _) = app.send(Method::POST, "/user/me/delete", Some(&alice.access), Some(request)).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
    }

    assert_eq!(register("alice", "alice@example.org").await, 429);
    assert_eq!(register("bob", "bob@example.org").await, 201, "every address has a separate bucket");
}

#[harness::test]
async fn mail_requests_are_rate_limited_per_ip_address_and_per_account() {
    let app = limited(&[("RATE_MAIL", "1/h:2")]).await;
    let rates = &app.server.context.rates;
    let ip_address = |text: &str| Some(text.parse().expect("an address"));

    for (from, account, accepted) in [
        ("192.0.2.1", "alice@example.org", true),
        ("192.0.2.2", " Alice@Example.org", true),
        ("192.0.2.3", "alice@example.org", false),
        ("192.0.2.1", "bob@example.org", true),
        ("192.0.2.1", "carol@example.org", false),
        ("192.0.2.4", "nobody@example.org", true),
    ] {
        let result = rates.take_mail(ip_address(from), account).await;
        assert_eq!(result.is_ok(), accepted, "{from} {account}: {result:?}");
    }
}

#[harness::test]
async fn disabled_rate_limits_in_production_are_logged_as_a_warning() {
    for (switch, warns) in [("off", true), ("on", false)] {
        let folder = tempfile::tempdir().expect("a folder");
        let url = crate::support::fresh_database(&folder).await;
        let settings =
            [("MANGO_ENV", "prod"), ("JWT_SECRET", SECRET), ("DATABASE_URL", &url), ("RATE_LIMIT", switch)];
        let server = crate::binary::serve(&folder, &settings);
        let files = std::fs::read_dir(folder.path().join("assets/logs")).expect("logs");
        let text: String =
            files.map(|file| std::fs::read_to_string(file.expect("a file").path()).expect("text")).collect();

        assert_eq!(text.contains("RATE_LIMIT is off"), warns, "{text}");
        drop(server);
    }
}

#[harness::test]
async fn no_limit_applies_when_rate_limits_are_disabled() {
    let app = TestApp::with(&[("RATE_SEND", "1/h"), ("RATE_EVENT", "1/h"), ("RATE_LOGIN", "1/h")]).await;
    let (alice, mut socket, chat) = alice_in_a_group(&app).await;

    for number in 0..20 {
        assert_eq!(socket.call("send_message", message(chat, number)).await["ok"], json!(true));
    }
    app.login("alice").await;
    assert_eq!(app.contents(chat, &alice).await.len(), 20);
}

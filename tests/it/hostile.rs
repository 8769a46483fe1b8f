//! Input and clients that are malicious or broken.

use std::time::Duration;

use proptest::prelude::*;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Socket, TestApp, Transport, eventually};

/// Sends a request exactly as given and returns everything received until the server closed.
async fn bare(app: &TestApp, request: &str) -> String {
    let mut stream = TcpStream::connect(&app.host).await.expect("connects");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("answered");
    String::from_utf8_lossy(&answer).into_owned()
}

#[harness::test]
async fn static_paths_cannot_leave_their_folder() {
    let app = TestApp::start().await;
    std::fs::write(app.folder.path().join("storage/secret.jpeg"), "secret").expect("written");
    for path in [
        "/static/../secret.jpeg",
        "/static/../../mango.db",
        "/static/..%2f/original.jpeg",
        "/static/%2e%2e/secret.jpeg",
        "/static/..%2f..%2fmango.db/original.jpeg",
        "/static/a/..%2f..%2fsecret.jpeg",
        "/static/a%00/original.jpeg",
        "/static//original.jpeg",
        "/static/mango-01/original.png",
        "/static/mango-01/..%2fmango-02%2foriginal.jpeg",
        "/static/mango-01/",
        "/static/MANGO-01/original.jpeg",
    ] {
        let answer =
            bare(&app, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 404") || answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
        assert!(!answer.contains("secret\n") && !answer.contains("SQLite"), "{path}");
    }
    let fine = app.raw(Method::GET, "/static/mango-01/original.jpg", None, None).await;
    assert_eq!(
        (fine.status().as_u16(), fine.headers()["content-type"].to_str().expect("text")),
        (200, "image/jpeg")
    );
}

#[harness::test]
async fn two_concurrent_registrations_with_one_phone_number_create_one_account() {
    let app = TestApp::start().await;
    for field in ["phone", "email", "username"] {
        let values = match field {
            "phone" => ["+7 912 000", "+7912-000"],
            "email" => ["A@example.org", "a@Example.org"],
            _ => ["Twin", "twin"],
        };
        let requests = values.iter().cycle().take(6).map(|value| {
            let mut payload = json!({"password": "correct horse"});
            payload[field] = json!(value);
            app.send(Method::POST, "/user", None, Some(payload))
        });
        let answers = futures_util::future::join_all(requests).await;
        let made = answers.iter().filter(|(status, _)| *status == 201).count();
        assert_eq!(made, 1, "{answers:?}");
        for (status, body) in answers.iter().filter(|(status, _)| *status != 201) {
            assert_eq!((status.as_u16(), &body["code"]), (409, &json!(format!("{field}_taken"))), "{body}");
            assert!(body["errors"][field].is_array(), "{body}");
        }
    }
}

#[harness::test]
async fn invalid_request_bodies_are_answered_with_a_problem() {
    let app = TestApp::start().await;
    let send = async |path: &str, kind: &str, body: Vec<u8>| {
        let answer =
            app.http.post(format!("{}{path}", app.url)).header("content-type", kind).body(body).send().await;
        let answer = answer.expect("an answer");
        let (status, kind) = (answer.status().as_u16(), answer.headers()["content-type"].clone());
        (status, kind.to_str().expect("text").to_owned(), answer.json::<Value>().await.expect("a problem"))
    };
    for (body, field) in [
        (&b""[..], "payload"),
        (b"{", "payload"),
        (b"[]", "payload"),
        (b"\xff\xfe", "payload"),
        (b"{\"password\":1}", "password"),
        (b"{\"username\":\"alice\"}", "password"),
        (b"{\"password\":\"12345678\"}", "phone"),
        (b"{\"password\":\"1234567\",\"username\":\"alice\"}", "password"),
        (b"{\"password\":\"12345678\",\"username\":\"no spaces\"}", "username"),
        (b"{\"password\":\"12345678\",\"email\":\"a@b\\r\\nBcc: c@d.e\"}", "email"),
        (b"{\"password\":\"12345678\",\"username\":\"alice\",\"photo\":\"!!!\"}", "photo"),
        (b"{\"password\":\"12345678\",\"username\":\"alice\",\"photo\":\"aGVsbG8gd29ybGQ=\"}", "photo"),
        (b"{\"password\":\"12345678\",\"username\":\"alice\",\"name\":\"a\\u0000b\"}", "name"),
    ] {
        let (status, kind, problem) = send("/user", "application/json", body.to_vec()).await;
        assert_eq!((status, kind.as_str()), (422, "application/problem+json"), "{problem}");
        assert!(problem["errors"][field].is_array(), "{field}: {problem}");
        assert!(problem["request_id"].is_string() && problem["detail"].is_string(), "{problem}");
    }
    let huge = vec![b'x'; 12 * 1_024 * 1_024];
    let (status, _, problem) = send("/user", "application/json", huge).await;
    assert_eq!((status, &problem["code"]), (413, &json!("too_large")));
    let (status, _, problem) = send("/user/photo_to_base64", "text/plain", b"x".to_vec()).await;
    assert_eq!((status, problem["errors"]["image"].is_array()), (422, true), "{problem}");
    let (status, problem) = app.send(Method::GET, "/nowhere", None, None).await;
    assert_eq!((status.as_u16(), &problem["code"]), (404, &json!("not_found")));
    let (status, problem) = app.send(Method::PATCH, "/auth/login", None, None).await;
    assert_eq!((status.as_u16(), &problem["code"]), (405, &json!("method_not_allowed")));
    let found = app.send(
        Method::POST,
        "/auth/login",
        None,
        Some(json!({"username": "alice", "password": "12345678"})),
    );
    assert_eq!(found.await.0, 401, "nobody was made by any of it");
}

#[harness::test]
async fn too_long_content_is_rejected_and_a_too_long_frame_ends_the_connection() {
    let app = TestApp::with(&[("MAX_MESSAGE_BYTES", "1000"), ("MAX_FRAME_BYTES", "5000")]).await;
    let (alice, bob, _) = app.three().await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut socket, &[&bob]).await;
    let sized = |bytes: usize| json!({"message": {"chat_id": chat, "content": "x".repeat(bytes), "message_type": "text"}});
    assert_eq!(socket.call("send_message", sized(1_000)).await["ok"], json!(true));
    let refused = socket.call("send_message", sized(1_001)).await;
    assert_eq!(refused["error"]["code"], json!("too_large"));
    assert!(refused["error"]["errors"]["message.content"].is_array(), "{refused}");
    assert_eq!(socket.call("send_message", sized(999)).await["ok"], json!(true));
    socket.emit("send_message", sized(6_000)).await;
    socket.expect_end(Duration::from_secs(5)).await;
    assert!(!socket.dismissed, "the transport closes, the client may come back");
    assert_eq!(app.contents(chat, &bob).await.len(), 2);
    // Polling has the same limit.
    let handshake = app.http.get(format!("{}/socket.io/?EIO=4&transport=polling", app.url)).send().await;
    let open = handshake.expect("an answer").text().await.expect("text");
    let open: Value = serde_json::from_str(open.trim_start_matches('0')).expect("JSON");
    assert_eq!(open["maxPayload"], json!(5_000));
    let url = format!(
        "{}/socket.io/?EIO=4&transport=polling&sid={}",
        app.url,
        open["sid"].as_str().expect("a sid")
    );
    let answer = app.http.post(url).body("4".repeat(6_000)).send().await.expect("an answer");
    assert!(answer.status().is_client_error(), "{}", answer.status());
}

#[harness::test]
async fn a_client_that_stops_reading_is_disconnected_and_others_miss_no_message() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let mut sender = app.connect(&alice, Transport::MAIN).await;
    let mut listener = app.connect(&bob, Transport::MAIN).await;
    // It never reads again and does not close.
    let stalled = app.connect(&carol, Transport::ALL[1]).await;
    let chat = app.group(&mut sender, &[&bob, &carol]).await;
    let path = format!("/user/{}", carol.id);
    assert_eq!(app.get(&path, &alice).await["online"], json!(true));
    let content = "x".repeat(60_000);
    for number in 0..500 {
        let payload = json!({"message": {"chat_id": chat, "content": content, "message_type": "text"}});
        let ack = sender.call("send_message", payload).await;
        assert_eq!(ack["ok"], json!(true), "{number}");
        let heard = listener.next("new_message").await;
        assert_eq!(heard["rev"], ack["rev"]);
    }
    eventually("the stalled reader is gone", async || app.get(&path, &alice).await["online"] == json!(false))
        .await;
    drop(stalled);
    // After a reconnect, everything is there.
    assert_eq!(app.contents(chat, &carol).await.len(), 500);
}

#[harness::test]
async fn malformed_packets_do_not_affect_other_connections() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut bystander = app.connect(&bob, Transport::MAIN).await;
    let chat = app.group(&mut bystander, &[&alice]).await;
    bystander.next("chat_created").await;
    for packet in [
        "",
        "4",
        "42",
        "42[",
        "42[]",
        "42{}",
        "42[1]",
        "42[null,{}]",
        "42[\"send_message\"",
        "421[]",
        "429999999999999999999[\"x\"]",
        "43[]",
        "440",
        "45",
        "451-[\"x\",{\"_placeholder\":true,\"num\":0}]",
        "4599999-[\"x\"]",
        "40",
        "40/nowhere,",
        "41",
        "9",
        "b",
        "6",
        "5",
        "42/ws,[\"send_message\",{}]",
        "42\u{0}",
        "42[\"\\ud800\",{}]",
    ] {
        let Ok(mut socket) = Socket::open(&app.host, Some(&alice.access), Transport::MAIN).await else {
            panic!("the server is gone after an earlier packet")
        };
        socket.send_raw(packet).await;
        // It may be answered, ignored, or end the connection, but the server keeps running.
        drop(socket);
    }
    assert_eq!(bystander.call("history", json!({"chat": {"id": chat}})).await["ok"], json!(true));
    bystander.expect_silence().await;
}

#[harness::test]
async fn a_binary_event_is_answered_with_a_clear_error() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut socket, &[&bob]).await;
    for content in [
        json!("data:image/png;base64,A?"),
        json!({"_placeholder": true, "num": 0}),
        json!({"a": 1}),
        json!(5),
    ] {
        let payload = json!({"message": {"chat_id": chat, "content": content, "message_type": "binary"}});
        let ack = socket.call("send_message", payload).await;
        assert!(ack["error"]["errors"]["message.content"].is_array(), "{ack}");
    }
    assert!(app.contents(chat, &bob).await.is_empty());
}

/// Generates JSON of any shape that contains field names of commands.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        (0..4_i64).prop_map(Value::from),
        Just(json!("text")),
    ];
    let name = prop_oneof![
        Just("chat".to_owned()),
        Just("message".to_owned()),
        Just("id".to_owned()),
        Just("user".to_owned()),
        Just("chat_id".to_owned()),
        Just("content".to_owned()),
        Just("message_type".to_owned()),
        Just("members_array".to_owned()),
        Just("is_group".to_owned()),
        Just("name".to_owned()),
        Just("client_id".to_owned()),
        Just("reply_to".to_owned()),
        Just("before".to_owned()),
        Just("limit".to_owned()),
        Just("liked".to_owned()),
        Just("pinned".to_owned()),
        ".{0,8}",
    ];
    leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(name.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

#[test]
fn every_payload_gets_exactly_one_response_and_no_panic() {
    use mango_chat::protocol::catalogue::COMMANDS;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let (app, socket) = runtime.block_on(async {
        let app = TestApp::start().await;
        let (alice, bob, _) = app.three().await;
        let mut socket = app.connect(&alice, Transport::MAIN).await;
        app.group(&mut socket, &[&bob]).await;
        (app, std::cell::RefCell::new(socket))
    });
    let commands: Vec<&str> = COMMANDS.iter().map(|it| it.name).chain(["", "nothing"]).collect();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 600,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&(prop::sample::select(commands), any_json()), |(command, payload)| {
            let ack = runtime.block_on(socket.borrow_mut().call(command, payload.clone()));
            let ok = ack["ok"] == json!(true);
            prop_assert!(ok || ack["error"]["code"].is_string(), "{command} {payload}: {ack}");
            prop_assert_ne!(&ack["error"]["code"], &json!("internal"), "{} {}: {}", command, payload, ack);
            Ok(())
        })
        .expect("every payload is answered");
    drop(app);
}

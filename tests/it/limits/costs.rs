//! One client can use only a limited share of the server's memory, response bandwidth and write capacity. Every test
//! exceeds one limit, and checks that clients within the limit are not affected.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::limited;
use crate::support::{Person, Plain, Polling, Socket, TestApp, Transport};

const ENGINE: &str = "/socket.io/?EIO=4&transport=websocket";

fn error_code(ack: &Value) -> &str {
    ack["error"]["code"].as_str().unwrap_or("none")
}

async fn call_ok(socket: &mut Socket, event: &str, payload: Value) -> Value {
    let ack = socket.call(event, payload).await;
    assert_eq!(ack["ok"], json!(true), "{event}: {ack}");
    ack
}

#[harness::test]
async fn an_unauthenticated_polling_client_can_send_few_packets_and_bytes() {
    let app = limited(&[]).await;
    let alice = app.person("alice").await;
    let connects = |count: usize| vec![r#"40{"token":"x"}"#; count].join("\u{1e}");
    let polling = Polling::open(&app, "invalid").await;
    assert_eq!(polling.post(&connects(9)).await, 400, "more packets than a client needs to connect");
    assert_eq!(polling.get().await.0, 400, "the session has ended");

    let polling = Polling::open(&app, "invalid").await;
    assert_eq!(polling.post(&"4".repeat(70_000)).await, 400, "more bytes than a token needs");
    assert_eq!(polling.get().await.0, 400);

    // The limits apply before authentication only.
    let polling = Polling::connect(&app, &alice.access).await;
    let events: Vec<String> = (0..200).map(|number| format!(r#"42{number}["sync",{{"only":[]}}]"#)).collect();
    assert_eq!(polling.post(&events.join("\u{1e}")).await, 200);
    assert_eq!(polling.post(&connects(9)).await, 400, "the number of CONNECT packets is limited");
}

#[harness::test]
async fn an_unauthenticated_websocket_can_send_few_bytes() {
    let app = limited(&[]).await;
    for (path, frame) in [(ENGINE, Message::text("4")), ("/ws", Message::text("x"))] {
        let mut socket = Plain::upgrade(&app.host, path, &[]).await.expect("opens");
        // A frame that never ends is counted while it arrives.
        let padding = " ".repeat(100_000);
        socket.send_message(Message::text(format!("{frame}{padding}"))).await;
        socket.drain_until_end(Duration::from_secs(5)).await;
    }
}

#[harness::test]
async fn a_session_ends_after_repeated_failed_authentication() {
    let app = limited(&[]).await;
    let mut socket = Plain::upgrade(&app.host, ENGINE, &[]).await.expect("opens");

    // One at a time: socketioxide ignores a CONNECT that arrives while it handles another one.
    for _ in 0..3 {
        socket.send_raw(r#"40{"token":"x"}"#).await;
        assert!(socket.hears("44").await);
    }
    socket.send_raw(r#"40{"token":"x"}"#).await;
    socket.drain_until_end(Duration::from_secs(5)).await;
}

#[harness::test]
async fn a_session_ends_after_repeated_connects_to_unknown_namespaces() {
    let app = limited(&[]).await;
    if !app.server.context.settings.sockets.fast_path {
        return;
    }
    let alice = app.person("alice").await;
    let headers = [("auth", alice.access.as_str())];
    for names in [vec!["/a".to_owned(); 4], vec![format!("/{}", "a".repeat(1_000))]] {
        let mut socket = Plain::upgrade(&app.host, ENGINE, &headers).await.expect("opens");
        socket.send_raw("40").await;
        assert!(socket.hears("40").await);
        for name in names {
            socket.send_raw(&format!("40{name},")).await;
        }
        socket.drain_until_end(Duration::from_secs(5)).await;
    }
}

#[harness::test]
async fn events_that_arrive_with_the_connect_packet_are_answered() {
    let app = limited(&[]).await;
    if !app.server.context.settings.sockets.fast_path {
        return;
    }
    let alice = app.person("alice").await;
    let connect = format!("40{}", json!({"token": alice.access}));
    let mut socket = Plain::upgrade(&app.host, ENGINE, &[]).await.expect("opens");
    socket.send_raw(&connect).await;
    socket.send_raw(r#"421["sync",{}]"#).await;
    assert!(socket.hears("431[{\"ok\":true").await);

    let polling = Polling::open(&app, "").await;
    assert_eq!(polling.post(&format!("{connect}\x1e421[\"sync\",{{}}]")).await, 200);
    let mut heard = String::new();
    while !heard.contains("431[{\"ok\":true") {
        let (status, packets) = polling.get().await;
        assert_eq!(status, 200, "{heard}");
        heard += &packets;
    }
}

#[harness::test]
async fn refusals_count_even_if_the_client_leaves_before_them() {
    let app = limited(&[]).await;
    if !app.server.context.settings.sockets.fast_path {
        return;
    }
    let mut socket = Plain::upgrade(&app.host, ENGINE, &[]).await.expect("opens");
    for _ in 0..4 {
        socket.send_raw(r#"40{"token":"x"}"#).await;
        socket.send_raw("41").await;
    }
    socket.drain_until_end(Duration::from_secs(5)).await;
}

#[harness::test]
async fn binary_attachments_of_an_event_are_limited_in_number_and_total_size() {
    let app = limited(&[("MAX_FRAME_BYTES", "100000")]).await;
    let alice = app.person("alice").await;
    let headers = [("auth", alice.access.as_str())];
    let open = async || {
        let mut socket = Plain::upgrade(&app.host, ENGINE, &headers).await.expect("opens");
        socket.send_raw("40").await;
        assert!(socket.hears("40").await);
        socket
    };

    let mut socket = open().await;
    socket.send_raw(r#"565-["x",{}]"#).await;
    socket.drain_until_end(Duration::from_secs(5)).await;

    let mut socket = open().await;
    socket.send_raw(r#"510-["x",{}]"#).await;
    for _ in 0..9 {
        socket.send_message(Message::binary(vec![0; 20_000])).await;
    }
    socket.drain_until_end(Duration::from_secs(5)).await;
}

#[harness::test]
async fn requests_with_an_unknown_session_id_are_rejected_immediately() {
    let app = limited(&[]).await;
    let unknown = "sid=AAAAAAAAAAAAAAAAAAAAAA";
    let upgrade = format!("{ENGINE}&{unknown}");

    assert_eq!(Plain::upgrade(&app.host, &upgrade, &[]).await.err(), Some(400));
    let path = format!("/socket.io/?EIO=4&transport=polling&{unknown}");
    for method in [Method::GET, Method::POST] {
        let response = app.raw(method, &path, None, None).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        let body: Value = response.json().await.expect("JSON");
        assert_eq!(body["code"], json!(1), "{body}");
    }
}

#[harness::test]
async fn connections_per_user_and_per_address_are_limited() {
    let app = limited(&[("MAX_SOCKETS_PER_USER", "3"), ("MAX_SOCKETS_PER_ADDRESS", "4")]).await;
    let (alice, bob, _) = app.three().await;
    let mut first = app.connect(&alice, Transport::MAIN).await;
    let second = app.connect(&alice, Transport::ALL[1]).await;
    let (third, _) = Plain::open(&app.host, "/ws", &alice.access).await.expect("opens");

    for transport in Transport::ALL {
        // The error is not `unauthorized`, so that unmodified clients retry.
        let rejected = Socket::open(&app.host, Some(&alice.access), transport).await.err();
        assert!(rejected.as_ref().is_some_and(|it| !it.contains("unauthorized")), "{rejected:?}");
    }
    let (rejected, close) = Plain::open(&app.host, "/ws", &alice.access).await.err().expect("rejected");
    assert_eq!((error_code(&rejected), close), ("rate_limited", 1013), "{rejected}");

    let connection_of_bob = app.connect(&bob, Transport::MAIN).await;
    let rejected = Socket::open(&app.host, Some(&bob.access), Transport::MAIN).await.err();
    assert!(
        rejected.is_some_and(|it| !it.contains("unauthorized")),
        "the address has four connections already"
    );

    // Open connections are not affected, and a closed connection makes room for a new one.
    call_ok(&mut first, "sync", json!({})).await;
    drop((second, third, connection_of_bob));
    let can_connect = async || Socket::open(&app.host, Some(&alice.access), Transport::MAIN).await.is_ok();
    crate::support::eventually("a closed connection makes room", can_connect).await;
}

/// Creates a group of alice with `count` messages whose JSON is long.
async fn long_messages(app: &TestApp, alice: &Person, count: usize) -> i64 {
    let mut socket = app.connect(alice, Transport::MAIN).await;
    let chat = app.group(&mut socket, &[]).await;
    for number in 0..count {
        let content = format!("{number} {}", "\u{1}".repeat(60_000));
        let message = json!({"chat_id": chat, "content": content, "message_type": "text"});
        call_ok(&mut socket, "send_message", json!({ "message": message })).await;
    }
    chat
}

/// Returns the body of a page, and the path of the next page.
async fn get_page(app: &TestApp, user: &Person, path: &str) -> (String, Option<String>) {
    let response = app.raw(Method::GET, path, Some(&user.access), None).await;
    let link = response.headers().get("link").map(|it| it.to_str().expect("text").to_owned());
    let next = link.and_then(|it| it.strip_prefix('<')?.split_once('>').map(|(path, _)| path.to_owned()));
    (response.text().await.expect("text"), next)
}

/// Returns the numbers of messages that `long_messages` sent.
fn numbers(messages: &Value) -> Vec<usize> {
    let number = |it: &Value| it["content"].as_str()?.split(' ').next()?.parse().ok();
    messages.as_array().expect("a list").iter().filter_map(number).collect()
}

#[harness::test]
async fn a_page_of_messages_is_at_most_a_megabyte_and_all_pages_together_are_complete() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let chat = long_messages(&app, &alice, 12).await;
    let newest_first: Vec<usize> = (0..12).rev().collect();

    // History over REST, in both directions.
    for (start, expected) in [("", newest_first.clone()), ("after=0&", (0..12).collect())] {
        let mut next = Some(format!("/chat/{chat}/messages?{start}limit=200"));
        let mut found = Vec::new();
        while let Some(path) = next {
            let (text, link) = get_page(&app, &alice, &path).await;
            assert!(text.len() < 1_000_000, "{}", text.len());
            let mut page = numbers(&serde_json::from_str(&text).expect("JSON"));
            if start.is_empty() {
                found.extend(page);
            } else {
                page.reverse();
                found.extend(page);
            }
            next = link;
        }
        assert_eq!(found, expected);
    }

    // History and `sync` over a socket.
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let (mut found, mut before) = (Vec::new(), Value::Null);
    loop {
        let page =
            call_ok(&mut socket, "history", json!({"chat": {"id": chat}, "before": before, "limit": 200}))
                .await;
        assert!(page.to_string().len() < 1_000_000);
        found.extend(numbers(&page["messages"]));
        if page["has_more"] == json!(false) {
            break;
        }
        before = page["messages"].as_array().and_then(|it| it.last()).expect("a message")["seq"].clone();
    }
    assert_eq!(found, newest_first);

    let around =
        call_ok(&mut socket, "history", json!({"chat": {"id": chat}, "around": 7, "limit": 200})).await;
    assert!(
        around.to_string().len() < 1_000_000 && numbers(&around["messages"]).len() >= 2,
        "messages before and after the seventh"
    );

    let (mut found, mut since) = (Vec::new(), json!({chat.to_string(): 1}));
    loop {
        let page = call_ok(&mut socket, "sync", json!({"since": since, "limit": 500})).await;
        assert!(page.to_string().len() < 1_000_000);
        found.extend(numbers(&page["messages"]));
        since[chat.to_string()] = page["revs"][chat.to_string()].clone();
        if page["has_more"] == json!(false) {
            break;
        }
    }
    found.sort_unstable();
    assert_eq!(found, (0..12).collect::<Vec<_>>());

    // The list that Mango's clients use is not paged; the server streams it.
    let list = app.get(&format!("/message/{chat}"), &alice).await;
    assert_eq!(numbers(&list), newest_first);
    let empty = app.group(&mut socket, &[]).await;
    assert_eq!(app.get(&format!("/message/{empty}"), &alice).await, json!([]));
}

#[harness::test]
async fn a_page_of_chats_is_limited_to_a_megabyte() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let mut chats = Vec::new();
    for _ in 0..6 {
        chats.push(long_messages(&app, &alice, 1).await);
    }

    let (mut found, mut pages) = (Vec::new(), 0);
    let mut next = Some("/chat?limit=200".to_owned());
    while let Some(path) = next {
        let (text, link) = get_page(&app, &alice, &path).await;
        assert!(text.len() < 1_100_000, "{}", text.len());
        let page: Value = serde_json::from_str(&text).expect("JSON");
        found.extend(page.as_array().expect("a list").iter().filter_map(|it| it["id"].as_i64()));
        pages += 1;
        next = link;
    }

    chats.reverse();
    assert_eq!((found, pages), (chats, 3));
}

#[harness::test]
async fn a_client_that_reads_responses_slowly_delays_only_its_own_requests() {
    let app = limited(&[]).await;
    let (alice, bob, _) = app.three().await;
    let chat = long_messages(&app, &alice, 30).await;

    // The responses exceed all buffers between server and client, so they stay in progress.
    let mut slow_streams = Vec::new();
    for _ in 0..8 {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4_096).expect("a small buffer");
        let mut stream = socket.connect(app.host.parse().expect("an address")).await.expect("connects");
        let request = format!(
            "GET /message/{chat} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\r\n",
            app.host, alice.access
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        slow_streams.push(stream);
    }

    for stream in &mut slow_streams {
        let mut start = [0; 15];
        stream.read_exact(&mut start).await.expect("a response");
        assert_eq!(&start, b"HTTP/1.1 200 OK");
    }

    let blocked = app.raw(Method::GET, "/chat", Some(&alice.access), None);
    assert!(timeout(Duration::from_secs(1), blocked).await.is_err(), "alice has eight responses in progress");
    let started = Instant::now();
    assert_eq!(app.raw(Method::GET, "/chat", Some(&bob.access), None).await.status(), 200);
    assert!(started.elapsed() < Duration::from_secs(1));

    let waiting = app.raw(Method::GET, "/chat", Some(&alice.access), None);
    drop(slow_streams.pop());
    assert_eq!(waiting.await.status(), 200, "one response has ended");
}

#[harness::test]
async fn reads_are_rate_limited_and_responses_have_a_content_length() {
    let app = limited(&[("RATE_READ", "1/s:20")]).await;
    let alice = app.person("alice").await;
    let reads = (0..30).map(|_| app.raw(Method::GET, "/user/me", Some(&alice.access), None));

    let responses = join_all(reads).await;

    let accepted: Vec<_> = responses.iter().filter(|it| it.status() == 200).collect();
    assert!((15..=25).contains(&accepted.len()), "{}", accepted.len());
    assert!(accepted.iter().all(|it| it.headers().contains_key("content-length")));
    assert!(responses.iter().any(|it| it.status() == 429 && it.headers().contains_key("retry-after")));
}

#[harness::test]
async fn creating_a_group_takes_rate_limit_tokens_per_member() {
    let app = limited(&[]).await;
    let (alice, bob, carol) = app.three().await;
    let mut alices = app.connect(&alice, Transport::MAIN).await;
    let many: Vec<i64> = (1_000_000..1_006_000).collect();
    let request = json!({"chat": {"name": "all", "is_group": true, "members_array": many}});

    assert_eq!(
        error_code(&alices.call("create_chat", request.clone()).await),
        "validation_failed",
        "these users do not exist"
    );
    let rejected = alices.call("create_chat", request.clone()).await;
    assert_eq!(error_code(&rejected), "rate_limited", "{rejected}");
    assert!(rejected["error"]["retry_after_ms"].as_i64().is_some_and(|it| it > 1_000), "{rejected}");

    // The remaining tokens suffice for a small group, and every user has a separate bucket.
    app.group(&mut alices, &[&carol]).await;
    let mut bobs = app.connect(&bob, Transport::MAIN).await;
    assert_eq!(error_code(&bobs.call("create_chat", request).await), "validation_failed");
}

#[harness::test]
async fn changes_to_a_chat_are_rate_limited() {
    let app = limited(&[]).await;
    let alice = app.person("alice").await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut socket, &[]).await;

    let mut rejected = 0;
    for number in 0..40 {
        let request = json!({"chat": {"id": chat, "name": format!("name {number}")}});
        match error_code(&socket.call("update_chat", request).await) {
            "none" => {}
            "rate_limited" => rejected += 1,
            other => panic!("{other}"),
        }
    }

    assert!((10..=20).contains(&rejected), "{rejected}");
}

#[harness::test]
async fn a_long_url_is_rejected_and_a_long_value_is_not_echoed() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let response = app.raw(Method::GET, &format!("/{}", "a".repeat(9_000)), None, None).await;
    assert_eq!(response.status(), 414);
    let problem: Value = response.json().await.expect("JSON");
    assert_eq!(problem["code"], json!("uri_too_long"), "{problem}");

    let long = "x".repeat(200_000);
    for payload in
        [json!({"chat": {"id": long}}), json!({"chat": long}), json!({"since": {long.clone(): "x"}})]
    {
        for event in ["history", "sync"] {
            let url = format!("/events/{event}");
            let response = app.raw(Method::POST, &url, Some(&alice.access), Some(payload.clone())).await;
            assert!(response.text().await.expect("text").len() < 2_000);
        }
    }
}

#[harness::test]
async fn a_request_body_that_arrives_after_the_session_ended_has_no_effect() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut socket, &[]).await;
    let message =
        json!({"message": {"chat_id": chat, "content": "late", "message_type": "text"}}).to_string();
    let name = json!({"name": "Late"}).to_string();
    let mut pending = Vec::new();
    for (method, path, body) in [("POST", "/events/send_message", &message), ("PATCH", "/user/me", &name)] {
        let mut stream = TcpStream::connect(&app.host).await.expect("connects");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            app.host,
            alice.access,
            body.len()
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        stream.write_all(&body.as_bytes()[..5]).await.expect("sent");
        pending.push((stream, body));
    }

    sleep(Duration::from_millis(300)).await;
    assert_eq!(app.raw(Method::POST, "/auth/logout", Some(&alice.access), None).await.status(), 204);
    for (mut stream, body) in pending {
        stream.write_all(&body.as_bytes()[5..]).await.expect("sent");
        let mut response = String::new();
        stream.read_to_string(&mut response).await.expect("text");
        assert!(response.starts_with("HTTP/1.1 401") && response.contains("session_ended"), "{response}");
    }

    let alice = app.login("alice").await;
    assert_eq!(app.get(&format!("/chat/{chat}/messages"), &alice).await, json!([]));
    assert_ne!(app.get("/user/me", &alice).await["name"], json!("Late"));
}

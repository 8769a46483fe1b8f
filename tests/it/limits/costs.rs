//! What one client may cost: memory before and after authentication, responses, and work for the single writer. Every
//! limit is exceeded once, and clients within it are not affected.

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

fn code(ack: &Value) -> &str {
    ack["error"]["code"].as_str().unwrap_or("none")
}

async fn done(socket: &mut Socket, event: &str, payload: Value) -> Value {
    let ack = socket.call(event, payload).await;
    assert_eq!(ack["ok"], json!(true), "{event}: {ack}");
    ack
}

#[harness::test]
async fn a_polling_client_that_has_not_authenticated_may_send_little() {
    let app = limited(&[]).await;
    let alice = app.person("alice").await;
    let connects = |count: usize| vec![r#"40{"token":"x"}"#; count].join("\u{1e}");
    let polling = Polling::open(&app, "nobody").await;
    assert_eq!(polling.post(&connects(9)).await, 400, "more packets than a client has to send");
    assert_eq!(polling.get().await.0, 400, "the session is over");
    let polling = Polling::open(&app, "nobody").await;
    assert_eq!(polling.post(&"4".repeat(70_000)).await, 400, "more bytes than a token has");
    assert_eq!(polling.get().await.0, 400);
    // An authenticated client may send as much as any other.
    let polling = Polling::connect(&app, &alice.access).await;
    let many: Vec<String> = (0..200).map(|number| format!(r#"42{number}["sync",{{"only":[]}}]"#)).collect();
    assert_eq!(polling.post(&many.join("\u{1e}")).await, 200);
    assert_eq!(polling.post(&connects(9)).await, 400, "but joins no namespace that often");
}

#[harness::test]
async fn a_websocket_that_has_not_authenticated_may_send_little() {
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
async fn a_session_that_is_refused_again_and_again_ends() {
    let app = limited(&[]).await;
    let mut socket = Plain::upgrade(&app.host, ENGINE, &[]).await.expect("opens");
    // One at a time: the library ignores a CONNECT that arrives while it decides another one.
    for _ in 0..3 {
        socket.send_raw(r#"40{"token":"x"}"#).await;
        assert!(socket.hears("44").await);
    }
    socket.send_raw(r#"40{"token":"x"}"#).await;
    socket.drain_until_end(Duration::from_secs(5)).await;
}

#[harness::test]
async fn events_in_parts_have_few_parts_and_as_many_bytes_as_others() {
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
async fn requests_for_sessions_that_are_nobodys_are_refused_at_once() {
    let app = limited(&[]).await;
    let made_up = "sid=AAAAAAAAAAAAAAAAAAAAAA";
    let upgrade = format!("{ENGINE}&{made_up}");
    assert_eq!(Plain::upgrade(&app.host, &upgrade, &[]).await.err(), Some(400));
    let path = format!("/socket.io/?EIO=4&transport=polling&{made_up}");
    for method in [Method::GET, Method::POST] {
        let answer = app.raw(method, &path, None, None).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        let body: Value = answer.json().await.expect("JSON");
        assert_eq!(body["code"], json!(1), "{body}");
    }
}

#[harness::test]
async fn a_user_and_an_address_have_so_many_connections() {
    let app = limited(&[("MAX_SOCKETS_PER_USER", "3"), ("MAX_SOCKETS_PER_ADDRESS", "4")]).await;
    let (alice, bob, _) = app.three().await;
    let mut first = app.connect(&alice, Transport::MAIN).await;
    let second = app.connect(&alice, Transport::ALL[1]).await;
    let (third, _) = Plain::open(&app.host, "/ws", &alice.access).await.expect("opens");
    for transport in Transport::ALL {
        // The error is not `unauthorized`, so that unmodified clients retry.
        let refused = Socket::open(&app.host, Some(&alice.access), transport).await.err();
        assert!(refused.as_ref().is_some_and(|it| !it.contains("unauthorized")), "{refused:?}");
    }
    let (refused, close) = Plain::open(&app.host, "/ws", &alice.access).await.err().expect("refused");
    assert_eq!((code(&refused), close), ("rate_limited", 1013), "{refused}");
    let b = app.connect(&bob, Transport::MAIN).await;
    let refused = Socket::open(&app.host, Some(&bob.access), Transport::MAIN).await.err();
    assert!(refused.is_some_and(|it| !it.contains("unauthorized")), "the address has four");
    // Connected clients are not affected, and a closed connection makes room.
    done(&mut first, "sync", json!({})).await;
    drop((second, third, b));
    let again = async || Socket::open(&app.host, Some(&alice.access), Transport::MAIN).await.is_ok();
    crate::support::eventually("there is room again", again).await;
}

/// Creates a group of alice's with `count` messages that are long as JSON.
async fn long_messages(app: &TestApp, alice: &Person, count: usize) -> i64 {
    let mut socket = app.connect(alice, Transport::MAIN).await;
    let chat = app.group(&mut socket, &[]).await;
    for number in 0..count {
        let content = format!("{number} {}", "\u{1}".repeat(60_000));
        let message = json!({"chat_id": chat, "content": content, "message_type": "text"});
        done(&mut socket, "send_message", json!({ "message": message })).await;
    }
    chat
}

fn numbers(messages: &Value) -> Vec<usize> {
    let number = |it: &Value| it["content"].as_str()?.split(' ').next()?.parse().ok();
    messages.as_array().expect("a list").iter().filter_map(number).collect()
}

#[harness::test]
async fn a_page_is_at_most_a_megabyte_and_the_pages_together_are_everything() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let chat = long_messages(&app, &alice, 12).await;
    let newest_first: Vec<usize> = (0..12).rev().collect();
    // History over REST, in both directions.
    for (start, wanted) in [("", newest_first.clone()), ("after=0&", (0..12).collect())] {
        let mut next = Some(format!("/chat/{chat}/messages?{start}limit=200"));
        let mut found = Vec::new();
        while let Some(path) = next {
            let answer = app.raw(Method::GET, &path, Some(&alice.access), None).await;
            let link = answer.headers().get("link").map(|it| it.to_str().expect("text").to_owned());
            let text = answer.text().await.expect("text");
            assert!(text.len() < 1_000_000, "{}", text.len());
            let mut page = numbers(&serde_json::from_str(&text).expect("JSON"));
            if start.is_empty() {
                found.extend(page);
            } else {
                page.reverse();
                found.extend(page);
            }
            next = link.and_then(|it| it.strip_prefix('<')?.split_once('>').map(|(path, _)| path.to_owned()));
        }
        assert_eq!(found, wanted);
    }
    // History and `sync` over a socket.
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let (mut found, mut before) = (Vec::new(), Value::Null);
    loop {
        let page =
            done(&mut socket, "history", json!({"chat": {"id": chat}, "before": before, "limit": 200})).await;
        assert!(page.to_string().len() < 1_000_000);
        found.extend(numbers(&page["messages"]));
        if page["has_more"] == json!(false) {
            break;
        }
        before = page["messages"].as_array().and_then(|it| it.last()).expect("a message")["seq"].clone();
    }
    assert_eq!(found, newest_first);
    let around = done(&mut socket, "history", json!({"chat": {"id": chat}, "around": 7, "limit": 200})).await;
    assert!(around.to_string().len() < 1_000_000 && numbers(&around["messages"]).len() >= 2, "both sides");
    let (mut found, mut since) = (Vec::new(), json!({chat.to_string(): 1}));
    loop {
        let page = done(&mut socket, "sync", json!({"since": since, "limit": 500})).await;
        assert!(page.to_string().len() < 1_000_000);
        found.extend(numbers(&page["messages"]));
        since[chat.to_string()] = page["revs"][chat.to_string()].clone();
        if page["has_more"] == json!(false) {
            break;
        }
    }
    found.sort_unstable();
    assert_eq!(found, (0..12).collect::<Vec<_>>());
    // The list that Mango's clients use is complete, and is sent in parts.
    let list = app.get(&format!("/message/{chat}"), &alice).await;
    assert_eq!(numbers(&list), newest_first);
    let empty = app.group(&mut socket, &[]).await;
    assert_eq!(app.get(&format!("/message/{empty}"), &alice).await, json!([]));
}

#[harness::test]
async fn chats_are_listed_a_megabyte_at_a_time() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let mut chats = Vec::new();
    for _ in 0..6 {
        chats.push(long_messages(&app, &alice, 1).await);
    }
    let (mut found, mut pages) = (Vec::new(), 0);
    let mut next = Some("/chat?limit=200".to_owned());
    while let Some(path) = next {
        let answer = app.raw(Method::GET, &path, Some(&alice.access), None).await;
        let link = answer.headers().get("link").map(|it| it.to_str().expect("text").to_owned());
        let text = answer.text().await.expect("text");
        assert!(text.len() < 1_100_000, "{}", text.len());
        let page: Value = serde_json::from_str(&text).expect("JSON");
        found.extend(page.as_array().expect("a list").iter().filter_map(|it| it["id"].as_i64()));
        pages += 1;
        next = link.and_then(|it| it.strip_prefix('<')?.split_once('>').map(|(path, _)| path.to_owned()));
    }
    chats.reverse();
    assert_eq!((found, pages), (chats, 3));
}

#[harness::test]
async fn who_fetches_answers_slowly_waits_for_further_ones_and_nobody_else_does() {
    let app = limited(&[]).await;
    let (alice, bob, _) = app.three().await;
    let chat = long_messages(&app, &alice, 30).await;
    // More than the buffers in between can hold: the responses stay at the server.
    let mut slow = Vec::new();
    for _ in 0..8 {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4_096).expect("a small buffer");
        let mut stream = socket.connect(app.host.parse().expect("an address")).await.expect("connects");
        let request = format!(
            "GET /message/{chat} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\r\n",
            app.host, alice.access
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        slow.push(stream);
    }
    for stream in &mut slow {
        let mut start = [0; 15];
        stream.read_exact(&mut start).await.expect("an answer");
        assert_eq!(&start, b"HTTP/1.1 200 OK");
    }
    let mine = app.raw(Method::GET, "/chat", Some(&alice.access), None);
    assert!(timeout(Duration::from_secs(1), mine).await.is_err(), "eight of hers are under way");
    let started = Instant::now();
    assert_eq!(app.raw(Method::GET, "/chat", Some(&bob.access), None).await.status(), 200);
    assert!(started.elapsed() < Duration::from_secs(1));
    let waiting = app.raw(Method::GET, "/chat", Some(&alice.access), None);
    drop(slow.pop());
    assert_eq!(waiting.await.status(), 200, "there is a turn again");
}

#[harness::test]
async fn reads_have_a_bucket_and_an_answer_says_its_length() {
    let app = limited(&[("RATE_READ", "1/s:20")]).await;
    let alice = app.person("alice").await;
    let reads = (0..30).map(|_| app.raw(Method::GET, "/user/me", Some(&alice.access), None));
    let answers = join_all(reads).await;
    let fine: Vec<_> = answers.iter().filter(|it| it.status() == 200).collect();
    assert!((15..=25).contains(&fine.len()), "{}", fine.len());
    assert!(fine.iter().all(|it| it.headers().contains_key("content-length")));
    assert!(answers.iter().any(|it| it.status() == 429 && it.headers().contains_key("retry-after")));
}

#[harness::test]
async fn many_members_cost_many_tokens() {
    let app = limited(&[]).await;
    let (alice, bob, carol) = app.three().await;
    let mut a = app.connect(&alice, Transport::MAIN).await;
    let many: Vec<i64> = (1_000_000..1_006_000).collect();
    let wish = json!({"chat": {"name": "all", "is_group": true, "members_array": many}});
    assert_eq!(
        code(&a.call("create_chat", wish.clone()).await),
        "validation_failed",
        "there are no such users"
    );
    let refused = a.call("create_chat", wish.clone()).await;
    assert_eq!(code(&refused), "rate_limited", "{refused}");
    assert!(refused["error"]["retry_after_ms"].as_i64().is_some_and(|it| it > 1_000), "{refused}");
    // A small group still fits, and other users have their own limit.
    app.group(&mut a, &[&carol]).await;
    let mut b = app.connect(&bob, Transport::MAIN).await;
    assert_eq!(code(&b.call("create_chat", wish).await), "validation_failed");
}

#[harness::test]
async fn a_chat_is_changed_so_often_and_no_more() {
    let app = limited(&[]).await;
    let alice = app.person("alice").await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut socket, &[]).await;
    let mut refused = 0;
    for number in 0..40 {
        let wish = json!({"chat": {"id": chat, "name": format!("name {number}")}});
        match code(&socket.call("update_chat", wish).await) {
            "none" => {}
            "rate_limited" => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert!((10..=20).contains(&refused), "{refused}");
}

#[harness::test]
async fn a_long_address_is_refused_and_a_long_value_is_not_repeated() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let answer = app.raw(Method::GET, &format!("/{}", "a".repeat(9_000)), None, None).await;
    assert_eq!(answer.status(), 414);
    let problem: Value = answer.json().await.expect("JSON");
    assert_eq!(problem["code"], json!("uri_too_long"), "{problem}");
    let long = "x".repeat(200_000);
    for payload in
        [json!({"chat": {"id": long}}), json!({"chat": long}), json!({"since": {long.clone(): "x"}})]
    {
        for event in ["history", "sync"] {
            let url = format!("/events/{event}");
            let answer = app.raw(Method::POST, &url, Some(&alice.access), Some(payload.clone())).await;
            assert!(answer.text().await.expect("text").len() < 2_000);
        }
    }
}

#[harness::test]
async fn a_body_that_comes_after_the_session_has_ended_does_nothing() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut socket, &[]).await;
    let message =
        json!({"message": {"chat_id": chat, "content": "late", "message_type": "text"}}).to_string();
    let name = json!({"name": "Late"}).to_string();
    let mut late = Vec::new();
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
        late.push((stream, body));
    }
    sleep(Duration::from_millis(300)).await;
    assert_eq!(app.raw(Method::POST, "/auth/logout", Some(&alice.access), None).await.status(), 204);
    for (mut stream, body) in late {
        stream.write_all(&body.as_bytes()[5..]).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("text");
        assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("session_ended"), "{answer}");
    }
    let alice = app.login("alice").await;
    assert_eq!(app.get(&format!("/chat/{chat}/messages"), &alice).await, json!([]));
    assert_ne!(app.get("/user/me", &alice).await["name"], json!("Late"));
}

//! Rules of single transports: the limit on what waits for a client, and which requests may upgrade.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::real_clients::{Clients, NEWEST, TRANSPORTS, way};
use crate::support::{PATIENCE, Person, Plain, Polling, TestApp, Transport, eventually};

/// Creates a chat of Bob's in which one page of the history has three megabytes.
async fn heavy_chat(app: &TestApp) -> (i64, Person) {
    let (alice, bob, _) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob]).await;
    let content = "x".repeat(60_000);
    for _ in 0..50 {
        let payload = json!({"message": {"chat_id": chat, "content": content, "message_type": "text"}});
        assert_eq!(owner.call("send_message", payload).await["ok"], json!(true));
    }
    (chat, bob)
}

fn devices(app: &TestApp) -> i64 {
    app.server.context.presence.count().1
}

#[harness::test]
async fn joining_a_namespace_repeatedly_does_not_reset_the_queue_limit_of_a_client() {
    let app = TestApp::start().await;
    let (chat, bob) = heavy_chat(&app).await;
    eventually("alice has gone", async || devices(&app) == 0).await;
    for other_stays in [false, true] {
        let path = "/ws/socket.io/?EIO=4&transport=websocket";
        let mut never_reads = Plain::upgrade(&app.host, path, &[("auth", &bob.access)]).await.expect("opens");
        if other_stays {
            never_reads.send_raw("40").await;
        }
        never_reads.send_raw("40/ws,").await;
        eventually("it is in", async || devices(&app) == 1 + i64::from(other_stays)).await;
        let ask = format!("42/ws,1{}", json!(["history", {"chat": {"id": chat}, "limit": 50}]));
        let mut rounds = 0;
        while devices(&app) > 0 {
            assert!(rounds < 60, "hundreds of megabytes wait for a client that reads nothing");
            rounds += 1;
            never_reads.send_raw(&ask).await;
            // The request is answered before the client leaves the namespace, or not at all.
            sleep(Duration::from_millis(150 + 25 * rounds)).await;
            for packet in ["41/ws,", "40/ws,"] {
                never_reads.send_raw(packet).await;
                sleep(Duration::from_millis(25)).await;
            }
        }
    }
}

#[harness::test]
async fn a_rejected_upgrade_does_not_reset_the_queue_limit_of_a_polling_client() {
    let app = TestApp::start().await;
    let (chat, bob) = heavy_chat(&app).await;
    let polling = Polling::connect(&app, &bob.access).await;
    let ask = format!("421{}", json!(["history", {"chat": {"id": chat}, "limit": 50}]));
    for _ in 0..6 {
        assert_eq!(polling.post(&ask).await, 200, "of eight megabytes, nearly one each");
    }
    eventually("all is answered", async || polling.post("3").await == 200).await;
    sleep(Duration::from_millis(300)).await;
    let path = format!("/socket.io/?EIO=4&transport=websocket&sid={}", polling.sid);
    let headers = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    assert_eq!(ask_for(&app, &path, headers).await.0, 426);
    for _ in 0..8 {
        polling.post(&ask).await;
    }
    eventually("the session has ended", async || polling.post("3").await == 400).await;
}

#[harness::test]
async fn a_second_upgrade_of_one_session_is_rejected() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let polling = Polling::connect(&app, &alice.access).await;
    let path = format!("/socket.io/?EIO=4&transport=websocket&sid={}", polling.sid);
    let mut first = Plain::upgrade(&app.host, &path, &[]).await.expect("upgrades");
    first.send_raw("2probe").await;
    assert_eq!(Plain::upgrade(&app.host, &path, &[]).await.err(), Some(400));
    first.send_raw("5").await;
    first.send_raw(&format!("420{}", json!(["sync", {}]))).await;
    assert!(first.hears("430[{\"ok\":true").await, "the first goes on");
}

#[harness::test]
async fn a_polling_client_receives_sixteen_packets_at_a_time_in_order() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob]).await;
    let polling = Polling::connect(&app, &bob.access).await;
    for number in 0..50 {
        let payload =
            json!({"message": {"chat_id": chat, "content": number.to_string(), "message_type": "text"}});
        assert_eq!(owner.call("send_message", payload).await["ok"], json!(true));
    }
    let mut seen = Vec::new();
    let mut fullest = 0;
    while seen.len() < 50 {
        let (status, packets) = polling.get().await;
        assert_eq!(status, 200, "{seen:?}");
        let packets: Vec<&str> = packets.split('\u{1e}').collect();
        fullest = fullest.max(packets.len());
        for event in packets.iter().filter_map(|it| it.strip_prefix("42[\"new_message\",")) {
            let event: Value = serde_json::from_str(event.trim_end_matches(']')).expect("JSON");
            seen.push(event["content"].as_str().expect("text").to_owned());
        }
    }
    assert_eq!(seen, (0..50).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(fullest, 16);
    // No packets wait any more, so the session may upgrade to a websocket.
    let path = format!("/socket.io/?EIO=4&transport=websocket&sid={}", polling.sid);
    assert!(Plain::upgrade(&app.host, &path, &[]).await.is_ok());
}

/// python-socketio does not reconnect after the engine's own packet for a closed session.
#[harness::test]
async fn a_polling_client_with_a_closed_session_is_asked_to_open_a_new_one() {
    let app = TestApp::start().await;
    let (alice, _, _) = app.three().await;
    let polling = Polling::open(&app, &alice.access).await;
    polling.fetch_first_ping(&app).await;
    let waiting = {
        let polling = polling.clone();
        tokio::spawn(async move { polling.get().await })
    };
    sleep(Duration::from_millis(300)).await;
    assert_eq!(polling.get().await.0, 400, "two requests at once end a session");
    let (status, body) = waiting.await.expect("an answer");
    assert_eq!((status, body.contains("Session ID unknown")), (400, true), "{body}");
}

#[harness::test]
async fn a_real_polling_client_receives_a_burst_and_stays_connected() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob]).await;
    let polling = way("/ws", TRANSPORTS[1], &bob.access);
    let mut all = Clients::of(&NEWEST, &app.url, &[polling]).await;
    for clients in &mut all {
        clients.until_ready().await;
        clients.signal("STOP").await;
    }
    let contents: Vec<String> = (0..60).map(|number| number.to_string()).collect();
    for content in &contents {
        let payload = json!({"message": {"chat_id": chat, "content": content, "message_type": "text"}});
        assert_eq!(owner.call("send_message", payload).await["ok"], json!(true));
    }
    for clients in &mut all {
        clients.signal("CONT").await;
        clients.expect_messages(&contents).await;
    }
}

/// Sends a bare GET request with these headers; returns the status, the head and the body once they are complete.
async fn ask_for(app: &TestApp, path: &str, headers: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(&app.host).await.expect("connects");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    let complete = |answer: &[u8]| {
        let text = String::from_utf8_lossy(answer).into_owned();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head.to_lowercase().split_once("content-length: ")?.1.lines().next()?.parse().ok()?;
        (body.len() >= length).then(|| (head.to_owned(), body.to_owned()))
    };
    let (head, body) = timeout(PATIENCE, async {
        loop {
            if let Some(done) = complete(&answer) {
                return done;
            }
            let mut some = [0; 4_096];
            let read = stream.read(&mut some).await.expect("read");
            assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&some[..read]);
        }
    })
    .await
    .expect("answered at once");
    (head[9..12].parse().expect("a status"), head.to_lowercase(), body)
}

#[harness::test]
async fn a_request_that_cannot_become_a_websocket_is_rejected_immediately() {
    let app = TestApp::start().await;
    let lines = [
        "Connection: Upgrade\r\n",
        "Upgrade: websocket\r\n",
        "Sec-WebSocket-Version: 13\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    ];
    for path in [
        "/ws",
        "/chat/1/ws",
        "/ws/socket.io/?EIO=4&transport=websocket",
        "/socket.io/?transport=websocket&EIO=4",
    ] {
        for left_out in 0..=lines.len() {
            let mut headers: String = lines
                .iter()
                .enumerate()
                .filter(|(index, _)| *index != left_out)
                .map(|(_, line)| *line)
                .collect();
            if left_out == lines.len() {
                headers = headers.replace(": 13", ": 8");
            }
            let (status, head, body) = ask_for(&app, path, &headers).await;
            let problem: Value = serde_json::from_str(&body).expect("JSON");
            assert_eq!((status, &problem["code"]), (426, &json!("upgrade_required")), "{path} {headers}");
            assert!(head.contains("upgrade: websocket") && head.contains("problem+json"), "{head}");
            assert!(head.contains("sec-websocket-version: 13"), "{head}");
        }
    }
    assert_eq!(devices(&app), 0);
}

//! Sockets that open and do not authenticate: limited per address and in time, and counted no longer than they exist.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::limited;
use crate::support::{Plain, Socket, TestApp, Transport, eventually};

const ENGINE: &str = "/socket.io/?EIO=4&transport=websocket";
const POLLING: &str = "/ws/socket.io/?EIO=4&transport=polling";

async fn nobody_waits(app: &TestApp) {
    eventually("no socket is counted", async || app.server.context.rates.pending.total() == 0).await;
}

#[harness::test]
async fn unauthenticated_sockets_per_ip_address_are_limited_across_all_transports() {
    let app = limited(&[("MAX_PENDING_SOCKETS", "4"), ("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let alice = app.person("alice").await;
    // Authenticated sockets do not count.
    let mut members = Vec::new();
    for transport in Transport::ALL {
        members.push(app.connect(&alice, transport).await);
    }
    let (mut plain, _) = Plain::open(&app.host, "/ws", &alice.access).await.expect("opens");
    nobody_waits(&app).await;
    let silent = [
        Plain::upgrade(&app.host, ENGINE, &[]).await.expect("one"),
        Plain::upgrade(&app.host, "/ws/socket.io/?EIO=4&transport=websocket", &[]).await.expect("two"),
        Plain::upgrade(&app.host, "/ws", &[]).await.expect("three"),
    ];
    assert_eq!(app.raw(Method::GET, POLLING, None, None).await.status(), 200, "four");
    assert_eq!(app.server.context.rates.pending.total(), 4);
    for path in [ENGINE, "/ws", "/chat/1/ws", "/chats/1/ws"] {
        assert_eq!(Plain::upgrade(&app.host, path, &[]).await.err(), Some(429), "{path}");
    }
    let refused = app.raw(Method::GET, POLLING, None, None).await;
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    let problem: Value = refused.json().await.expect("a problem");
    assert_eq!(problem["code"], json!("rate_limited"), "{problem}");
    // Other addresses and authenticated sockets are not affected.
    let elsewhere = [("x-forwarded-for", "192.0.2.1")];
    assert!(Plain::upgrade(&app.host, ENGINE, &elsewhere).await.is_ok());
    for socket in &mut members {
        assert_eq!(socket.call("sync", json!({})).await["ok"], json!(true));
    }
    assert_eq!(plain.call("sync", json!({})).await["ok"], json!(true));
    // A closed socket makes room at once.
    drop(silent);
    eventually("there is room again", async || app.server.context.rates.pending.total() <= 1).await;
    app.connect(&alice, Transport::MAIN).await;
}

#[harness::test]
async fn an_unauthenticated_socket_is_counted_until_it_times_out() {
    let app = limited(&[("CONNECT_TIMEOUT_MS", "1500")]).await;
    let mut engine = Plain::upgrade(&app.host, ENGINE, &[]).await.expect("opens");
    assert_eq!(app.raw(Method::GET, POLLING, None, None).await.status(), 200);
    assert_eq!(app.server.context.rates.pending.total(), 2);
    let started = std::time::Instant::now();
    engine.drain_until_end(Duration::from_secs(5)).await;
    assert!(started.elapsed() > Duration::from_secs(1), "not before its time");
    nobody_waits(&app).await;
}

#[harness::test]
async fn a_socket_is_not_counted_after_its_end_whatever_the_reason() {
    let app = limited(&[("CONNECT_TIMEOUT_MS", "1000")]).await;
    let alice = app.person("alice").await;
    // Sockets that authenticated and left.
    drop(app.connect(&alice, Transport::MAIN).await);
    drop(Plain::open(&app.host, "/ws", &alice.access).await.expect("opens"));
    // Sockets that were rejected.
    for transport in Transport::ALL {
        assert!(Socket::open(&app.host, Some("nonsense"), transport).await.is_err());
        assert!(Socket::open(&app.host, None, transport).await.is_err());
    }
    assert!(Plain::open(&app.host, "/ws", "nonsense").await.is_err());
    assert!(Plain::open(&app.host, "/chat/999/ws", &alice.access).await.is_err());
    // Requests that never became a socket.
    for path in [
        "/socket.io/?EIO=3&transport=websocket",
        "/socket.io/?EIO=4&transport=pigeon",
        "/socket.io/?EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAAA",
        "/socket.io/",
    ] {
        drop(app.raw(Method::GET, path, None, None).await);
        drop(app.raw(Method::POST, path, None, Some(json!({}))).await);
    }
    assert_eq!(app.raw(Method::GET, "/ws", None, None).await.status(), 426);
    // Sockets that closed silently after the upgrade.
    for path in ["/ws", ENGINE] {
        drop(Plain::upgrade(&app.host, path, &[]).await.expect("upgrades"));
    }
    // A client that polls once and never returns.
    assert_eq!(app.raw(Method::GET, POLLING, None, None).await.status(), 200);
    nobody_waits(&app).await;
}

#[harness::test]
async fn a_polling_client_counts_as_pending_until_it_authenticates() {
    let app = limited(&[("CONNECT_TIMEOUT_MS", "60000")]).await;
    let alice = app.person("alice").await;
    let open = app.raw(Method::GET, POLLING, None, None).await.text().await.expect("text");
    let open: Value = serde_json::from_str(open.trim_start_matches('0')).expect("JSON");
    let path = format!("{POLLING}&sid={}", open["sid"].as_str().expect("a sid"));
    assert_eq!(app.server.context.rates.pending.total(), 1);
    let post = async |packet: String| {
        app.http.post(format!("{}{path}", app.url)).body(packet).send().await.expect("an answer").status()
    };
    // After a wrong token it is still unauthenticated and counted: its session still exists.
    assert_eq!(post(format!("40{}", json!({"token": "nonsense"}))).await, 200);
    let mut told = String::new();
    // A ping may arrive first.
    while !told.contains("44{") {
        assert!(told.len() < 10, "{told}");
        told += &app.raw(Method::GET, &path, None, None).await.text().await.expect("text");
        assert_eq!(post("3".into()).await, 200);
    }
    assert_eq!(app.server.context.rates.pending.total(), 1);
    assert_eq!(post(format!("40{}", json!({"token": alice.access}))).await, 200);
    nobody_waits(&app).await;
}

#[harness::test]
async fn many_clients_behind_one_address_all_connect_eventually() {
    let app =
        limited(&[("MAX_PENDING_SOCKETS", "5"), ("RATE_EVENT", "10000/s"), ("RATE_REGISTER", "1000/s")])
            .await;
    // Three users, because the number of connections per user is limited.
    let people = [app.person("alice").await, app.person("bob").await, app.person("carol").await];
    let people = &people;
    let clients = (0..200).map(async |number: u64| {
        let mut tries = 0_u32;
        loop {
            tries += 1;
            let transport = Transport::ALL[number as usize % 4];
            match Socket::open(&app.host, Some(&people[number as usize % 3].access), transport).await {
                Ok(mut socket) => {
                    socket.next("ready").await;
                    return (socket, tries);
                }
                Err(error) => assert!(error.contains("429"), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20 + number % 37 * 5)).await;
        }
    });
    let mut sockets = join_all(clients).await;
    assert!(sockets.iter().any(|(_, tries)| *tries > 1), "some had to come again");
    for (socket, _) in &mut sockets {
        assert_eq!(socket.call("sync", json!({})).await["ok"], json!(true));
    }
    assert_eq!(app.server.context.rates.pending.total(), 0, "all of them are in");
}

#[harness::test]
async fn sockets_are_not_counted_when_rate_limits_are_disabled() {
    let app = TestApp::with(&[("MAX_PENDING_SOCKETS", "1")]).await;
    let mut silent = Vec::new();
    for _ in 0..5 {
        silent.push(Plain::upgrade(&app.host, ENGINE, &[]).await.expect("opens"));
        silent.push(Plain::upgrade(&app.host, "/ws", &[]).await.expect("opens"));
    }
    assert_eq!(app.server.context.rates.pending.total(), 0);
}

#[harness::test]
async fn a_socket_from_a_page_of_another_origin_cannot_use_cookies() {
    let app = TestApp::with(&[("CORS_ORIGINS", "https://app.example.org")]).await;
    let alice = app.person("alice").await;
    let cookie = format!("access_token={}", alice.access);
    let own = app.url.clone();
    for (origin, gets_in) in [
        ("https://evil.example.org", false),
        ("null", false),
        ("https://app.example.org.evil.example", false),
        ("http://app.example.org", false),
        ("https://app.example.org", true),
        (own.as_str(), true),
    ] {
        let headers = [("cookie", cookie.as_str()), ("origin", origin)];
        let mut plain = Plain::upgrade(&app.host, "/ws", &headers).await.expect("upgrades");
        if gets_in {
            // The cookie is enough: no auth frame is needed.
            assert_eq!(plain.call("sync", json!({})).await["ok"], json!(true), "{origin}");
        } else {
            plain.send_raw(r#"{"type":"sync","id":1}"#).await;
            assert_eq!(plain.ack_of(&json!(1)).await["error"]["code"], json!("token_missing"), "{origin}");
            assert_eq!(plain.expect_close(Duration::from_secs(5)).await, 4401, "{origin}");
        }
        for transport in Transport::ALL {
            let opened = Socket::open_with(&app.host, &headers, transport).await;
            match opened {
                Ok(_) => assert!(gets_in, "{origin}"),
                Err(error) => {
                    assert!(!gets_in && error == "unauthorized: token_missing", "{origin}: {error}");
                }
            }
        }
    }
}

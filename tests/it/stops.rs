//! How connections end if clients should reconnect: a server that is stopped, and one that is killed.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::timeout;

use crate::binary::{post, serve, signal};
use crate::support::{PASSWORD, PATIENCE, Plain, Polling, TestApp, Transport};

const ENGINE: &str = "/ws/socket.io/?EIO=4&transport=websocket";

#[harness::test]
async fn a_shutdown_closes_websockets_with_1012_and_without_a_disconnect_packet() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let mut opened = Plain::upgrade(&app.host, ENGINE, &[("auth", &alice.access)]).await.expect("opens");
    let polling = Polling::connect(&app, &alice.access).await;
    let path = format!("/socket.io/?EIO=4&transport=websocket&sid={}", polling.sid);
    let mut upgraded = Plain::upgrade(&app.host, &path, &[]).await.expect("upgrades");
    upgraded.send_raw("2probe").await;
    assert!(upgraded.hears("3probe").await);
    upgraded.send_raw("5").await;
    opened.send_raw("40").await;
    assert!(opened.hears("42[\"ready\"").await);
    // The upgrade is complete once an event is acknowledged.
    upgraded.send_raw("420[\"sync\",{}]").await;
    assert!(upgraded.hears("430").await);
    let stopping = tokio::spawn(app.server.shutdown());
    for (name, socket) in [("opened", &mut opened), ("upgraded", &mut upgraded)] {
        assert!(socket.hears("42[\"server_shutdown\"").await, "{name}: it is told");
        assert!(!socket.hears("1").await, "{name}: no packet that closes");
        assert_eq!(socket.closed, Some(1012), "{name}");
    }
    timeout(PATIENCE, stopping).await.expect("in time").expect("stops");
}

#[harness::test]
async fn a_client_that_does_not_read_does_not_delay_a_shutdown() {
    let app = TestApp::start().await;
    let bob = app.person("bob").await;
    let mut owner = app.connect(&bob, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[]).await;
    let content = "x".repeat(60_000);
    for _ in 0..50 {
        let payload = json!({"message": {"chat_id": chat, "content": content, "message_type": "text"}});
        owner.call("send_message", payload).await;
    }
    let mut deaf = Plain::upgrade(&app.host, ENGINE, &[("auth", &bob.access)]).await.expect("opens");
    deaf.send_raw("40").await;
    for number in 0..2 {
        deaf.send_raw(&format!("42{number}{}", json!(["history", {"chat": {"id": chat}, "limit": 50}])))
            .await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let started = Instant::now();
    timeout(PATIENCE, app.server.shutdown()).await.expect("in time");
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    deaf.drain_until_end(PATIENCE).await;
}

#[harness::test]
async fn an_idle_server_shuts_down_immediately() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = serve(&folder, &[("DATABASE_URL", "sqlite::memory:")]);
    post(&server.host, "/user", json!({"username": "alice", "password": PASSWORD})).await;
    let started = Instant::now();
    signal(&server.child, "TERM");
    assert!(server.child.wait().expect("ends").success());
    assert!(started.elapsed() < Duration::from_millis(1_200), "{:?}", started.elapsed());
}

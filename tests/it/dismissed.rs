//! Clients that ignore their dismissal: the server closes their transport soon, whatever they do.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tokio::time::sleep;

use crate::support::{Person, Plain, Polling, TestApp, Transport, eventually};

/// Much shorter than the heartbeat timeout, and enough for a busy machine: a dismissed client gets one second.
const SOON: Duration = Duration::from_secs(15);

const ENGINE: &str = "/ws/socket.io/?EIO=4&transport=websocket";

/// Ends the session of a token from another client.
async fn end_session(app: &TestApp, person: &Person) {
    let (status, _) = app.send(Method::POST, "/auth/logout", Some(&person.access), None).await;
    assert!(status.is_success(), "{status}");
}

fn devices(app: &TestApp) -> i64 {
    app.server.context.presence.count().1
}

#[harness::test]
async fn a_client_that_stays_after_a_disconnect_packet_is_disconnected_within_a_second() {
    let app = TestApp::start().await;
    app.person("alice").await;
    for namespace in ["", "/ws,"] {
        let alice = app.login("alice").await;
        let mut stays = Plain::upgrade(&app.host, ENGINE, &[("auth", &alice.access)]).await.expect("opens");
        stays.send_raw(&format!("40{namespace}")).await;
        assert!(stays.hears(&format!("42{namespace}[\"ready\"")).await);
        let started = Instant::now();
        end_session(&app, &alice).await;
        assert!(stays.hears(&format!("41{namespace}")).await, "it is told before");
        stays.drain_until_end(SOON).await;
        assert!(started.elapsed() > Duration::from_millis(500), "it has a moment to read why");
    }
}

#[harness::test]
async fn a_dismissed_client_that_does_not_read_is_disconnected_within_a_second() {
    let app = TestApp::start().await;
    let bob = app.person("bob").await;
    let mut owner = app.connect(&bob, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[]).await;
    let content = "x".repeat(60_000);
    for _ in 0..50 {
        let payload = json!({"message": {"chat_id": chat, "content": content, "message_type": "text"}});
        owner.call("send_message", payload).await;
    }
    for path in [ENGINE, "/ws"] {
        let bob = app.login("bob").await;
        let mut deaf = Plain::upgrade(&app.host, path, &[("auth", &bob.access)]).await.expect("opens");
        // Two pages of three megabytes: more than the kernel buffers, less than the limit that ends a connection.
        let page = json!({"chat": {"id": chat}, "limit": 50});
        if path == ENGINE {
            deaf.send_raw("40").await;
        }
        eventually("it is in", async || devices(&app) == 2).await;
        for number in 0..2 {
            if path == ENGINE {
                deaf.send_raw(&format!("42{number}{}", json!(["history", page]))).await;
            } else {
                deaf.send_raw(
                    &json!({"type": "history", "id": number, "chat": {"id": chat}, "limit": 50}).to_string(),
                )
                .await;
            }
            sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(devices(&app), 2, "{path}: it is slow, no more");
        end_session(&app, &bob).await;
        eventually("it is out", async || devices(&app) == 1).await;
        deaf.drain_until_end(SOON).await;
    }
}

#[harness::test]
async fn the_session_of_a_dismissed_polling_client_that_does_not_poll_ends_within_a_second() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let polling = Polling::connect(&app, &alice.access).await;
    assert_eq!(polling.post("3").await, 200);
    end_session(&app, &alice).await;
    eventually("it has no session", async || polling.post("3").await == 400).await;
    assert_eq!(polling.get().await.0, 400);
}

#[harness::test]
async fn a_second_namespace_of_a_dismissed_client_keeps_its_own_session() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let bob = app.person("bob").await;
    let mut both = Plain::upgrade(&app.host, ENGINE, &[]).await.expect("opens");
    both.send_raw(&format!("40{}", json!({"token": alice.access}))).await;
    assert!(both.hears("42[\"ready\"").await);
    both.send_raw(&format!("40/ws,{}", json!({"token": bob.access}))).await;
    assert!(both.hears("42/ws,[\"ready\"").await);
    end_session(&app, &alice).await;
    assert!(both.hears("41").await);
    // Longer than the second after which a transport with only dismissed clients is closed.
    sleep(Duration::from_secs(2)).await;
    both.send_raw(&format!("42/ws,0{}", json!(["sync", {}]))).await;
    assert!(both.hears("43/ws,0[{\"ok\":true").await, "bob's session is nobody else's");
}

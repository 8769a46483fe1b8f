//! Connecting while the database is unavailable: the server refuses no client for it. It ends the transport without an
//! error packet, and clients reconnect by themselves.

use std::time::Duration;

use reqwest::Method;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::checker::proxy::Proxy;
use crate::real_clients::{Clients, NEWEST, TRANSPORTS, way};
use crate::support::{
    PASSWORD, PATIENCE, Plain, Polling, Socket, TestApp, Transport, database_kind, fresh_database,
};

/// Tables that a handshake reads: the session, and the user's chats.
const TABLES: [&str; 2] = ["sessions", "members"];

/// Makes all queries of this table fail, or work again.
async fn lose(app: &TestApp, table: &str, lost: bool) {
    let (from, to) = if lost { ("", "_lost") } else { ("_lost", "") };
    let tx = app.server.context.db.begin().await.expect("begun");
    let sql = format!("ALTER TABLE {table}{from} RENAME TO {table}{to}");
    tx.conn().execute_unprepared(&sql).await.expect("renamed");
    tx.commit_silently().await.expect("committed");
}

/// Returns a token that the server has not seen yet, so that no cache knows it.
async fn fresh_token(app: &TestApp) -> String {
    let payload = json!({"username": "alice", "password": PASSWORD});
    let (_, tokens) = app.send(Method::POST, "/auth/login", None, Some(payload)).await;
    tokens["access_token"].as_str().expect("a token").to_owned()
}

#[harness::test]
async fn a_handshake_that_fails_with_a_server_error_ends_the_transport_without_an_error_packet() {
    let app = TestApp::start().await;
    app.person("alice").await;
    for table in TABLES {
        let token = fresh_token(&app).await;
        // Polling, with a pending request and without one; and a polling client that upgrades to a websocket meanwhile.
        let (waits, asks_later) = (Polling::open(&app, &token).await, Polling::open(&app, &token).await);
        for polling in [&waits, &asks_later] {
            polling.fetch_first_ping(&app).await;
        }
        let upgrades = Polling::open(&app, &token).await;
        lose(&app, table, true).await;
        for transport in Transport::ALL {
            let refused = Socket::open(&app.host, Some(&token), transport).await.err();
            assert_eq!(refused.as_deref(), Some("closed"), "{table} {transport:?}");
        }
        let waiting = tokio::spawn({
            let waits = waits.clone();
            async move { waits.get().await }
        });
        sleep(Duration::from_millis(100)).await;
        for polling in [&waits, &asks_later] {
            assert_eq!(polling.post("40").await, 200, "{table}");
        }
        let (status, told) = timeout(PATIENCE, waiting).await.expect("it ends").expect("it runs");
        assert!(status == 400 && !told.contains("44"), "{table}: {status} {told}");
        let (status, told) = asks_later.get().await;
        assert!(status == 400 && !told.contains("44"), "{table}: {status} {told}");
        assert_eq!(asks_later.post("3").await, 400, "{table}");

        let path = format!("/socket.io/?EIO=4&transport=websocket&sid={}", upgrades.sid);
        let mut socket = Plain::upgrade(&app.host, &path, &[("auth", &token)]).await.expect("upgrades");
        socket.send_raw("2probe").await;
        assert!(socket.hears("3probe").await);
        socket.send_raw("5").await;
        socket.send_raw("40").await;
        assert!(!socket.hears("44").await, "{table}: no word before it ends");
        assert_eq!(Plain::upgrade(&app.host, &path, &[]).await.err(), Some(400), "{table}: it stays ended");

        lose(&app, table, false).await;
        for transport in Transport::ALL {
            assert!(Socket::open(&app.host, Some(&token), transport).await.is_ok(), "{table} {transport:?}");
        }
        Polling::connect(&app, &token).await;
    }
    // The server still reports an error that a retry cannot change.
    let refused = Socket::open(&app.host, Some("nonsense"), Transport::MAIN).await.err();
    assert_eq!(refused.as_deref(), Some("unauthorized: token_invalid"));
}

#[harness::test]
async fn a_plain_websocket_that_fails_with_a_server_error_is_closed_with_1013_and_no_ack() {
    let app = TestApp::start().await;
    app.person("alice").await;
    for table in TABLES {
        let token = fresh_token(&app).await;
        lose(&app, table, true).await;
        let cookie = format!("access_token={token}");
        let frame = json!({"type": "auth", "id": 1, "token": token}).to_string();
        let ways = [
            (None, Some(&frame)),
            (Some(("auth", token.as_str())), None),
            (Some(("cookie", cookie.as_str())), None),
        ];
        for path in ["/ws", "/chat/1/ws"] {
            for (header, first) in ways {
                let mut plain = Plain::upgrade(&app.host, path, header.as_slice()).await.expect("upgrades");
                if let Some(frame) = first {
                    plain.send_raw(frame).await;
                }
                let told = plain.expect_close(Duration::from_secs(5)).await;
                assert_eq!(told, 1013, "{table} {path} {header:?}");
                plain.expect_silence().await;
            }
        }
        lose(&app, table, false).await;
        assert!(Plain::open(&app.host, "/ws", &token).await.is_ok());
    }
}

#[harness::test]
async fn real_clients_that_connect_while_postgresql_is_unavailable_reconnect_by_themselves() {
    if database_kind() != "postgres" {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let url = fresh_database(&folder).await;
    let (front, target) = url.split_once('@').expect("the URL names a user");
    let (host, name) = target.split_once('/').expect("the URL names a database");
    let database = Proxy::start(host.to_owned()).await.expect("a proxy");
    let app = TestApp::on(folder, &format!("{front}@{}/{name}", database.host), &[]).await;
    let entrance = Proxy::start(app.host.clone()).await.expect("a proxy");
    let alice = app.person("alice").await;
    let to = format!("http://{}", entrance.host);
    let ways: Vec<Value> = TRANSPORTS
        .into_iter()
        .zip(["/", "/ws", "/"])
        .map(|(transports, namespace)| way(namespace, transports, &alice.access))
        .collect();
    let mut all = Clients::of(&NEWEST, &to, &ways).await;
    for clients in &mut all {
        clients.until_ready().await;
    }
    database.refuse(true);
    // The clients lose their connections and retry while the proxy refuses all connections.
    entrance.refuse(true);
    // aiohttp repeats a request at once if its connection broke, and a polling session outlives its connections.
    sleep(Duration::from_secs(2)).await;
    entrance.refuse(false);
    sleep(Duration::from_secs(7)).await;
    let mut plain = Plain::upgrade(&app.host, "/ws", &[("auth", &alice.access)]).await.expect("upgrades");
    assert_eq!(plain.expect_close(Duration::from_secs(12)).await, 1013);
    database.refuse(false);
    for clients in &mut all {
        clients.until_ready().await;
    }
}

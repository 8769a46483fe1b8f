//! How a plain WebSocket ends: each reason and its close code.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::Fixture;
use crate::checker::node::Node;
use crate::support::{PATIENCE, Plain, TestApp, eventually, fresh_database};

#[harness::test]
async fn an_invalid_token_closes_with_4401_and_a_reason() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    for (token, code) in
        [("nonsense", "token_invalid"), (&alice.refresh, "token_invalid"), ("", "token_missing")]
    {
        let (refusal, close) = Plain::open(&app.host, "/ws", token).await.err().expect("refused");
        assert_eq!((&refusal["error"]["code"], close), (&json!(code), 4401), "{refusal}");
    }
    let mut by_header = Plain::upgrade(&app.host, "/ws", &[("auth", "nonsense")]).await.expect("upgrades");
    assert_eq!(by_header.ack_of(&Value::Null).await["ok"], json!(false));
    assert_eq!(by_header.expect_close(PATIENCE).await, 4401);
    for first in [r#"{"type":"history","chat":{"id":1}}"#, "no JSON", "[]", r#"{"type":"auth"}"#] {
        let mut plain = Plain::upgrade(&app.host, "/ws", &[]).await.expect("upgrades");
        plain.send_raw(first).await;
        assert_eq!(plain.expect_close(PATIENCE).await, 4401, "{first}");
    }
}

#[harness::test]
async fn a_connection_without_authentication_closes_with_4401_after_ten_seconds() {
    let app = TestApp::start().await;
    let mut plain = Plain::upgrade(&app.host, "/ws", &[]).await.expect("upgrades");
    let started = Instant::now();
    assert_eq!(plain.expect_close(Duration::from_secs(14)).await, 4401);
    let waited = started.elapsed();
    assert!(waited > Duration::from_secs(9) && waited < Duration::from_secs(13), "{waited:?}");
}

#[harness::test]
async fn an_ended_session_is_announced_and_closes_with_4403() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let (other, third) = (app.login("alice").await, app.login("alice").await);
    let (mut stays, _) = Plain::open(&app.host, "/ws", &other.access).await.expect("connects");
    for (ends, by) in [(&alice, &alice), (&third, &other)] {
        let (mut plain, _) = Plain::open(&app.host, "/ws", &ends.access).await.expect("connects");
        let sessions = app.get("/auth/session", ends).await;
        let own = sessions.as_array().into_iter().flatten().find(|it| it["current"] == json!(true));
        let (method, path) = match own {
            Some(session) if ends.access != by.access => {
                (Method::DELETE, format!("/auth/session/{}", session["id"]))
            }
            _ => (Method::POST, "/auth/logout".to_owned()),
        };
        let (status, _) = app.send(method, &path, Some(&by.access), None).await;
        assert!(status.is_success(), "{path}: {status}");
        plain.next("session_ended").await;
        assert_eq!(plain.expect_close(Duration::from_secs(1)).await, 4403);
        let (refusal, close) = Plain::open(&app.host, "/ws", &ends.access).await.err().expect("refused");
        assert_eq!((&refusal["error"]["code"], close), (&json!("session_ended"), 4403));
    }
    assert_eq!(stays.call("sync", json!({})).await["ok"], json!(true));
}

#[harness::test]
async fn an_expired_token_closes_with_4401() {
    let app = TestApp::with(&[("ACCESS_TOKEN_TTL_SECS", "2")]).await;
    let alice = app.person("alice").await;
    let (mut plain, _) = Plain::open(&app.host, "/ws", &alice.access).await.expect("connects");
    plain.next("token_expiring").await;
    plain.next("token_expired").await;
    assert_eq!(plain.expect_close(Duration::from_secs(5)).await, 4401);
}

#[harness::test]
async fn the_socket_of_one_chat_closes_when_the_membership_ends() {
    let mut fixture = Fixture::new().await;
    let [path, other_path] = fixture.own_paths();
    for path in [path.as_str(), "/chat/999999/ws", other_path.as_str()] {
        let (refusal, close) =
            Plain::open(&fixture.app.host, path, &fixture.carol.access).await.err().expect("refused");
        assert_eq!((&refusal["error"]["code"], close), (&json!("not_found"), 4404), "{path}");
    }
    let (mut removed, _) = fixture.own_socket(&fixture.bob).await;
    let (mut everywhere, _) =
        Plain::open(&fixture.app.host, "/ws", &fixture.bob.access).await.expect("connects");
    let member = json!({"chat": {"id": fixture.chat}, "user": {"id": fixture.bob.id}});
    fixture.owner.call("remove_member", member.clone()).await;
    removed.next("member_removed").await;
    assert_eq!(removed.expect_close(PATIENCE).await, 4404);
    everywhere.next("member_removed").await;
    assert_eq!(everywhere.call("sync", json!({})).await["ok"], json!(true), "it is about more than one chat");
    fixture.owner.call("add_member", member).await;
    let (mut deleted, _) = fixture.own_socket(&fixture.bob).await;
    fixture.owner.call("delete_chat", json!({"chat": {"id": fixture.chat}})).await;
    deleted.next("chat_deleted").await;
    assert_eq!(deleted.expect_close(PATIENCE).await, 4404);
}

#[harness::test]
async fn ten_invalid_frames_in_a_row_close_with_1003() {
    let fixture = Fixture::new().await;
    let (mut plain, _) = Plain::open(&fixture.app.host, "/ws", &fixture.bob.access).await.expect("connects");
    let bad = ["{", "", "[]", "7", "null", r#"{"id":1}"#, r#"{"type":7}"#, "\"text\"", "{}"];
    // Nine bad frames are forgiven as soon as a good one arrives.
    for _ in 0..2 {
        for text in bad {
            plain.send_raw(text).await;
            assert_eq!(plain.next("exception").await["error"]["code"], json!("validation_failed"), "{text}");
        }
        assert_eq!(plain.call("sync", json!({})).await["ok"], json!(true));
    }
    // These are not bad frames: the event is unknown, or its payload is invalid.
    for _ in 0..12 {
        plain.emit("make_coffee", json!({})).await;
        plain.next("exception").await;
    }
    for text in bad {
        plain.send_raw(text).await;
    }
    plain.send_message(Message::Binary(Bytes::from_static(b"\x01\x02"))).await;
    assert_eq!(plain.expect_close(PATIENCE).await, 1003);
}

#[harness::test]
async fn too_long_content_is_rejected_and_a_too_large_frame_closes_with_1009() {
    let fixture = Fixture::new().await;
    let (mut plain, _) = fixture.own_socket(&fixture.bob).await;
    let ack = plain.call("send_message", json!({"text": "x".repeat(70_000)})).await;
    assert_eq!(ack["error"]["code"], json!("too_large"), "{}", ack["error"]);
    assert_eq!(plain.call("history", json!({})).await["ok"], json!(true));
    plain.emit("send_message", json!({"text": "x".repeat(1_000_001)})).await;
    assert_eq!(plain.expect_close(PATIENCE).await, 1009);
    let mut before_auth = Plain::upgrade(&fixture.app.host, "/ws", &[]).await.expect("upgrades");
    before_auth.emit("auth", json!({"token": "x".repeat(1_000_001)})).await;
    let code = before_auth.expect_close(PATIENCE).await;
    assert!(code == 1009 || code == 4401, "{code}");
}

#[harness::test]
async fn a_slow_reader_is_closed_and_others_are_not_affected() {
    let mut fixture = Fixture::new().await;
    let (mut slow, _) = Plain::open(&fixture.app.host, "/ws", &fixture.bob.access).await.expect("connects");
    let (mut quick, _) = Plain::open(&fixture.app.host, "/ws", &fixture.bob.access).await.expect("connects");
    let content = "x".repeat(60_000);
    // More than the outbox and the kernel's buffers can hold.
    for number in 0..400 {
        let sent = fixture.say(&format!("{number} {content}")).await;
        assert_eq!(quick.next("new_message").await["id"], sent["message"]["id"], "nothing is lost");
    }
    slow.rest().await;
    eventually("the slow one is closed", async || {
        slow.rest().await;
        slow.ended
    })
    .await;
    // The close code arrives if the connection still lets it through; the connection is gone in any case.
    assert!(matches!(slow.closed, Some(1013) | None), "{:?}", slow.closed);
    assert_eq!(quick.call("sync", json!({"only": []})).await["ok"], json!(true));
}

#[harness::test]
async fn a_shutdown_is_announced_and_closes_with_1012() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = fresh_database(&folder).await;
    let mut node = Node::new(env!("CARGO_BIN_EXE_mango-chat").as_ref(), folder.path(), &url).expect("a port");
    node.start().await.expect("starts");
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let person = node.person(&http, "alice").await.expect("registers");
    let (mut plain, _) = Plain::open(&node.host(), "/ws", &person.token).await.expect("connects");
    let made = json!({"chat": {"name": "g", "is_group": true, "members_array": []}});
    let chat = plain.call("create_chat", made).await["chat"]["id"].clone();
    plain.next("chat_created").await;
    node.terminate().expect("SIGTERM");
    let goodbye = plain.next("server_shutdown").await;
    assert!(goodbye["retry_after_ms"].as_u64().is_some_and(|it| it >= 500), "{goodbye}");
    assert_eq!(plain.expect_close(Duration::from_secs(8)).await, 1012);
    assert!(chat.is_number() && node.ended_well().await, "it exits clean");
}

#[harness::test]
async fn a_close_frame_of_the_client_is_answered_with_its_code() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let (mut plain, _) = Plain::open(&app.host, "/ws", &alice.access).await.expect("connects");
    let close = CloseFrame { code: CloseCode::Normal, reason: "".into() };

    plain.send_message(Message::Close(Some(close))).await;

    assert_eq!(plain.expect_close(PATIENCE).await, 1_000);
}

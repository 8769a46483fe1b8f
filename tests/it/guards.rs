//! Guards over the whole catalogue: a new command fails here if it does not handle strangers, clients without a login,
//! and invalid payloads. `operations` guards the REST paths.

use mango_chat::protocol::catalogue::COMMANDS;
use serde_json::{Value, json};

use crate::support::{Socket, TestApp, Transport};

/// Returns a payload that is valid for a member; `None` if the command treats strangers like members.
pub fn right_payload(command: &str, chat: i64, message: i64, user: i64) -> Option<Value> {
    Some(match command {
        "add_member" | "remove_member" | "approve_join" | "decline_join" | "ban_member" | "unban_member" => {
            json!({"chat": {"id": chat}, "user": {"id": user}})
        }
        "toggle_chat_pin"
        | "toggle_chat_mute"
        | "toggle_chat_archive"
        | "history"
        | "mark_read"
        | "leave_chat"
        | "approve_chat"
        | "decline_chat"
        | "delete_chat" => json!({"chat": {"id": chat}}),
        "accept_invite" => json!({"invite": {"token": "0123456789abcdef0123456789abcdef"}}),
        "update_chat" => json!({"chat": {"id": chat, "name": "mine"}}),
        "set_member_role" => json!({"chat": {"id": chat}, "user": {"id": user}, "role": "admin"}),
        "save_draft" => json!({"chat": {"id": chat}, "content": "x"}),
        "toggle_reaction" => json!({"message": {"id": message, "emoji": "👍"}}),
        "forward_message" => json!({"message": {"id": message}, "chat": {"id": chat}}),
        "typing" => json!({"chat": {"id": chat}, "is_typing": true}),
        "edit_message" => json!({"message": {"id": message, "content": "y"}}),
        "send_message" => json!({"message": {"chat_id": chat, "content": "x", "message_type": "text"}}),
        "delete_message" | "toggle_like_message" | "toggle_message_pin" => {
            json!({"message": {"id": message}})
        }
        "report" => json!({"message": {"id": message}, "reason": "spam"}),
        // These treat strangers like members, or return an empty list.
        "create_chat" | "authenticate" | "sync" | "watch_presence" | "follow" | "unfollow" | "block"
        | "unblock" => return None,
        other => panic!("{other} is new: say here what a stranger would send, and that it is refused"),
    })
}

#[harness::test]
async fn every_command_answers_a_stranger_with_not_found() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let mut stranger = app.connect(&carol, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob]).await;
    let sent = owner
        .call(
            "send_message",
            json!({"message": {"chat_id": chat, "content": "secret", "message_type": "text"}}),
        )
        .await;
    let message = sent["message"]["id"].as_i64().expect("an id");
    let before = app.get(&format!("/chat/{chat}"), &alice).await;
    for command in COMMANDS.iter().map(|it| it.name) {
        let Some(payload) = right_payload(command, chat, message, bob.id) else { continue };
        let there = stranger.call(command, payload).await;
        let nowhere = right_payload(command, 999_999, 999_999, bob.id).expect("the same payload elsewhere");
        let absent = stranger.call(command, nowhere).await;
        assert_eq!(there["error"]["code"], json!("not_found"), "{command}: {there}");
        assert_eq!(there, absent, "{command} must not tell a chat that exists from one that does not");
    }
    assert_eq!(app.get(&format!("/chat/{chat}"), &alice).await, before, "nothing has changed");
    stranger.expect_silence().await;
}

#[harness::test]
async fn every_connection_requires_a_token() {
    let app = TestApp::start().await;
    for transport in Transport::ALL {
        assert_eq!(
            Socket::open(&app.host, None, transport).await.err().as_deref(),
            Some("unauthorized: token_missing")
        );
        assert_eq!(
            Socket::open(&app.host, Some("nonsense"), transport).await.err().as_deref(),
            Some("unauthorized: token_invalid"),
        );
    }
}

#[harness::test]
async fn every_command_answers_an_invalid_payload_with_an_error_and_keeps_the_connection() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    for transport in Transport::ALL {
        let mut socket = app.connect(&alice, transport).await;
        for command in COMMANDS.iter().map(|it| it.name) {
            // An empty `sync` is valid and requests everything.
            let empty = if command == "sync" { json!({"since": []}) } else { json!({}) };
            let wrong = json!({"chat": 1, "message": [], "since": 1, "users": "all"});
            for payload in [json!(null), json!(7), json!("text"), json!([1, 2]), empty, wrong] {
                let ack = socket.call(command, payload.clone()).await;
                assert_eq!(ack["error"]["code"], json!("validation_failed"), "{command} {payload}: {ack}");
                assert!(
                    ack["error"]["errors"].as_object().is_some_and(|it| !it.is_empty()),
                    "{command}: {ack}"
                );
                socket.emit(command, payload).await;
                assert_eq!(socket.next("exception").await["event"], json!(command));
            }
        }
        let unknown = socket.call("make_coffee", json!({})).await;
        assert_eq!(unknown["error"]["code"], json!("unknown_event"));
        socket.emit("make_coffee", json!({})).await;
        assert_eq!(socket.next("exception").await["error"]["code"], json!("unknown_event"));
    }
}

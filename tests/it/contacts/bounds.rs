//! How many chats a user may have, and repeats of the same text.

use std::time::Duration;

use serde_json::{Value, json};

use super::{code, direct, done, message, taken_at_once, user};
use crate::support::{TestApp, Transport};

#[harness::test]
async fn the_number_of_chats_per_user_is_limited() {
    let app = TestApp::with(&[("MAX_CHATS_PER_USER", "2")]).await;
    let (alice, bob, carol) = app.three().await;
    let mut a = app.connect(&alice, Transport::MAIN).await;
    let mut b = app.connect(&bob, Transport::MAIN).await;
    let mut c = app.connect(&carol, Transport::MAIN).await;
    for person in [&alice, &carol] {
        done(&mut b, "follow", user(person)).await;
    }
    app.group(&mut a, &[&bob]).await;
    direct(&mut a, &bob).await;
    let payload =
        |members: Value| json!({"chat": {"name": "more", "is_group": true, "members_array": members}});
    let refused = a.call("create_chat", payload(json!([]))).await;
    assert_eq!(code(&refused), "validation_failed", "{refused}");
    assert!(refused["error"]["errors"]["chat"].is_array(), "{refused}");
    let refused = c.call("create_chat", payload(json!([bob.id]))).await;
    assert!(refused["error"]["errors"]["chat.members_array"].is_array(), "{refused}");
    let group = app.group(&mut c, &[]).await;
    let add = json!({"chat": {"id": group}, "user": {"id": bob.id}});
    let refused = c.call("add_member", add.clone()).await;
    assert!(refused["error"]["errors"]["user.id"].is_array(), "{refused}");
    // A user at the limit still finds existing chats, and has room again after leaving one.
    direct(&mut b, &alice).await;
    let old = app.get("/chat", &bob).await;
    let left =
        old.as_array().expect("a list").iter().find(|it| it["is_group"] == json!(true)).expect("group");
    done(&mut b, "leave_chat", json!({"chat": {"id": left["id"]}})).await;
    done(&mut c, "add_member", add).await;
    assert_eq!(app.get(&format!("/chat/{group}"), &bob).await["member_count"], json!(2));
}

#[harness::test]
async fn strangers_cannot_use_up_the_chat_limit_of_a_user() {
    let app = TestApp::with(&[("MAX_CHATS_PER_USER", "60"), ("MAX_GROUPS_PER_USER", "60")]).await;
    let (alice, bob, _) = app.three().await;
    let mut a = app.connect(&alice, Transport::MAIN).await;
    let mut b = app.connect(&bob, Transport::MAIN).await;
    for _ in 0..6 {
        app.group(&mut a, &[&bob]).await;
    }
    let payload = json!({"chat": {"name": "one more", "is_group": true, "members_array": [bob.id]}});
    let refused = a.call("create_chat", payload.clone()).await;
    assert!(refused["error"]["errors"]["chat.members_array"].is_array(), "{refused}");
    let empty = app.group(&mut a, &[]).await;
    let add = json!({"chat": {"id": empty}, "user": {"id": bob.id}});
    let refused = a.call("add_member", add.clone()).await;
    assert!(refused["error"]["errors"]["user.id"].is_array(), "{refused}");
    // These chats do not count towards bob's limit: he can still have as many others as any user.
    for _ in 0..59 {
        app.group(&mut b, &[]).await;
    }
    // They count as soon as he follows her.
    done(&mut b, "follow", user(&alice)).await;
    let refused = a.call("add_member", add.clone()).await;
    assert!(refused["error"]["errors"]["user.id"].to_string().contains("the most chats"), "{refused}");
    done(&mut b, "unfollow", user(&alice)).await;
    done(&mut b, "create_chat", json!({"chat": {"name": "60", "is_group": true, "members_array": []}})).await;
}

#[harness::test]
async fn the_number_of_groups_that_a_user_creates_is_limited() {
    let app = TestApp::with(&[("MAX_GROUPS_PER_USER", "1")]).await;
    let (alice, bob, _) = app.three().await;
    let mut a = app.connect(&alice, Transport::MAIN).await;
    let mut b = app.connect(&bob, Transport::MAIN).await;
    let group = app.group(&mut a, &[&bob]).await;
    let payload = json!({"chat": {"name": "more", "is_group": true, "members_array": []}});
    let refused = a.call("create_chat", payload.clone()).await;
    assert_eq!(code(&refused), "validation_failed", "{refused}");
    assert!(refused["error"]["errors"]["chat"].is_array(), "{refused}");
    direct(&mut a, &bob).await;
    done(&mut b, "create_chat", payload).await;
    let hand_over = json!({"chat": {"id": group}, "user": {"id": bob.id}, "role": "owner"});
    // A chat that is handed over still counts for its creator: a user cannot use up another user's limit.
    done(&mut a, "set_member_role", hand_over).await;
    assert_eq!(app.get(&format!("/chat/{group}"), &bob).await["owner_id"], json!(bob.id));
    let refused =
        a.call("create_chat", json!({"chat": {"name": "x", "is_group": true, "members_array": []}}));
    assert_eq!(code(&refused.await), "validation_failed");
}

#[harness::test]
async fn a_repeated_text_is_rejected_within_the_duplicate_window_only() {
    let app = TestApp::with(&[("DUPLICATE_WINDOW_MS", "1500")]).await;
    let (alice, bob, carol) = app.three().await;
    let mut a = app.connect(&alice, Transport::MAIN).await;
    let mut b = app.connect(&bob, Transport::MAIN).await;
    let chat = app.group(&mut a, &[&bob, &carol]).await;
    let other = direct(&mut a, &bob).await;
    done(&mut a, "send_message", message(chat, "hi")).await;
    let refused = a.call("send_message", message(chat, "hi")).await;
    assert_eq!(code(&refused), "duplicate_message", "{refused}");
    assert!(refused["error"]["errors"]["message.content"].is_array(), "{refused}");
    // Another text, chat, user or message type is not a repeat.
    done(&mut a, "send_message", message(chat, "hi!")).await;
    done(&mut a, "send_message", message(other, "hi")).await;
    done(&mut b, "send_message", message(chat, "hi")).await;
    let markdown = json!({"message": {"chat_id": chat, "content": "hi", "message_type": "markdown"}});
    done(&mut a, "send_message", markdown).await;
    // A repeat with its own `client_id` is intended.
    for mark in ["one", "two"] {
        let marked =
            json!({"message": {"chat_id": chat, "content": "hi", "message_type": "text", "client_id": mark}});
        done(&mut a, "send_message", marked).await;
    }
    // Many at once, in one commit or several: one is accepted.
    let wishes = (0..40).map(|_| message(chat, "click"));
    assert_eq!(taken_at_once(&mut a, wishes).await, 1);
    tokio::time::sleep(Duration::from_millis(1_600)).await;
    done(&mut a, "send_message", message(chat, "hi")).await;
    let said = app.contents(chat, &carol).await;
    assert_eq!(said, ["hi", "hi!", "hi", "hi", "hi", "hi", "click", "hi"]);
}

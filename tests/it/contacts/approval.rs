//! `CONTACT_POLICY=approval`: what a stranger can do in a direct chat before it is approved, and attempts to get around
//! it.

use serde_json::json;

use super::{code, direct, done, message, taken_at_once, user};
use crate::support::{Person, TestApp, Transport};

#[harness::test]
async fn a_direct_chat_from_a_stranger_accepts_one_message_until_it_is_approved() {
    let app = TestApp::with(&[("CONTACT_POLICY", "approval")]).await;
    let (alice, bob, carol) = app.three().await;
    let mut a = app.connect(&alice, Transport::MAIN).await;
    let mut b = app.connect(&bob, Transport::ALL[1]).await;
    let chat = direct(&mut a, &bob).await;
    // A chat without a message appears in none of the other user's lists.
    assert_eq!(app.get("/chat?state=pending", &bob).await, json!([]));
    let first =
        json!({"message": {"chat_id": chat, "content": "hi", "message_type": "text", "client_id": "1"}});
    done(&mut a, "send_message", first.clone()).await;
    let pending = app.get("/chat?state=pending", &bob).await;
    assert_eq!(pending[0]["id"], json!(chat), "{pending}");
    assert_eq!(pending[0]["approved"], json!(false));
    let active = |person: Person| {
        let app = &app;
        async move {
            let list = app.get("/chat", &person).await;
            list.as_array()
                .expect("a list")
                .iter()
                .map(|it| it["id"].as_i64().expect("id"))
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(active(bob.clone()).await, Vec::<i64>::new());
    assert_eq!(active(alice.clone()).await, [chat]);
    // A retry of the first message is a duplicate. A second message is rejected, from both sides, even if many are sent
    // at once.
    let again = done(&mut a, "send_message", first).await;
    assert_eq!(again["duplicate"], json!(true));
    let mut waiting = Vec::new();
    for number in 0..20 {
        waiting.push(a.begin("send_message", message(chat, &format!("second {number}"))).await);
    }
    for id in waiting {
        let refused = a.ack(id).await;
        assert_eq!(code(&refused), "approval_pending", "{refused}");
    }
    let refused = b.call("send_message", message(chat, "who are you?")).await;
    assert_eq!(code(&refused), "approval_pending", "{refused}");
    // Only the recipient decides.
    let this = json!({"chat": {"id": chat}});
    for command in ["approve_chat", "decline_chat"] {
        assert_eq!(code(&a.call(command, this.clone()).await), "forbidden", "{command}");
        let mut c = app.connect(&carol, Transport::MAIN).await;
        assert_eq!(code(&c.call(command, this.clone()).await), "not_found", "{command}");
    }
    let before = app.get(&format!("/chat/{chat}"), &bob).await;
    done(&mut b, "approve_chat", this.clone()).await;
    let told = a.next("chat_approved").await;
    assert_eq!(told["details"]["approved"], json!(true), "{told}");
    let after = app.get(&format!("/chat/{chat}"), &bob).await;
    assert_ne!(before["created_at"], after["created_at"], "it begins with the approval");
    assert_eq!(active(bob.clone()).await, [chat]);
    assert_eq!(app.get("/chat?state=pending", &bob).await, json!([]));
    done(&mut b, "send_message", message(chat, "hello")).await;
    done(&mut a, "send_message", message(chat, "nice")).await;
    let refused = b.call("decline_chat", this).await;
    assert_eq!(code(&refused), "forbidden", "it was approved: {refused}");
    assert_eq!(app.contents(chat, &alice).await, ["hi", "hello", "nice"]);
}

#[harness::test]
async fn of_many_concurrent_first_messages_one_is_accepted() {
    let app = TestApp::with(&[("CONTACT_POLICY", "approval")]).await;
    let (alice, bob, _) = app.three().await;
    let mut a = app.connect(&alice, Transport::MAIN).await;
    let chat = direct(&mut a, &bob).await;
    let wishes = (0..50).map(|number| message(chat, &format!("first {number}")));
    assert_eq!(taken_at_once(&mut a, wishes).await, 1);
    assert_eq!(app.contents(chat, &bob).await, ["first 0"]);
}

#[harness::test]
async fn a_concurrent_retry_of_the_first_message_is_a_duplicate() {
    let app = TestApp::with(&[("CONTACT_POLICY", "approval")]).await;
    let (alice, bob, carol) = app.three().await;
    let mut a = app.connect(&alice, Transport::MAIN).await;
    let group = app.group(&mut a, &[&carol]).await;
    for round in 0..5 {
        let other = app.person(&format!("other{round}")).await;
        let chat = direct(&mut a, &other).await;
        let first = json!({"message": {"chat_id": chat, "content": "hi", "message_type": "text", "client_id": format!("f{round}")}});
        // The writer is busy with other messages, so the first message and its retry share one commit.
        let mut begun = Vec::new();
        for number in 0..5 {
            begun.push(a.feed("send_message", message(group, &format!("{round} {number}"))).await);
        }
        let pair = [a.feed("send_message", first.clone()).await, a.feed("send_message", first).await];
        a.flush().await;
        for id in begun {
            a.ack(id).await;
        }
        for (id, duplicate) in pair.into_iter().zip([false, true]) {
            let ack = a.ack(id).await;
            assert_eq!((&ack["ok"], &ack["duplicate"]), (&json!(true), &json!(duplicate)), "{ack}");
        }
        assert_eq!(app.contents(chat, &other).await, ["hi"]);
    }
    drop(bob);
}

#[harness::test]
async fn no_command_bypasses_a_pending_approval() {
    let app = TestApp::with(&[("CONTACT_POLICY", "approval")]).await;
    let (alice, bob, _) = app.three().await;
    let mut a = app.connect(&alice, Transport::MAIN).await;
    let mut b = app.connect(&bob, Transport::MAIN).await;
    let chat = direct(&mut a, &bob).await;
    let sent = done(&mut a, "send_message", message(chat, "hi")).await;
    let id = &sent["message"]["id"];
    b.rest().await;
    for (command, payload) in [
        ("edit_message", json!({"message": {"id": id, "content": "second"}})),
        ("toggle_like_message", json!({"message": {"id": id, "liked": true}})),
    ] {
        let refused = a.call(command, payload).await;
        assert_eq!(code(&refused), "approval_pending", "{command}: {refused}");
    }
    done(&mut a, "typing", json!({"chat": {"id": chat}, "is_typing": true})).await;
    b.expect_silence().await;
    a.rest().await;
    done(&mut b, "mark_read", json!({"chat": {"id": chat}})).await;
    a.expect_silence().await;
    // A sender may delete the message, but that does not allow another one.
    done(&mut a, "delete_message", json!({"message": {"id": id}})).await;
    let refused = a.call("send_message", message(chat, "another")).await;
    assert_eq!(code(&refused), "approval_pending", "{refused}");
    assert_eq!(app.contents(chat, &bob).await, [""]);
}

#[harness::test]
async fn creating_the_direct_chat_that_a_stranger_created_approves_it() {
    let app = TestApp::with(&[("CONTACT_POLICY", "approval")]).await;
    let (alice, bob, _) = app.three().await;
    let mut a = app.connect(&alice, Transport::MAIN).await;
    let mut b = app.connect(&bob, Transport::MAIN).await;
    // A chat without a message appears in none of bob's lists.
    let chat = direct(&mut a, &bob).await;
    let payload = json!({
        "chat": {"is_group": false, "members_array": [alice.id]},
        "message": {"content": "I know you", "message_type": "text"},
    });
    let ack = done(&mut b, "create_chat", payload).await;
    assert_eq!((&ack["chat"]["id"], &ack["chat"]["approved"]), (&json!(chat), &json!(true)), "{ack}");
    a.next("chat_approved").await;
    assert_eq!(a.next("new_message").await["content"], json!("I know you"));
    done(&mut a, "send_message", message(chat, "and I you")).await;
    assert_eq!(app.contents(chat, &bob).await, ["I know you", "and I you"]);
}

#[harness::test]
async fn followed_users_and_groups_need_no_approval() {
    let app = TestApp::with(&[("CONTACT_POLICY", "approval")]).await;
    let (alice, bob, carol) = app.three().await;
    let mut a = app.connect(&alice, Transport::MAIN).await;
    let mut b = app.connect(&bob, Transport::MAIN).await;
    // Following the recipient does not help the sender.
    done(&mut a, "follow", user(&bob)).await;
    let payload = |with: &Person| json!({"chat": {"is_group": false, "members_array": [with.id]}});
    let ack = done(&mut b, "create_chat", payload(&alice)).await;
    assert_eq!(ack["chat"]["approved"], json!(true), "alice follows bob: {ack}");
    let ack = done(&mut a, "create_chat", payload(&carol)).await;
    assert_eq!(ack["chat"]["approved"], json!(false), "carol does not follow alice: {ack}");
    let group = app.group(&mut a, &[&carol]).await;
    assert_eq!(app.get(&format!("/chat/{group}"), &carol).await["approved"], json!(true));
    let refused = a.call("approve_chat", json!({"chat": {"id": group}})).await;
    assert_eq!(code(&refused), "forbidden", "{refused}");
}

#[harness::test]
async fn a_stranger_does_not_see_read_marks() {
    let app = TestApp::with(&[("CONTACT_POLICY", "approval")]).await;
    let (alice, bob, _) = app.three().await;
    let mut a = app.connect(&alice, Transport::MAIN).await;
    let mut b = app.connect(&bob, Transport::MAIN).await;
    let chat = direct(&mut a, &bob).await;
    done(&mut a, "send_message", message(chat, "hi")).await;
    done(&mut b, "mark_read", json!({"chat": {"id": chat}})).await;
    let read = async |of: &Person, by: &Person| {
        let details = app.get(&format!("/chat/{chat}"), by).await["members"].clone();
        let list = app.get(&format!("/chat/{chat}/members"), by).await;
        let seq = |members: &serde_json::Value| {
            let all = members.as_array().expect("a list").clone();
            all.into_iter().find(|it| it["user"]["id"] == json!(of.id)).expect("a member")["last_read_seq"]
                .clone()
        };
        assert_eq!(seq(&details), seq(&list));
        seq(&list).as_i64().expect("a number")
    };
    assert_eq!(read(&bob, &alice).await, 0);
    assert!(read(&bob, &bob).await > 0, "he sees his own");
    done(&mut b, "approve_chat", json!({"chat": {"id": chat}})).await;
    assert!(read(&bob, &alice).await > 0);
}

#[harness::test]
async fn a_declined_stranger_cannot_create_the_chat_again() {
    let app = TestApp::with(&[("CONTACT_POLICY", "approval")]).await;
    let (alice, bob, carol) = app.three().await;
    let mut a = app.connect(&alice, Transport::MAIN).await;
    let mut b = app.connect(&bob, Transport::MAIN).await;
    let chat = direct(&mut a, &bob).await;
    done(&mut a, "send_message", message(chat, "hi")).await;
    done(&mut b, "decline_chat", json!({"chat": {"id": chat}})).await;
    let payload = json!({"chat": {"is_group": false, "members_array": [bob.id]}});
    let refused = a.call("create_chat", payload.clone()).await;
    assert_eq!(code(&refused), "contact_required", "{refused}");
    assert!(refused["error"]["errors"]["chat.members_array"].is_array(), "{refused}");
    direct(&mut a, &carol).await;
    // The user who declined may write, and a user who is followed needs no approval.
    direct(&mut b, &alice).await;
    let mut c = app.connect(&carol, Transport::MAIN).await;
    let declined = app.get("/chat", &alice).await[0]["id"].clone();
    assert!(declined.is_i64());
    let chat = direct(&mut c, &bob).await;
    done(&mut c, "send_message", message(chat, "hi")).await;
    done(&mut b, "decline_chat", json!({"chat": {"id": chat}})).await;
    assert_eq!(code(&c.call("create_chat", payload.clone()).await), "contact_required");
    done(&mut b, "follow", user(&carol)).await;
    done(&mut c, "create_chat", payload).await;
}

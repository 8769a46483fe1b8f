//! Contacts, which are private to each user, and direct chats that wait for approval.

use serde_json::{Value, json};

use super::{ALICE, BOB, CAROL, World, message};

fn user(id: i64) -> Value {
    json!({"user": {"id": id}})
}

fn direct(with: i64) -> Value {
    json!({
        "chat": {"is_group": false, "members_array": [with]},
        "message": {"content": "do you know me?", "message_type": "text"},
    })
}

#[harness::test]
async fn contacts_are_equal_on_all_devices() {
    for transport in [0, 1] {
        let mut world = World::new(transport).await;
        let (bob, carol) = (world.id(BOB), world.id(CAROL));
        world.change(ALICE, "follow", user(bob), &["followed"]).await;
        world.same(ALICE, "follow", user(bob)).await;
        world.same(ALICE, "unfollow", user(carol)).await;
        world.change(ALICE, "follow", user(carol), &["followed"]).await;
        world.change(ALICE, "unfollow", user(carol), &["unfollowed"]).await;
        // Blocking ends following.
        world.change(ALICE, "block", user(bob), &["blocked"]).await;
        world.same(ALICE, "block", user(bob)).await;
        world.same(ALICE, "unfollow", user(bob)).await;
        world.change(ALICE, "unblock", user(bob), &["unblocked"]).await;
        world.same(ALICE, "unblock", user(bob)).await;
        world.change(BOB, "follow", user(world.id(ALICE)), &["followed"]).await;
        world.finish("contacts");
    }
}

#[harness::test]
async fn a_pending_direct_chat_is_equal_for_both_members() {
    for transport in [0, 1] {
        let mut world = World::with(transport, &[("CONTACT_POLICY", "approval")]).await;
        let (alice, bob) = (world.id(ALICE), world.id(BOB));
        let ack = world.change(ALICE, "create_chat", direct(bob), &["chat_created", "new_message"]).await;
        assert_eq!(ack["chat"]["approved"], json!(false), "{ack}");
        let chat = ack["chat"]["id"].as_i64().expect("an id");
        let this = json!({"chat": {"id": chat}});
        world.change(BOB, "approve_chat", this.clone(), &["chat_approved"]).await;
        world.same(BOB, "approve_chat", this).await;
        world.say(ALICE, chat, "now you do").await;
        world.say(BOB, chat, "pleased to meet you").await;
        world.finish("approval");

        let ack = world.change(CAROL, "create_chat", direct(alice), &["chat_created"]).await;
        let chat = ack["chat"]["id"].as_i64().expect("an id");
        let this = json!({"chat": {"id": chat}});
        world.change(ALICE, "decline_chat", this, &["chat_declined"]).await;
        world.finish("declining");
        // The user who declined may start a chat again, which is then a new one.
        let carol = world.id(CAROL);
        let again = world.change(ALICE, "create_chat", direct(carol), &["chat_created"]).await;
        assert_ne!(again["chat"]["id"], json!(chat), "{again}");
        let payload = message(chat, "are you there?");
        let gone = world.devices[CAROL].call("send_message", payload).await;
        assert_eq!(gone["error"]["code"], json!("not_found"), "{gone}");
    }
}

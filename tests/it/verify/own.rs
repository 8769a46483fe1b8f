//! A user's own state (pins, mutes, archives, read marks), and profiles, which all users see.

use reqwest::Method;
use serde_json::json;

use super::{ALICE, BOB, CAROL, World};

#[harness::test]
async fn own_state_is_equal_on_all_devices() {
    for transport in [0, 1] {
        let mut world = World::new(transport).await;
        let chat = world.group().await;
        for (command, field, on, off) in [
            ("toggle_chat_pin", "pinned", "chat_pinned", "chat_unpinned"),
            ("toggle_chat_archive", "archived", "chat_archived", "chat_unarchived"),
            ("toggle_chat_mute", "muted", "chat_muted", "chat_unmuted"),
        ] {
            let payload = |value: bool| json!({"chat": {"id": chat, field: value}});
            world.change(ALICE, command, payload(true), &[on]).await;
            world.same(ALICE, command, payload(true)).await;
            world.change(ALICE, command, json!({"chat": {"id": chat}}), &[off]).await;
            world.same(ALICE, command, payload(false)).await;
            world.change(ALICE, command, payload(true), &[on]).await;
        }
        let for_an_hour = json!({"chat": {"id": chat, "muted": true, "seconds": 3_600}});
        world.change(ALICE, "toggle_chat_mute", for_an_hour, &["chat_muted"]).await;

        let first = world.say(BOB, chat, "one").await;
        world.say(BOB, chat, "two").await;
        world.say(ALICE, chat, "three").await;
        world.say(CAROL, chat, "four").await;
        let upto = json!({"chat": {"id": chat}, "last_read_message_id": first});
        let ack = world.change(ALICE, "mark_read", upto.clone(), &["chat_read"]).await;
        assert_eq!(ack["unread"], json!(2), "{ack}");
        world.same(ALICE, "mark_read", upto.clone()).await;
        let ack = world.change(ALICE, "mark_read", json!({"chat": {"id": chat}}), &["chat_read"]).await;
        assert_eq!(ack["unread"], json!(0), "{ack}");
        // The mark never moves back.
        world.same(ALICE, "mark_read", upto).await;
        world.same(ALICE, "mark_read", json!({"chat": {"id": chat}, "seq": 1})).await;
        world.change(BOB, "mark_read", json!({"chat": {"id": chat}, "seq": 999}), &["chat_read"]).await;
        let draft = |content: &str| json!({"chat": {"id": chat}, "content": content, "reply_to": first});
        world.change(ALICE, "save_draft", draft("to be conti"), &["draft_saved"]).await;
        world.same(ALICE, "save_draft", draft("to be conti")).await;
        world.change(ALICE, "save_draft", draft(""), &["draft_saved"]).await;
        world.change(ALICE, "save_draft", draft("kept"), &["draft_saved"]).await;
        // An archived chat returns with the next message, unless it is muted.
        let archive = |on: bool| json!({"chat": {"id": chat, "archived": on}});
        let unmute = json!({"chat": {"id": chat, "muted": false}});
        world.change(ALICE, "toggle_chat_archive", archive(false), &["chat_unarchived"]).await;
        world.change(ALICE, "toggle_chat_mute", unmute, &["chat_unmuted"]).await;
        world.change(ALICE, "toggle_chat_archive", archive(true), &["chat_archived"]).await;
        let ring = super::message(chat, "wake up");
        world.change(BOB, "send_message", ring, &["new_message", "chat_unarchived"]).await;
        world.finish("own");
    }
}

#[harness::test]
async fn profiles_are_equal_live_and_fetched() {
    let mut world = World::new(0).await;
    let chat = world.group().await;
    world.say(ALICE, chat, "who am I?").await;
    let before = world.before();
    let token = world.devices[ALICE].person.access.clone();
    let (status, me) =
        world.app.send(Method::PATCH, "/user/me", Some(&token), Some(json!({"name": "Alice A."}))).await;
    assert_eq!(status, 200, "{me}");
    world.settle("PATCH /user/me", before, &["user_updated"]).await;
    let before = world.before();
    let (status, _) =
        world.app.send(Method::PATCH, "/user/me", Some(&token), Some(json!({"name": "Alice A."}))).await;
    assert_eq!(status, 200);
    world.settle("PATCH /user/me again", before, &[]).await;
    world.finish("profile");
}

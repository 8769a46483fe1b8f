//! Groups: created, changed, joined, left, handed over and deleted.

use reqwest::Method;
use serde_json::json;

use super::{ALICE, BOB, CAROL, World, message, with_user};

async fn groups(transport: usize) {
    let mut world = World::new(transport).await;
    let (bob, carol, dave) = (world.id(BOB), world.id(CAROL), world.dave.id);
    let payload = json!({
        "chat": {"name": "trip", "is_group": true, "members_array": [bob, carol], "client_id": "trip"},
        "message": {"content": "where to?", "message_type": "text"},
    });
    let ack = world.change(ALICE, "create_chat", payload.clone(), &["chat_created", "new_message"]).await;
    let chat = ack["chat"]["id"].as_i64().expect("an id");
    let again = world.same(ALICE, "create_chat", payload).await;
    assert_eq!(again["chat"]["id"], ack["chat"]["id"], "{again}");

    let rename = json!({"chat": {"id": chat, "name": "holiday", "description": "sun"}});
    world.change(ALICE, "update_chat", rename.clone(), &["chat_updated"]).await;
    world.same(ALICE, "update_chat", rename).await;
    world
        .change(ALICE, "update_chat", json!({"chat": {"id": chat, "description": null}}), &["chat_updated"])
        .await;

    world.change(ALICE, "add_member", with_user(chat, dave), &["member_added"]).await;
    world.same(ALICE, "add_member", with_user(chat, dave)).await;
    let mut role = with_user(chat, bob);
    role["role"] = json!("admin");
    world.change(ALICE, "set_member_role", role.clone(), &["member_role_changed"]).await;
    world.same(ALICE, "set_member_role", role).await;
    world.say(BOB, chat, "the sea").await;
    world.change(BOB, "remove_member", with_user(chat, dave), &["member_removed"]).await;
    world.same(BOB, "remove_member", with_user(chat, dave)).await;
    // A removed member receives nothing, and after being added again gets everything that was sent meanwhile.
    world.say(ALICE, chat, "the mountains").await;
    world.change(BOB, "add_member", with_user(chat, dave), &["member_added"]).await;
    let mut hand_over = with_user(chat, carol);
    hand_over["role"] = json!("owner");
    world.change(ALICE, "set_member_role", hand_over, &["member_role_changed"]).await;
    world.say(CAROL, chat, "mine now").await;
    world.change(CAROL, "remove_member", with_user(chat, bob), &["member_removed"]).await;
    world.finish("groups");
}

#[harness::test]
async fn groups_are_equal_live_synced_and_fetched() {
    groups(0).await;
}

#[harness::test]
async fn groups_are_equal_over_the_plain_websocket() {
    groups(1).await;
}

/// Dave's device.
const DAVE: usize = 4;

#[harness::test]
async fn joining_by_invite_and_bans_are_equal_live_synced_and_fetched() {
    for transport in [0, 1] {
        let mut world = World::new(transport).await;
        let chat = world.group().await;
        let dave = with_user(chat, world.dave.id);
        let token = world.devices[ALICE].person.access.clone();
        let path = format!("/chat/{chat}/invite");
        let invite = async |world: &World, body| {
            let (status, invite) = world.app.send(Method::POST, &path, Some(&token), Some(body)).await;
            assert_eq!(status, 201, "{invite}");
            json!({"invite": {"token": invite["token"]}})
        };
        let free = invite(&world, json!({})).await;
        let approved = invite(&world, json!({"approval": true})).await;
        world.say(BOB, chat, "come in").await;
        let ack = world.change(DAVE, "accept_invite", free.clone(), &["member_added"]).await;
        assert_eq!(ack["chat"]["id"], json!(chat));
        world.same(DAVE, "accept_invite", free.clone()).await;
        world.say(DAVE, chat, "thanks").await;
        world.change(ALICE, "ban_member", dave.clone(), &["member_removed"]).await;
        world.same(ALICE, "ban_member", dave.clone()).await;
        assert_eq!(world.same(DAVE, "accept_invite", free).await["error"]["code"], json!("forbidden"));
        world.change(ALICE, "unban_member", dave.clone(), &[]).await;
        world.same(ALICE, "unban_member", dave.clone()).await;
        let ack = world.change(DAVE, "accept_invite", approved.clone(), &["join_requested"]).await;
        assert_eq!((&ack["chat"], &ack["requested"]), (&json!(null), &json!(true)));
        world.same(DAVE, "accept_invite", approved.clone()).await;
        world.change(ALICE, "decline_join", dave.clone(), &["join_declined"]).await;
        world.same(ALICE, "decline_join", dave.clone()).await;
        world.change(DAVE, "accept_invite", approved, &["join_requested"]).await;
        world.change(ALICE, "approve_join", dave.clone(), &["member_added"]).await;
        world.same(ALICE, "approve_join", dave).await;
        let slow = json!({"chat": {"id": chat, "slow_mode_secs": 30}});
        world.change(ALICE, "update_chat", slow, &["chat_updated"]).await;
        world.finish("access");
    }
}

#[harness::test]
async fn ended_groups_and_memberships_are_equal_live_synced_and_fetched() {
    for transport in [0, 1] {
        let mut world = World::new(transport).await;
        let chat = world.group().await;
        let this = json!({"chat": {"id": chat}});
        world.say(BOB, chat, "I am off").await;
        world.change(BOB, "leave_chat", this.clone(), &["member_removed"]).await;
        let again = world.same(BOB, "leave_chat", this.clone()).await;
        assert_eq!(again["error"]["code"], json!("not_found"));
        // Carol becomes the owner in the same transaction.
        world.change(ALICE, "leave_chat", this.clone(), &["member_role_changed", "member_removed"]).await;
        world.same(ALICE, "send_message", message(chat, "still here?")).await;
        world.change(CAROL, "leave_chat", this.clone(), &["chat_deleted"]).await;

        let chat = world.group().await;
        let this = json!({"chat": {"id": chat}});
        world.say(CAROL, chat, "not for long").await;
        world.change(ALICE, "delete_chat", this.clone(), &["chat_deleted"]).await;
        let again = world.same(ALICE, "delete_chat", this).await;
        assert_eq!(again["error"]["code"], json!("not_found"));
        world.finish("endings");
    }
}

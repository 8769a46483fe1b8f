//! Messages: sent, replied to, edited, liked, deleted; in groups and in direct chats.

use serde_json::json;

use super::{ALICE, BOB, CAROL, World, message};

async fn messages(transport: usize) {
    let mut world = World::new(transport).await;
    let chat = world.group().await;
    let mut payload = message(chat, "lunch?");
    payload["message"]["client_id"] = json!("lunch");
    let ack = world.change(ALICE, "send_message", payload.clone(), &["new_message"]).await;
    let again = world.same(ALICE, "send_message", payload).await;
    assert_eq!((&again["duplicate"], &again["message"]["id"]), (&json!(true), &ack["message"]["id"]));
    let lunch = ack["message"]["id"].as_i64().expect("an id");
    let mut answer = message(chat, "yes");
    answer["message"]["reply_to"] = json!(lunch);
    let ack = world.change(BOB, "send_message", answer, &["new_message"]).await;
    let yes = ack["message"]["id"].as_i64().expect("an id");

    let edit = json!({"message": {"id": lunch, "content": "lunch at noon?"}});
    world.change(ALICE, "edit_message", edit.clone(), &["message_edited"]).await;
    world.same(ALICE, "edit_message", edit).await;

    let like = |id: i64, liked: bool| json!({"message": {"id": id, "liked": liked}});
    world.change(ALICE, "toggle_like_message", like(yes, true), &["message_liked"]).await;
    world.same(ALICE, "toggle_like_message", like(yes, true)).await;
    world.change(CAROL, "toggle_like_message", json!({"message": {"id": yes}}), &["message_liked"]).await;
    world.change(ALICE, "toggle_like_message", like(yes, false), &["message_liked"]).await;
    world.change(BOB, "toggle_like_message", like(lunch, true), &["message_liked"]).await;
    let later = json!({"message": {"id": lunch, "content": "lunch at one?"}});
    world.change(ALICE, "edit_message", later, &["message_edited"]).await;

    let react = |id: i64, emoji: &str, on: bool| json!({"message": {"id": id, "emoji": emoji}, "on": on});
    world.change(BOB, "toggle_reaction", react(lunch, "🥭", true), &["message_reacted"]).await;
    world.same(BOB, "toggle_reaction", react(lunch, "🥭", true)).await;
    world.change(CAROL, "toggle_reaction", react(lunch, "🥭", true), &["message_reacted"]).await;
    world.change(BOB, "toggle_reaction", react(lunch, "❤", true), &["message_reacted"]).await;
    world.change(BOB, "toggle_reaction", react(lunch, "🥭", false), &["message_reacted"]).await;
    world.change(ALICE, "toggle_reaction", react(yes, "👍🏽", true), &["message_reacted"]).await;
    let pin = |id: i64, pinned: bool| json!({"message": {"id": id, "pinned": pinned}});
    world.change(ALICE, "toggle_message_pin", pin(yes, true), &["message_pinned"]).await;
    world.same(ALICE, "toggle_message_pin", pin(yes, true)).await;
    world.change(ALICE, "toggle_message_pin", pin(yes, false), &["message_unpinned"]).await;
    world.change(ALICE, "toggle_message_pin", pin(lunch, true), &["message_pinned"]).await;
    let mention = message(chat, "@bob and @carol, but not @dave or @nobody");
    let ack = world.change(ALICE, "send_message", mention, &["new_message"]).await;
    assert_eq!(ack["message"]["mentions"], json!([world.id(BOB), world.id(CAROL)]));
    let mention = ack["message"]["id"].as_i64().expect("an id");
    let edit = json!({"message": {"id": mention, "content": "only @bob"}});
    world.change(ALICE, "edit_message", edit, &["message_edited"]).await;
    world.change(ALICE, "send_message", message(chat, "@all hear me"), &["new_message"]).await;
    let forward = json!({"message": {"id": yes, "client_id": "again"}, "chat": {"id": chat}});
    let ack = world.change(CAROL, "forward_message", forward.clone(), &["new_message"]).await;
    assert_eq!(ack["message"]["forwarded_from"]["user"]["id"], json!(world.id(BOB)));
    assert_eq!(world.same(CAROL, "forward_message", forward).await["duplicate"], json!(true));

    let gone = |id: i64| json!({"message": {"id": id}});
    world.change(ALICE, "delete_message", gone(mention), &["message_deleted"]).await;
    world.change(ALICE, "delete_message", gone(lunch), &["message_deleted"]).await;
    world.same(ALICE, "delete_message", gone(lunch)).await;
    // The owner deletes a message of another member, with its likes.
    world.change(ALICE, "delete_message", gone(yes), &["message_deleted"]).await;
    world.finish("messages");
}

#[harness::test]
async fn messages_are_equal_live_synced_and_fetched() {
    messages(0).await;
}

#[harness::test]
async fn messages_are_equal_over_the_plain_websocket() {
    messages(1).await;
}

#[harness::test]
async fn direct_chats_are_equal_live_synced_and_fetched() {
    for transport in [0, 1] {
        let mut world = World::new(transport).await;
        let payload = json!({"chat": {"is_group": false, "members_array": [world.id(BOB)]}});
        let ack = world.change(ALICE, "create_chat", payload.clone(), &["chat_created"]).await;
        let chat = ack["chat"]["id"].as_i64().expect("an id");
        world.same(ALICE, "create_chat", payload.clone()).await;
        let other = json!({"chat": {"is_group": false, "members_array": [world.id(ALICE)]}});
        assert_eq!(world.same(BOB, "create_chat", other).await["chat"]["id"], json!(chat));
        // Creating the chat again with a message sends the message, which makes the chat visible to both.
        let mut first = payload;
        first["message"] = json!({"content": "hi", "message_type": "text", "client_id": "hi"});
        world.change(ALICE, "create_chat", first.clone(), &["new_message"]).await;
        world.same(ALICE, "create_chat", first).await;
        world.say(BOB, chat, "hello").await;
        let mut twice = message(chat, "once");
        twice["message"]["client_id"] = json!("once");
        world.change(BOB, "send_message", twice.clone(), &["new_message"]).await;
        world.same(BOB, "send_message", twice).await;
        world.finish("direct");
    }
}

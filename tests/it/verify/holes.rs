//! Gaps: changes that were committed but never announced, for example because the database's answer to the commit was
//! lost. The next event, or the comparison of heads, brings what is missing and corrects the model.

use mango_chat::domain::dispatch::CommandHandler;
use mango_chat::domain::{Actor, Caller};
use mango_chat::ids::{SessionId, UserId};
use mango_chat::protocol::chats::CreateChat;
use mango_chat::protocol::chats::{DeleteChat, UpdateChat};
use mango_chat::protocol::members::SetMemberRole;
use mango_chat::protocol::members::{AddMember, RemoveMember};
use mango_chat::protocol::messages::{DeleteMessage, EditMessage, ToggleLikeMessage};
use serde_json::{Value, json};

use super::{ALICE, BOB, CAROL, World, message, with_user};
use crate::support::PATIENCE;

impl World {
    /// Commits a command without sending its events.
    async fn unheard<C: CommandHandler>(&self, device: usize, payload: Value) -> Value {
        let command: C = serde_json::from_value(payload).expect("a payload");
        let actor = Actor { user_id: UserId(self.id(device)), session_id: SessionId(0) };
        let caller = Caller::without_socket(actor);
        let outcome = command.run(&self.app.server.context, &caller).await.expect("committed");
        serde_json::to_value(outcome.into_parts().reply).expect("JSON")
    }

    /// Creates the direct chat of Alice and Bob.
    async fn direct(&mut self) -> i64 {
        let payload = self.direct_wish(None);
        let ack = self.change(ALICE, "create_chat", payload, &["chat_created"]).await;
        ack["chat"]["id"].as_i64().expect("an id")
    }

    fn direct_wish(&self, content: Option<&str>) -> Value {
        let mut payload = json!({"chat": {"is_group": false, "members_array": [self.id(BOB)]}});
        if let Some(content) = content {
            payload["message"] = json!({"content": content, "message_type": "text"});
        }
        payload
    }

    /// Stores a message without announcing it; returns its id.
    async fn unheard_message(&self, content: &str) -> i64 {
        let reply = self.unheard::<CreateChat>(ALICE, self.direct_wish(Some(content))).await;
        reply["chat"]["last_message"]["id"].as_i64().expect("an id")
    }

    /// Waits until the comparison of heads has sent something to a device, then settles.
    async fn settle_by_itself(&mut self, what: &str, events: &[&str]) {
        let before = self.before();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut heard = false;
        while !heard {
            assert!(tokio::time::Instant::now() < deadline, "{what}: nobody was told anything by itself");
            heard = !self.devices[BOB].listen().await.is_empty();
        }
        self.settle(what, before, events).await;
    }
}

#[harness::test]
async fn unannounced_messages_are_delivered_before_the_next_one() {
    let mut world = World::new(0).await;
    let chat = world.direct().await;
    world.say(BOB, chat, "heard").await;
    let first = world.unheard_message("one").await;
    let second = world.unheard_message("two").await;
    world.unheard_message("three").await;
    // These changes move the messages up in the order: each is sent once, and nothing between them is skipped.
    world.unheard::<EditMessage>(ALICE, json!({"message": {"id": first, "content": "one, better"}})).await;
    world.unheard::<DeleteMessage>(ALICE, json!({"message": {"id": second}})).await;
    world.say(BOB, chat, "next").await;
}

#[harness::test]
async fn a_message_that_is_edited_while_a_gap_is_filled_hides_no_other_message() {
    let mut world = World::new(0).await;
    let chat = world.direct().await;
    world.say(BOB, chat, "heard").await;
    let first = world.unheard_message("one").await;
    world.unheard_message("two").await;
    world.unheard_message("three").await;
    let before = world.before();
    // The server fills the gap up to the next message, but reads the first one as edited, with a `rev` beyond the gap.
    let context = world.app.server.context.clone();
    let upto = world.app.get(&format!("/chat/{chat}"), &world.devices[ALICE].person).await["rev"].clone();
    world.unheard::<EditMessage>(ALICE, json!({"message": {"id": first, "content": "one, better"}})).await;
    let catch_up = Some((mango_chat::ids::ChatId(chat), upto.as_i64().expect("a rev")));
    context.bus.publish(mango_chat::platform::bus::Batch { catch_up, ..Default::default() }).await;
    let ack = world.devices[BOB].act("send_message", message(chat, "next")).await;
    assert_eq!(ack["ok"], json!(true), "{ack}");
    world.settle("filling", before, &["new_message"]).await;
}

#[harness::test]
async fn unannounced_changes_of_a_chat_are_delivered_before_the_next_message() {
    let mut world = World::new(0).await;
    let chat = world.group().await;
    let (bob, carol, dave) = (world.id(BOB), world.id(CAROL), world.dave.id);
    // A rename, then a new member: both changed the chat, and both are announced.
    world.unheard::<UpdateChat>(ALICE, json!({"chat": {"id": chat, "name": "renamed"}})).await;
    world.unheard::<AddMember>(ALICE, with_user(chat, dave)).await;
    world.say(BOB, chat, "after the rename").await;
    // A removed member receives the removal last; a member who is removed and added again stays.
    world.unheard::<RemoveMember>(ALICE, with_user(chat, carol)).await;
    world.say(BOB, chat, "after Carol").await;
    world.unheard::<RemoveMember>(ALICE, with_user(chat, dave)).await;
    world.unheard::<AddMember>(ALICE, with_user(chat, dave)).await;
    world.say(BOB, chat, "Dave went and came").await;
    let mut owner = with_user(chat, bob);
    owner["role"] = json!("owner");
    world.unheard::<SetMemberRole>(ALICE, owner).await;
    world.say(BOB, chat, "mine").await;
}

#[harness::test]
async fn an_unannounced_like_reaches_all_devices() {
    let mut world = World::new(0).await;
    let chat = world.group().await;
    let message = world.say(BOB, chat, "like me").await;
    world.unheard::<ToggleLikeMessage>(ALICE, json!({"message": {"id": message, "liked": true}})).await;
    world.say(CAROL, chat, "next").await;
}

#[harness::test]
async fn unannounced_changes_are_delivered_by_the_comparison_of_heads() {
    let mut world = World::new(0).await;
    let chat = world.direct().await;
    world.say(BOB, chat, "heard").await;
    world.unheard_message("unheard").await;
    world.settle_by_itself("comparing heads", &[]).await;
    let group = world.group().await;
    world.unheard::<DeleteChat>(ALICE, json!({"chat": {"id": group}})).await;
    world.settle_by_itself("comparing heads of a deleted chat", &[]).await;
}

#[harness::test]
async fn an_unannounced_chat_is_delivered_by_the_comparison_of_heads() {
    let mut world = World::new(0).await;
    let payload = json!({"chat": {"name": "new", "is_group": true, "members_array": [world.id(BOB)]}});
    world.unheard::<CreateChat>(ALICE, payload).await;
    world.settle_by_itself("comparing heads with a new chat", &[]).await;
}

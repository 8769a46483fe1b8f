//! `sync`, point by point of its promise: what a client gets, depending on what it says it has.

mod bounds;

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::model::{Depth, Model};
use crate::support::{Person, Socket, TestApp, Transport, fresh};

fn message(chat: i64, content: &str) -> Value {
    json!({"message": {"chat_id": chat, "content": content, "message_type": "text"}})
}

/// Sends `count` messages; returns their ids.
async fn say(socket: &mut Socket, chat: i64, count: usize) -> Vec<i64> {
    let mut acks = Vec::new();
    for number in 0..count {
        acks.push(socket.feed("send_message", message(chat, &format!("m{number}"))).await);
    }
    socket.flush().await;
    let mut ids = Vec::new();
    for ack in acks {
        ids.push(socket.ack(ack).await["message"]["id"].as_i64().expect("an id"));
    }
    ids
}

async fn sync(socket: &mut Socket, request: Value) -> Value {
    let reply = socket.call("sync", request.clone()).await;
    assert_eq!(reply["ok"], json!(true), "{request}: {reply}");
    reply
}

fn list<'a>(reply: &'a Value, name: &str) -> &'a Vec<Value> {
    reply[name].as_array().unwrap_or_else(|| panic!("{name} is a list: {reply}"))
}

fn numbers(reply: &Value, list_name: &str, field: &str) -> Vec<i64> {
    list(reply, list_name).iter().map(|it| it[field].as_i64().expect("a number")).collect()
}

/// Returns a map with a chat's id as its key.
fn of(chat: i64, value: i64) -> Value {
    json!({chat.to_string(): value})
}

async fn one_group() -> (TestApp, Person, Person, Socket, i64) {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut socket, &[&bob]).await;
    (app, alice, bob, socket, chat)
}

#[harness::test]
async fn since_0_returns_all_messages_and_an_unnamed_chat_its_last_30() {
    let (app, _, _, mut socket, chat) = one_group().await;
    say(&mut socket, chat, 45).await;
    let all = sync(&mut socket, json!({"since": of(chat, 0)})).await;
    assert_eq!(numbers(&all, "messages", "seq"), (2..=46).collect::<Vec<_>>());
    assert_eq!((numbers(&all, "chats", "id"), &all["chats"][0]["truncated"]), (vec![chat], &json!(false)));
    assert_eq!((&all["revs"], &all["has_more"]), (&of(chat, 46), &json!(false)));
    assert!(all["chats"][0]["my"].is_object() && all["messages"][0]["my"].is_object(), "{all}");
    assert!(all.get("reset").is_none(), "{all}");
    for request in [json!({}), json!({"only": [chat]})] {
        let whole = sync(&mut socket, request).await;
        assert_eq!(numbers(&whole, "messages", "seq"), (17..=46).collect::<Vec<_>>());
        assert_eq!(numbers(&whole, "chats", "id"), [chat]);
        assert_eq!((&whole["revs"], &whole["has_more"]), (&of(chat, 46), &json!(false)));
        assert_eq!(whole["chats"][0]["truncated"], json!(false), "nothing is held of it");
    }
    // A client that has everything gets nothing.
    let nothing = sync(&mut socket, json!({"since": of(chat, 46), "user_rev": all["user_rev"]})).await;
    for name in ["messages", "chats", "mine", "left"] {
        assert!(list(&nothing, name).is_empty(), "{nothing}");
    }
    assert_eq!(nothing["user_rev"], all["user_rev"]);
    drop(app);
}

#[harness::test]
async fn the_only_field_restricts_the_reply_to_the_named_chats() {
    let (app, alice, bob, mut socket, chat) = one_group().await;
    let other = app.group(&mut socket, &[&bob]).await;
    say(&mut socket, chat, 2).await;
    say(&mut socket, other, 2).await;
    socket.call("toggle_chat_pin", json!({"chat": {"id": other, "pinned": true}})).await;
    let request =
        json!({"since": {chat.to_string(): 2, other.to_string(): 2}, "only": [chat], "user_rev": 0});
    let reply = sync(&mut socket, request).await;
    assert_eq!(numbers(&reply, "messages", "chat_id"), [chat]);
    assert_eq!(reply["revs"], of(chat, 3), "{reply}");
    assert!(numbers(&reply, "mine", "chat_id").iter().all(|id| *id == chat), "{reply}");
    let reply = sync(&mut socket, json!({"only": []})).await;
    assert_eq!((list(&reply, "chats").len(), &reply["revs"]), (0, &json!({})), "none named, none given");
    drop((app, alice));
}

#[harness::test]
async fn pages_are_complete_even_if_messages_change_between_them() {
    let (app, alice, bob, mut socket, chat) = one_group().await;
    let other = app.group(&mut socket, &[&bob]).await;
    let ids = say(&mut socket, chat, 40).await;
    say(&mut socket, other, 25).await;
    let mut model = Model::new(alice.id);
    for id in [chat, other] {
        let shown = app.get(&format!("/chat/{id}"), &alice).await;
        model.take_chat(&shown, 0);
    }
    let mut pages = 0;
    loop {
        let mut request = model.sync_request(None);
        request["limit"] = json!(7);
        let reply = sync(&mut socket, request).await;
        let messages = list(&reply, "messages");
        assert!(messages.len() <= 7, "{} messages in a page of 7", messages.len());
        let in_order = |id: i64| {
            let revs = messages.iter().filter(|it| it["chat_id"] == json!(id)).map(|it| it["rev"].as_i64());
            revs.is_sorted()
        };
        assert!(in_order(chat) && in_order(other), "{reply}");
        pages += 1;
        assert!(pages < 60, "it does not end");
        if !model.synced(&reply, true) {
            break;
        }
        // Meanwhile an edit moves one message that was given already and one that is still to come to the end of the
        // order.
        if pages <= 6 {
            let (early, late) = (ids[pages], ids[39 - pages]);
            let edit = json!({"message": {"id": late, "content": format!("later {pages}")}});
            assert_eq!(socket.call("edit_message", edit).await["ok"], json!(true));
            socket.call("toggle_like_message", json!({"message": {"id": early, "liked": true}})).await;
            socket.call("delete_message", json!({"message": {"id": ids[20 + pages]}})).await;
            socket.call("update_chat", json!({"chat": {"id": other, "name": format!("name {pages}")}})).await;
            say(&mut socket, other, 1).await;
        }
    }
    assert!(pages > 9, "65 messages in pages of 7 took {pages}");
    let real = fresh(&app, &alice, &BTreeSet::new()).await;
    assert_eq!(model.differences(&real, Depth::Promise), Vec::<String>::new());
}

#[harness::test]
async fn a_client_that_is_too_far_behind_or_ahead_gets_the_complete_chat() {
    let (_app, _, _, mut socket, chat) = one_group().await;
    say(&mut socket, chat, 50).await;
    let behind = |most: i64| json!({"since": of(chat, 41), "max_behind": most});
    let page = sync(&mut socket, behind(10)).await;
    assert_eq!(numbers(&page, "messages", "seq"), (42..=51).collect::<Vec<_>>());
    assert!(list(&page, "chats").is_empty(), "the chat itself has not changed: {page}");
    for request in [behind(9), json!({"since": of(chat, 52)}), json!({"since": of(chat, 9_999)})] {
        let whole = sync(&mut socket, request.clone()).await;
        assert_eq!(whole["chats"][0]["truncated"], json!(true), "{request}");
        assert_eq!(numbers(&whole, "messages", "seq"), (22..=51).collect::<Vec<_>>());
        assert_eq!(whole["revs"], of(chat, 51), "back to where the head is");
    }
}

#[harness::test]
async fn another_epoch_is_answered_with_a_reset_and_the_complete_state() {
    let (app, alice, _, mut socket, chat) = one_group().await;
    say(&mut socket, chat, 40).await;
    let epoch = sync(&mut socket, json!({"only": []})).await["epoch"].clone();
    assert!(epoch.as_str().is_some_and(|it| it.len() >= 8), "{epoch}");
    let same = sync(&mut socket, json!({"epoch": epoch, "since": of(chat, 40)})).await;
    assert_eq!((same.get("reset"), list(&same, "messages").len()), (None, 1));
    let reset = sync(&mut socket, json!({"epoch": "another", "since": of(chat, 40), "user_rev": 99})).await;
    assert_eq!((&reset["reset"], &reset["epoch"]), (&json!(true), &epoch));
    assert_eq!((numbers(&reset, "chats", "id"), list(&reset, "messages").len()), (vec![chat], 30));
    let mut model = fresh(&app, &alice, &BTreeSet::new()).await;
    model.epoch = Some("another".into());
    model.synced(&reset, true);
    assert_eq!(model.chats[&chat].messages.len(), 30, "what was held is dropped");
}

#[harness::test]
async fn chats_without_membership_are_listed_as_left_with_the_reason() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let mut socket = app.connect(&bob, Transport::MAIN).await;
    let mut chats = Vec::new();
    for _ in 0..4 {
        chats.push(app.group(&mut owner, &[&bob]).await);
    }
    let strange = app.group(&mut owner, &[&carol]).await;
    let [removed, left, deleted, back] = chats[..] else { panic!("four chats") };
    let bob_in = |chat: i64| json!({"chat": {"id": chat}, "user": {"id": bob.id}});
    let gone = [
        owner.call("remove_member", bob_in(removed)).await["rev"].clone(),
        socket.call("leave_chat", json!({"chat": {"id": left}})).await["rev"].clone(),
        owner.call("delete_chat", json!({"chat": {"id": deleted}})).await["rev"].clone(),
    ];
    owner.call("remove_member", bob_in(back)).await;
    owner.call("add_member", bob_in(back)).await;
    owner.call("send_message", message(removed, "what Bob must not see")).await;
    let names = [removed, left, deleted, back, strange, 999_999];
    let since: Value =
        names.iter().map(|id| (id.to_string(), json!(1))).collect::<serde_json::Map<_, _>>().into();
    for request in [json!({"since": since}), json!({"since": since, "only": names})] {
        let reply = sync(&mut socket, request).await;
        let mut told = list(&reply, "left").clone();
        told.sort_by_key(|it| it["chat_id"].as_i64());
        let entry =
            |chat: i64, rev: &Value, reason: &str| json!({"chat_id": chat, "rev": rev, "reason": reason});
        let expected = vec![
            entry(removed, &gone[0], "removed"),
            entry(left, &gone[1], "left"),
            entry(deleted, &gone[2], "deleted"),
            entry(strange, &json!(0), "unknown"),
            entry(999_999, &json!(0), "unknown"),
        ];
        assert_eq!(told, expected);
        assert_eq!(numbers(&reply, "chats", "id"), [back]);
        assert!(list(&reply, "messages").is_empty(), "{reply}");
    }
    let reply = sync(&mut socket, json!({})).await;
    assert!(list(&reply, "left").is_empty(), "nothing was named");
}

#[harness::test]
async fn own_state_is_synced_by_the_counter_of_the_user() {
    let (app, _, bob, mut socket, chat) = one_group().await;
    say(&mut socket, chat, 3).await;
    let mut other = app.connect(&bob, Transport::MAIN).await;
    let head = json!({chat.to_string(): 4});
    let before = sync(&mut other, json!({"since": head})).await["user_rev"].clone();
    other.call("toggle_chat_pin", json!({"chat": {"id": chat, "pinned": true}})).await;
    other.call("mark_read", json!({"chat": {"id": chat}, "seq": 3})).await;
    let reply = sync(&mut other, json!({"since": head, "user_rev": before})).await;
    let my = &reply["mine"][0]["my"];
    assert_eq!((list(&reply, "mine").len(), &reply["mine"][0]["chat_id"]), (1, &json!(chat)));
    assert_eq!((&my["pinned"], &my["last_read_seq"], &my["unread"]), (&json!(true), &json!(3), &json!(1)));
    assert!(reply["user_rev"].as_i64() > before.as_i64(), "{reply}");
    let again = sync(&mut other, json!({"since": head, "user_rev": reply["user_rev"]})).await;
    assert!(list(&again, "mine").is_empty(), "{again}");
    let without = sync(&mut other, json!({"since": head})).await;
    assert!(list(&without, "mine").is_empty(), "{without}");
    // A member's own state is not sent to other users.
    let reply = sync(&mut socket, json!({"since": head, "user_rev": 0})).await;
    assert!(list(&reply, "mine").iter().all(|it| it["my"]["pinned"] == json!(false)), "{reply}");
}

#[harness::test]
async fn rest_and_socket_replies_are_equal() {
    let (app, alice, _, mut socket, chat) = one_group().await;
    say(&mut socket, chat, 35).await;
    for request in [json!({}), json!({"since": of(chat, 20), "user_rev": 0, "limit": 5}), json!({"limit": 0})]
    {
        let (status, by_rest) =
            app.send(Method::POST, "/events/sync", Some(&alice.access), Some(request.clone())).await;
        let by_socket = socket.call("sync", request.clone()).await;
        if by_socket["ok"] == json!(true) {
            assert_eq!((status.as_u16(), &by_rest), (200, &by_socket), "{request}");
        } else {
            assert_eq!((status.as_u16(), &by_rest["code"]), (422, &by_socket["error"]["code"]), "{request}");
            assert_eq!(by_rest["errors"], by_socket["error"]["errors"], "{request}");
        }
    }
}

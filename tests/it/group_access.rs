//! Who gets into a group: invite links, requests to join, bans; slow mode; and the group's photo.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::{Person, Socket, TestApp, Transport};

async fn done(socket: &mut Socket, event: &str, payload: Value) -> Value {
    let ack = socket.call(event, payload).await;
    assert_eq!(ack["ok"], json!(true), "{event}: {ack}");
    ack
}

async fn refused(socket: &mut Socket, event: &str, payload: Value, code: &str) -> Value {
    let ack = socket.call(event, payload.clone()).await;
    assert_eq!(ack["error"]["code"], json!(code), "{event} {payload}: {ack}");
    ack["error"].clone()
}

async fn invite(app: &TestApp, chat: i64, person: &Person, body: Value) -> Value {
    let (status, invite) =
        app.send(Method::POST, &format!("/chat/{chat}/invite"), Some(&person.access), Some(body)).await;
    assert_eq!(status, 201, "{invite}");
    invite
}

fn with(invite: &Value) -> Value {
    json!({"invite": {"token": invite["token"]}})
}

async fn member_ids(app: &TestApp, chat: i64, person: &Person) -> Vec<i64> {
    let page = app.get(&format!("/chat/{chat}/members?limit=200"), person).await;
    page.as_array().expect("members").iter().map(|it| it["user"]["id"].as_i64().expect("an id")).collect()
}

#[harness::test]
async fn an_invite_link_shows_the_group_and_lets_its_holder_in() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob]).await;
    let made = invite(&app, chat, &alice, json!({"expires_in_secs": 3_600})).await;
    let token = made["token"].as_str().expect("a token");
    assert!(made["url"].as_str().expect("a link").ends_with(&format!("/#/invite/{token}")), "{made}");
    let shown = app.get(&format!("/invite/{token}"), &carol).await;
    assert_eq!(
        (&shown["chat_id"], &shown["name"], &shown["member_count"], &shown["is_member"]),
        (&json!(chat), &json!("group"), &json!(2), &json!(false)),
    );
    let (status, body) =
        app.send(Method::POST, &format!("/invite/{token}/accept"), Some(&carol.access), None).await;
    assert_eq!((status.as_u16(), &body["chat"]["id"]), (200, &json!(chat)), "{body}");
    assert_eq!(owner.next("member_added").await["member"]["user"]["id"], json!(carol.id));
    assert_eq!(app.get(&format!("/invite/{token}"), &carol).await["is_member"], json!(true));
    let list = app.get(&format!("/chat/{chat}/invite"), &alice).await;
    assert_eq!((&list[0]["uses"], &list[0]["id"]), (&json!(1), &made["id"]), "{list}");

    // Members without a role neither see nor create links.
    let path = format!("/chat/{chat}/invite");
    for (method, body) in [(Method::GET, None), (Method::POST, Some(json!({})))] {
        let (status, body) = app.send(method, &path, Some(&bob.access), body).await;
        assert_eq!((status.as_u16(), &body["code"]), (403, &json!("forbidden")), "{body}");
    }
    let (status, _) = app
        .send(Method::DELETE, &format!("/chat/{chat}/invite/{}", made["id"]), Some(&alice.access), None)
        .await;
    assert_eq!(status, 204);
    let dave = app.person("dave").await;
    let mut daves = app.connect(&dave, Transport::ALL[3]).await;
    let error = refused(&mut daves, "accept_invite", with(&made), "not_found").await;
    assert!(error["errors"]["invite.token"].is_array(), "{error}");
    let (status, _) = app.send(Method::GET, &format!("/invite/{token}"), Some(&dave.access), None).await;
    assert_eq!(status, 404);
    assert_eq!(app.get(&path, &alice).await, json!([]));
}

#[harness::test]
async fn invalid_invites_are_refused_and_direct_chats_have_none() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[]).await;
    for (body, field) in [
        (json!({"max_uses": 0}), "max_uses"),
        (json!({"max_uses": 10_001}), "max_uses"),
        (json!({"expires_in_secs": 5}), "expires_in_secs"),
        (json!({"approval": "yes"}), "approval"),
    ] {
        let path = format!("/chat/{chat}/invite");
        let (status, body) = app.send(Method::POST, &path, Some(&alice.access), Some(body)).await;
        assert_eq!((status.as_u16(), body["errors"][field].is_array()), (422, true), "{body}");
    }
    let direct = json!({"chat": {"is_group": false, "members_array": [bob.id]}});
    let direct = done(&mut owner, "create_chat", direct).await["chat"]["id"].clone();
    let path = format!("/chat/{direct}/invite");
    let (status, body) = app.send(Method::POST, &path, Some(&alice.access), Some(json!({}))).await;
    assert_eq!((status.as_u16(), &body["code"]), (409, &json!("direct_chat_members")), "{body}");
    for token in ["", &"x".repeat(101)] {
        let error =
            refused(&mut owner, "accept_invite", json!({"invite": {"token": token}}), "validation_failed")
                .await;
        assert!(error["errors"]["invite.token"].is_array(), "{error}");
    }
}

#[harness::test]
async fn the_last_use_of_an_invite_link_is_taken_once() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[]).await;
    let made = invite(&app, chat, &alice, json!({"max_uses": 3})).await;
    let mut sockets = Vec::new();
    for number in 0..8 {
        let person = app.person(&format!("guest{number}")).await;
        sockets.push(app.connect(&person, Transport::MAIN).await);
    }
    let acks = join_all(sockets.iter_mut().map(|socket| socket.call("accept_invite", with(&made)))).await;
    let joined = acks.iter().filter(|ack| ack["ok"] == json!(true)).count();
    assert_eq!(joined, 3, "{acks:?}");
    assert!(acks.iter().all(|ack| ack["ok"] == json!(true) || ack["error"]["code"] == json!("not_found")));
    assert_eq!(member_ids(&app, chat, &alice).await.len(), 4);
    let shown = app.get(&format!("/chat/{chat}"), &alice).await;
    assert_eq!(shown["member_count"], json!(4));
}

#[harness::test]
async fn whoever_asks_to_join_waits_for_an_admin() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let (mut owner, mut carols) =
        (app.connect(&alice, Transport::MAIN).await, app.connect(&carol, Transport::ALL[3]).await);
    let mut bobs = app.connect(&bob, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob]).await;
    let made = invite(&app, chat, &alice, json!({"approval": true})).await;
    let ack = done(&mut carols, "accept_invite", with(&made)).await;
    assert_eq!((&ack["chat"], &ack["requested"]), (&json!(null), &json!(true)));
    let event = owner.next("join_requested").await;
    assert_eq!((&event["chat"], &event["user"]["username"]), (&json!(chat), &json!("carol")));
    let path = format!("/chat/{chat}/join_request");
    assert_eq!(app.get(&path, &alice).await[0]["user"]["id"], json!(carol.id));
    let token = made["token"].as_str().expect("a token");
    assert_eq!(app.get(&format!("/invite/{token}"), &carol).await["is_requested"], json!(true));
    let request = json!({"chat": {"id": chat}, "user": {"id": carol.id}});
    refused(&mut bobs, "approve_join", request.clone(), "forbidden").await;
    refused(&mut bobs, "decline_join", request.clone(), "forbidden").await;
    done(&mut owner, "decline_join", request.clone()).await;
    assert_eq!(carols.next("join_declined").await["chat"], json!(chat));
    let error = refused(&mut owner, "approve_join", request.clone(), "not_found").await;
    assert!(error["errors"]["user.id"].is_array(), "{error}");
    done(&mut carols, "accept_invite", with(&made)).await;
    let ack = done(&mut owner, "approve_join", request).await;
    assert_eq!(ack["chat"]["member_count"], json!(3));
    carols.next("member_added").await;
    assert_eq!(app.get(&path, &alice).await, json!([]));
    let names: Vec<String> = bobs.rest().await.into_iter().map(|(name, _)| name).collect();
    assert!(!names.contains(&"join_requested".to_owned()), "members are not asked: {names:?}");
}

#[harness::test]
async fn a_banned_user_is_removed_and_stays_out_until_the_ban_ends() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let (mut owner, mut bobs, mut carols) = (
        app.connect(&alice, Transport::MAIN).await,
        app.connect(&bob, Transport::MAIN).await,
        app.connect(&carol, Transport::ALL[3]).await,
    );
    let chat = app.group(&mut owner, &[&bob, &carol]).await;
    let made = invite(&app, chat, &alice, json!({})).await;
    let who = |id: i64| json!({"chat": {"id": chat}, "user": {"id": id}});
    refused(&mut bobs, "ban_member", who(carol.id), "forbidden").await;
    refused(&mut owner, "ban_member", who(alice.id), "validation_failed").await;
    let mut role = who(bob.id);
    role["role"] = json!("admin");
    done(&mut owner, "set_member_role", role).await;
    refused(&mut bobs, "ban_member", who(alice.id), "forbidden").await;
    let mut ban = who(carol.id);
    ban["reason"] = json!(" spam ");
    let ack = done(&mut bobs, "ban_member", ban).await;
    assert_eq!((&ack["ban"]["reason"], &ack["ban"]["until"]), (&json!("spam"), &json!(null)), "{ack}");
    carols.next("member_removed").await;
    refused(&mut carols, "accept_invite", with(&made), "forbidden").await;
    let error = refused(&mut owner, "add_member", who(carol.id), "forbidden").await;
    assert!(error["errors"]["user.id"].is_array(), "{error}");
    let list = app.get(&format!("/chat/{chat}/ban"), &alice).await;
    assert_eq!((&list[0]["user"]["id"], &list[0]["banned_by"]), (&json!(carol.id), &json!(bob.id)), "{list}");
    done(&mut owner, "unban_member", who(carol.id)).await;
    assert_eq!(app.get(&format!("/chat/{chat}/ban"), &alice).await, json!([]));
    done(&mut carols, "accept_invite", with(&made)).await;
    // Joining while being banned ends outside, whichever comes first.
    for _ in 0..5 {
        done(&mut carols, "leave_chat", json!({"chat": {"id": chat}})).await;
        let (_, banned) =
            tokio::join!(carols.call("accept_invite", with(&made)), owner.call("ban_member", who(carol.id)),);
        assert_eq!(banned["ok"], json!(true), "{banned}");
        assert!(!member_ids(&app, chat, &alice).await.contains(&carol.id));
        done(&mut owner, "unban_member", who(carol.id)).await;
        done(&mut carols, "accept_invite", with(&made)).await;
    }
}

#[harness::test]
async fn slow_mode_delays_members_but_not_admins() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let (mut owner, mut bobs) =
        (app.connect(&alice, Transport::MAIN).await, app.connect(&bob, Transport::ALL[3]).await);
    let chat = app.group(&mut owner, &[&bob]).await;
    let slow = |secs: i64| json!({"chat": {"id": chat, "slow_mode_secs": secs}});
    for secs in [-1, 3_601] {
        let error = refused(&mut owner, "update_chat", slow(secs), "validation_failed").await;
        assert!(error["errors"]["chat.slow_mode_secs"].is_array(), "{error}");
    }
    let ack = done(&mut owner, "update_chat", slow(1)).await;
    assert_eq!(ack["chat"]["slow_mode_secs"], json!(1));
    let message =
        |content: &str| json!({"message": {"chat_id": chat, "content": content, "message_type": "text"}});
    let first = bobs.feed("send_message", message("one")).await;
    let second = bobs.feed("send_message", message("two")).await;
    bobs.flush().await;
    assert_eq!(bobs.ack(first).await["ok"], json!(true));
    let ack = bobs.ack(second).await;
    assert_eq!(ack["error"]["code"], json!("rate_limited"), "{ack}");
    let wait = ack["error"]["retry_after_ms"].as_u64().expect("when to try again");
    assert!((1..=1_000).contains(&wait), "{ack}");
    for content in ["three", "four"] {
        done(&mut owner, "send_message", message(content)).await;
    }
    sleep(Duration::from_millis(wait + 20)).await;
    done(&mut bobs, "send_message", message("five")).await;
    done(&mut owner, "update_chat", slow(0)).await;
    for content in ["six", "seven"] {
        done(&mut bobs, "send_message", message(content)).await;
    }
    assert_eq!(app.contents(chat, &alice).await, ["one", "three", "four", "five", "six", "seven"]);
}

#[harness::test]
async fn the_photo_of_a_group_is_set_and_removed_by_its_admins() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let (mut owner, mut bobs) =
        (app.connect(&alice, Transport::MAIN).await, app.connect(&bob, Transport::MAIN).await);
    let chat = app.group(&mut owner, &[&bob]).await;
    let path = format!("/chat/{chat}/photo");
    let avatar = app.get("/user/me", &alice).await["photo"].as_str().expect("a name").to_owned();
    let jpeg = app.raw(Method::GET, &format!("/static/{avatar}/400x400.webp"), None, None).await;
    let bytes = jpeg.bytes().await.expect("a picture");
    let text = json!({"photo": base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &bytes)});
    let (status, body) = app.send(Method::PUT, &path, Some(&bob.access), Some(text.clone())).await;
    assert_eq!((status.as_u16(), &body["code"]), (403, &json!("forbidden")), "{body}");
    let (status, body) = app.send(Method::PUT, &path, Some(&alice.access), Some(text)).await;
    assert_eq!(status, 200, "{body}");
    let photo = body["photo"].as_str().expect("a photo").to_owned();
    assert_eq!(bobs.next("chat_updated").await["details"]["photo"], json!(photo));
    let form = reqwest::multipart::Part::bytes(bytes.to_vec()).file_name("x.webp");
    let form = reqwest::multipart::Form::new().part("image", form);
    let answer =
        app.http.put(format!("{}{path}", app.url)).bearer_auth(&alice.access).multipart(form).send().await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 200);
    let (status, body) =
        app.send(Method::PUT, &path, Some(&alice.access), Some(json!({"photo": "eA=="}))).await;
    assert_eq!((status.as_u16(), body["errors"]["photo"].is_array()), (422, true), "{body}");
    let gone = app.raw(Method::GET, &format!("/static/{photo}/400x400.webp"), None, None).await;
    assert_eq!(gone.status(), 404, "a replaced photo is removed");
    let (status, body) = app.send(Method::DELETE, &path, Some(&alice.access), None).await;
    assert_eq!((status.as_u16(), &body["photo"]), (200, &json!(null)), "{body}");
}

#[harness::test]
async fn the_last_use_of_a_link_can_be_repeated_by_whoever_took_it() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let (mut owner, mut bobs) =
        (app.connect(&alice, Transport::MAIN).await, app.connect(&bob, Transport::MAIN).await);
    let chat = app.group(&mut owner, &[]).await;
    let made = invite(&app, chat, &alice, json!({"max_uses": 1})).await;
    for _ in 0..2 {
        let ack = done(&mut bobs, "accept_invite", with(&made)).await;
        assert_eq!(ack["chat"]["id"], json!(chat));
    }
}

#[harness::test]
async fn a_request_to_join_ends_when_the_user_is_added() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let (mut owner, mut bobs) =
        (app.connect(&alice, Transport::MAIN).await, app.connect(&bob, Transport::MAIN).await);
    let chat = app.group(&mut owner, &[]).await;
    let made = invite(&app, chat, &alice, json!({"approval": true})).await;
    done(&mut bobs, "accept_invite", with(&made)).await;
    let both = json!({"chat": {"id": chat}, "user": {"id": bob.id}});
    done(&mut owner, "add_member", both.clone()).await;
    assert_eq!(app.get(&format!("/chat/{chat}/join_request"), &alice).await, json!([]));
    done(&mut bobs, "leave_chat", json!({"chat": {"id": chat}})).await;
    refused(&mut owner, "approve_join", both, "not_found").await;
}

#[harness::test]
async fn only_the_owner_removes_an_admin() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let (mut owner, mut bobs) =
        (app.connect(&alice, Transport::MAIN).await, app.connect(&bob, Transport::MAIN).await);
    let chat = app.group(&mut owner, &[&bob, &carol]).await;
    for person in [&bob, &carol] {
        let role = json!({"chat": {"id": chat}, "user": {"id": person.id}, "role": "admin"});
        done(&mut owner, "set_member_role", role).await;
    }
    let carols = json!({"chat": {"id": chat}, "user": {"id": carol.id}});
    refused(&mut bobs, "remove_member", carols.clone(), "forbidden").await;
    done(&mut owner, "remove_member", carols).await;
}

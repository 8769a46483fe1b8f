//! Reactions, mentions, pinned and forwarded messages, earlier versions, drafts, the archive: what they refuse, and what
//! stays right when several users act at once.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Person, Socket, TestApp, Transport};

async fn done(socket: &mut Socket, event: &str, payload: Value) -> Value {
    let ack = socket.call(event, payload).await;
    assert_eq!(ack["ok"], json!(true), "{event}: {ack}");
    ack
}

async fn refused(socket: &mut Socket, event: &str, payload: Value, code: &str, field: &str) {
    let ack = socket.call(event, payload.clone()).await;
    assert_eq!(ack["error"]["code"], json!(code), "{event} {payload}: {ack}");
    if !field.is_empty() {
        assert!(ack["error"]["errors"][field].is_array(), "{event} {payload}: {ack}");
    }
}

async fn say(socket: &mut Socket, chat: i64, content: &str) -> i64 {
    let message = json!({"chat_id": chat, "content": content, "message_type": "text"});
    done(socket, "send_message", json!({ "message": message })).await["message"]["id"]
        .as_i64()
        .expect("an id")
}

fn ack_id(ack: &Value) -> i64 {
    ack["message"]["id"].as_i64().expect("an id")
}

async fn one_message(app: &TestApp, chat: i64, id: i64, person: &Person) -> Value {
    let page = app.get(&format!("/chat/{chat}/messages?limit=200"), person).await;
    let found = page.as_array().into_iter().flatten().find(|it| it["id"] == json!(id)).cloned();
    found.expect("the message")
}

async fn my(app: &TestApp, chat: i64, person: &Person) -> Value {
    app.get(&format!("/chat/{chat}"), person).await["my"].clone()
}

#[harness::test]
async fn a_message_takes_any_emoji_up_to_twenty_kinds() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob]).await;
    let id = say(&mut owner, chat, "hi").await;
    for emoji in ["", "a", "1", "👍👍", ":+1:", "<b>", "🇨"] {
        let payload = json!({"message": {"id": id, "emoji": emoji}});
        refused(&mut owner, "toggle_reaction", payload, "validation_failed", "message.emoji").await;
    }
    refused(
        &mut owner,
        "toggle_reaction",
        json!({"message": {"id": id}}),
        "validation_failed",
        "message.emoji",
    )
    .await;
    let kinds = [
        "👍",
        "👍🏽",
        "❤️",
        "🇨🇭",
        "🏴󠁧󠁢󠁳󠁣󠁴󠁿",
        "👩‍💻",
        "1️⃣",
        "🥭",
        "😀",
        "😂",
        "😢",
        "🙏",
        "🔥",
        "🎉",
        "👀",
        "💯",
        "🤔",
        "🚀",
        "✅",
        "👏",
    ];
    for emoji in kinds {
        let ack = done(&mut owner, "toggle_reaction", json!({"message": {"id": id, "emoji": emoji}})).await;
        assert_eq!((&ack["on"], &ack["chat_id"]), (&json!(true), &json!(chat)), "{ack}");
    }
    let payload = json!({"message": {"id": id, "emoji": "🍋"}});
    refused(&mut owner, "toggle_reaction", payload.clone(), "validation_failed", "message.emoji").await;
    // Another user's reaction with a known emoji is no further kind; without the selector it is the same emoji.
    let mut member = app.connect(&bob, Transport::MAIN).await;
    let ack = done(&mut member, "toggle_reaction", json!({"message": {"id": id, "emoji": "❤"}})).await;
    assert_eq!(ack["reactions"][2], json!({"emoji": "❤️", "count": 2}));
    done(&mut owner, "toggle_reaction", json!({"message": {"id": id, "emoji": "👏"}, "on": false})).await;
    done(&mut member, "toggle_reaction", payload).await;
    let shown = one_message(&app, chat, id, &bob).await;
    assert_eq!(shown["reactions"].as_array().map(Vec::len), Some(20));
    assert_eq!(shown["my"]["reactions"], json!(["❤️", "🍋"]));

    let page = app.get(&format!("/message/{id}/reactions?emoji=%E2%9D%A4"), &alice).await;
    let who: Vec<&Value> = page.as_array().expect("a list").iter().map(|it| &it["user"]["id"]).collect();
    assert_eq!(who, [&json!(alice.id), &json!(bob.id)], "{page}");
    let first =
        app.raw(Method::GET, &format!("/message/{id}/reactions?limit=15"), Some(&alice.access), None).await;
    let next = first.headers()["link"].to_str().expect("a link").to_owned();
    let path = next.trim_start_matches('<').split('>').next().expect("a path");
    let rest = app.get(path, &alice).await;
    assert_eq!(rest.as_array().map(Vec::len), Some(6), "19 of alice and 2 of bob: {rest}");
    done(&mut owner, "delete_message", json!({"message": {"id": id}})).await;
    let shown = one_message(&app, chat, id, &bob).await;
    assert_eq!((&shown["reactions"], &shown["my"]["reactions"]), (&json!([]), &json!([])));
}

#[harness::test]
async fn reactions_of_many_users_at_once_are_counted_once_each() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let mut people = Vec::new();
    for number in 0..10 {
        people.push(app.person(&format!("user{number}")).await);
    }
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &people.iter().collect::<Vec<_>>()).await;
    let id = say(&mut owner, chat, "vote").await;
    let mut sockets = join_all(people.iter().map(|person| app.connect(person, Transport::MAIN))).await;
    let votes = sockets.iter_mut().enumerate().map(|(index, socket)| async move {
        for (emoji, on) in [("👍", true), ("🎉", true), ("👍", false), ("👍", true)] {
            done(socket, "toggle_reaction", json!({"message": {"id": id, "emoji": emoji}, "on": on})).await;
        }
        if index % 2 == 0 {
            done(socket, "toggle_reaction", json!({"message": {"id": id, "emoji": "🎉"}, "on": false})).await;
        }
    });
    join_all(votes).await;
    let shown = one_message(&app, chat, id, &alice).await;
    let count = |emoji: &str| {
        let found =
            shown["reactions"].as_array().into_iter().flatten().find(|it| it["emoji"] == json!(emoji));
        found.map(|it| it["count"].clone())
    };
    assert_eq!((count("👍"), count("🎉")), (Some(json!(10)), Some(json!(5))), "{shown}");
    let listed = app.get(&format!("/message/{id}/reactions?limit=200"), &alice).await;
    assert_eq!(listed.as_array().map(Vec::len), Some(15));
}

#[harness::test]
async fn mentions_name_members_only_and_survive_a_new_username() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let dave = app.person("dave").await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob, &carol, &dave]).await;
    done(&mut owner, "remove_member", json!({"chat": {"id": chat}, "user": {"id": dave.id}})).await;
    let mut carols = app.connect(&carol, Transport::MAIN).await;
    done(&mut carols, "block", json!({"user": {"id": alice.id}})).await;
    app.person("erin").await;

    let text = "@bob @BOB @carol @dave @erin @alice @all bob@bob.org";
    let id = say(&mut owner, chat, text).await;
    let shown = one_message(&app, chat, id, &bob).await;
    assert_eq!((&shown["mentions"], &shown["mentions_all"]), (&json!([bob.id]), &json!(true)), "{shown}");
    assert_eq!(shown["my"]["mentioned"], json!(true));
    assert_eq!(one_message(&app, chat, id, &alice).await["my"]["mentioned"], json!(false), "her own message");
    let (status, _) =
        app.send(Method::PATCH, "/user/me", Some(&bob.access), Some(json!({"username": "robert"}))).await;
    assert!(status.is_success());
    assert_eq!(one_message(&app, chat, id, &alice).await["mentions"], json!([bob.id]));
    let stale = say(&mut owner, chat, "@bob").await;
    assert_eq!(one_message(&app, chat, stale, &bob).await["mentions"], json!([]));

    // A member mentions others, but not all.
    let mut bobs = app.connect(&bob, Transport::MAIN).await;
    let id = say(&mut bobs, chat, "@all @alice").await;
    let shown = one_message(&app, chat, id, &alice).await;
    assert_eq!((&shown["mentions"], &shown["mentions_all"]), (&json!([alice.id]), &json!(false)));
}

#[harness::test]
async fn unread_mentions_follow_reading_edits_and_deletions() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob, &carol]).await;
    let mentions = async |person: &Person| my(&app, chat, person).await["mentions"].clone();
    let first = say(&mut owner, chat, "@bob").await;
    let second = say(&mut owner, chat, "@all and @bob").await;
    say(&mut owner, chat, "nobody").await;
    assert_eq!((mentions(&bob).await, mentions(&carol).await), (json!(2), json!(1)));
    assert_eq!(mentions(&alice).await, json!(0), "her own");
    let edit = |id: i64, content: &str| json!({"message": {"id": id, "content": content}});
    done(&mut owner, "edit_message", edit(first, "@carol instead")).await;
    assert_eq!((mentions(&bob).await, mentions(&carol).await), (json!(1), json!(2)));
    done(&mut owner, "delete_message", json!({"message": {"id": second}})).await;
    assert_eq!((mentions(&bob).await, mentions(&carol).await), (json!(0), json!(1)));
    let mut carols = app.connect(&carol, Transport::MAIN).await;
    done(&mut carols, "mark_read", json!({"chat": {"id": chat}})).await;
    assert_eq!(mentions(&carol).await, json!(0));
    // A mention that is added to a message that was read already counts as read.
    done(&mut owner, "edit_message", edit(first, "@carol and @bob")).await;
    assert_eq!((mentions(&bob).await, mentions(&carol).await), (json!(1), json!(0)));
    // Whoever joins again starts with nothing unread.
    let member = json!({"chat": {"id": chat}, "user": {"id": bob.id}});
    done(&mut owner, "remove_member", member.clone()).await;
    done(&mut owner, "add_member", member).await;
    assert_eq!(mentions(&bob).await, json!(0));
}

#[harness::test]
async fn pins_belong_to_admins_in_groups_and_to_both_in_direct_chats() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let (mut owner, mut member) =
        (app.connect(&alice, Transport::MAIN).await, app.connect(&bob, Transport::ALL[3]).await);
    let chat = app.group(&mut owner, &[&bob]).await;
    let pin = |id: i64| json!({"message": {"id": id, "pinned": true}});
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(say(&mut member, chat, &format!("{number}")).await);
    }
    refused(&mut member, "toggle_message_pin", pin(ids[0]), "forbidden", "").await;
    for id in [ids[1], ids[0], ids[2]] {
        let ack = done(&mut owner, "toggle_message_pin", pin(id)).await;
        assert_eq!(ack["pinned"], json!(true));
    }
    let listed = async |path: &str| {
        let page = app.get(path, &bob).await;
        page.as_array()
            .expect("a list")
            .iter()
            .map(|it| it["id"].as_i64().expect("an id"))
            .collect::<Vec<_>>()
    };
    let path = format!("/chat/{chat}/pinned_messages");
    assert_eq!(listed(&path).await, [ids[2], ids[0], ids[1]]);
    let first = app.raw(Method::GET, &format!("{path}?limit=2"), Some(&bob.access), None).await;
    let next = first.headers()["link"].to_str().expect("a link").to_owned();
    assert_eq!(listed(next.trim_start_matches('<').split('>').next().expect("a path")).await, [ids[1]]);
    done(&mut owner, "delete_message", json!({"message": {"id": ids[0]}})).await;
    assert_eq!(listed(&path).await, [ids[2], ids[1]], "a deleted message is not pinned");
    refused(&mut owner, "toggle_message_pin", pin(ids[0]), "not_found", "message.id").await;
    let (status, body) = app.send(Method::GET, &format!("{path}?cursor=x"), Some(&bob.access), None).await;
    assert_eq!((status.as_u16(), body["errors"]["cursor"].is_array()), (422, true), "{body}");

    let direct = json!({"chat": {"is_group": false, "members_array": [bob.id]}});
    let direct = done(&mut owner, "create_chat", direct).await["chat"]["id"].as_i64().expect("an id");
    let id = say(&mut owner, direct, "hi").await;
    done(&mut member, "toggle_message_pin", pin(id)).await;
}

#[harness::test]
async fn earlier_versions_are_for_the_author_and_admins() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let (mut owner, mut author) =
        (app.connect(&alice, Transport::MAIN).await, app.connect(&bob, Transport::MAIN).await);
    let chat = app.group(&mut owner, &[&bob, &carol]).await;
    let id = say(&mut author, chat, "one").await;
    for content in ["two", "two", "three"] {
        done(&mut author, "edit_message", json!({"message": {"id": id, "content": content}})).await;
    }
    let path = format!("/message/{id}/edits");
    for person in [&alice, &bob] {
        let versions = app.get(&path, person).await;
        let contents: Vec<&Value> =
            versions.as_array().expect("a list").iter().map(|it| &it["content"]).collect();
        assert_eq!(contents, [&json!("two"), &json!("one")]);
    }
    let (status, body) = app.send(Method::GET, &path, Some(&carol.access), None).await;
    assert_eq!((status.as_u16(), &body["code"]), (403, &json!("forbidden")), "{body}");
    done(&mut owner, "delete_message", json!({"message": {"id": id}})).await;
    assert_eq!(app.get(&path, &bob).await, json!([]), "nothing is left of a deleted message");
}

#[harness::test]
async fn an_edit_and_a_deletion_at_once_end_in_a_deleted_message() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let (mut author, mut other) =
        (app.connect(&alice, Transport::MAIN).await, app.connect(&alice, Transport::ALL[3]).await);
    let mut listener = app.connect(&bob, Transport::MAIN).await;
    let chat = app.group(&mut author, &[&bob]).await;
    for round in 0..10 {
        let id = say(&mut author, chat, &format!("@bob {round}")).await;
        let edit = json!({"message": {"id": id, "content": format!("@bob again {round}")}});
        let (edited, deleted) = tokio::join!(
            author.call("edit_message", edit),
            other.call("delete_message", json!({"message": {"id": id}}))
        );
        assert_eq!(deleted["ok"], json!(true), "{deleted}");
        assert!(edited["ok"] == json!(true) || edited["error"]["code"] == json!("not_found"), "{edited}");
        let shown = one_message(&app, chat, id, &bob).await;
        assert_eq!((&shown["content"], &shown["mentions"]), (&json!(""), &json!([])), "{shown}");
        assert_eq!(app.get(&format!("/message/{id}/edits"), &alice).await, json!([]));
    }
    assert_eq!(my(&app, chat, &bob).await["mentions"], json!(0));
    let last = listener.rest().await.into_iter().rfind(|(name, _)| name.starts_with("message_"));
    assert_eq!(last.map(|(name, _)| name), Some("message_deleted".to_owned()));
}

#[harness::test]
async fn a_forwarded_message_names_its_first_author_and_needs_a_visible_original() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let (mut owner, mut bobs) =
        (app.connect(&alice, Transport::MAIN).await, app.connect(&bob, Transport::MAIN).await);
    let source = app.group(&mut owner, &[&bob]).await;
    let target = app.group(&mut bobs, &[&carol]).await;
    let mut listener = app.connect(&carol, Transport::MAIN).await;
    let id = say(&mut owner, source, "news for @carol").await;
    let forward = |id: i64, chat: i64, client_id: &str| json!({"message": {"id": id, "client_id": client_id}, "chat": {"id": chat}});
    let ack = done(&mut bobs, "forward_message", forward(id, target, "f-1")).await;
    let copy = ack["message"]["id"].as_i64().expect("an id");
    let event = listener.next("new_message").await;
    assert_eq!((&event["content"], &event["user"]["id"]), (&json!("news for @carol"), &json!(bob.id)));
    assert_eq!(event["forwarded_from"]["user"]["id"], json!(alice.id));
    assert_eq!(event["mentions"], json!([]), "forwarding mentions nobody");
    // Forwarded again, the first author stays.
    let ack = done(&mut bobs, "forward_message", forward(copy, target, "f-2")).await;
    assert_eq!(ack["message"]["forwarded_from"]["user"]["id"], json!(alice.id));

    let unknown = forward(id, 999_999, "f-3");
    refused(&mut bobs, "forward_message", unknown, "not_found", "chat.id").await;
    refused(&mut owner, "forward_message", forward(copy, source, "f-4"), "not_found", "message.id").await;
    refused(
        &mut bobs,
        "forward_message",
        forward(id, source, "f-1"),
        "client_id_conflict",
        "message.client_id",
    )
    .await;
    // Otherwise the first author would seem to have written something else.
    let edit = json!({"message": {"id": copy, "content": "fake"}});
    let ack = bobs.call("edit_message", edit).await;
    assert_eq!(ack["error"]["code"], json!("forbidden"), "{ack}");
    let second = ack_id(&done(&mut bobs, "forward_message", forward(id, target, "f-7")).await);
    done(&mut bobs, "delete_message", json!({"message": {"id": second}})).await;
    assert_eq!(one_message(&app, target, second, &carol).await["forwarded_from"], json!(null));
    let other = say(&mut owner, source, "other").await;
    let conflict = ("client_id_conflict", "message.client_id");
    refused(&mut bobs, "forward_message", forward(other, target, "f-1"), conflict.0, conflict.1).await;
    done(&mut bobs, "leave_chat", json!({"chat": {"id": source}})).await;
    refused(&mut bobs, "forward_message", forward(id, target, "f-5"), "not_found", "message.id").await;
    done(&mut owner, "delete_message", json!({"message": {"id": id}})).await;
    refused(&mut owner, "forward_message", forward(id, source, "f-6"), "not_found", "message.id").await;
    // A retry finds what was sent, although the original is out of reach by now.
    let again = done(&mut bobs, "forward_message", forward(id, target, "f-1")).await;
    assert_eq!((&again["message"]["id"], &again["duplicate"]), (&json!(copy), &json!(true)));
    assert_eq!(one_message(&app, target, copy, &carol).await["content"], json!("news for @carol"));
}

#[harness::test]
async fn a_reply_shows_its_message_as_it_is_now() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob]).await;
    let mut listener = app.connect(&bob, Transport::MAIN).await;
    let long = "ё".repeat(300);
    let id = say(&mut owner, chat, &long).await;
    let payload = json!({"chat_id": chat, "content": "so long", "message_type": "text", "reply_to": id});
    let ack = done(&mut owner, "send_message", json!({ "message": payload })).await;
    let excerpt = json!("ё".repeat(200));
    assert_eq!(ack["message"]["reply"]["excerpt"], excerpt);
    listener.next("new_message").await;
    assert_eq!(listener.next("new_message").await["reply"], ack["message"]["reply"]);
    let answer = ack["message"]["id"].as_i64().expect("an id");
    done(&mut owner, "edit_message", json!({"message": {"id": id, "content": "short"}})).await;
    let reply = async || one_message(&app, chat, answer, &bob).await["reply"].clone();
    assert_eq!(reply().await["excerpt"], json!("short"));
    done(&mut owner, "delete_message", json!({"message": {"id": id}})).await;
    let shown = reply().await;
    assert_eq!((&shown["excerpt"], &shown["deleted"], &shown["id"]), (&json!(""), &json!(true), &json!(id)));
    let other = app.group(&mut owner, &[&bob]).await;
    let foreign = json!({"chat_id": other, "content": "no", "message_type": "text", "reply_to": id});
    refused(&mut owner, "send_message", json!({ "message": foreign }), "not_found", "message.reply_to").await;
}

#[harness::test]
async fn a_draft_follows_the_user_and_ends_with_the_membership() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let (mut one, mut other) =
        (app.connect(&bob, Transport::MAIN).await, app.connect(&bob, Transport::ALL[3]).await);
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob]).await;
    let elsewhere = app.group(&mut owner, &[&bob]).await;
    let foreign = say(&mut owner, elsewhere, "x").await;
    let draft = |content: &str, reply_to: Option<i64>| json!({"chat": {"id": chat}, "content": content, "reply_to": reply_to});
    refused(&mut one, "save_draft", draft("x", Some(foreign)), "not_found", "reply_to").await;
    refused(&mut one, "save_draft", draft(&"x".repeat(65_537), None), "too_large", "content").await;
    refused(&mut one, "save_draft", json!({"chat": {"id": chat}}), "validation_failed", "content").await;
    done(&mut one, "save_draft", draft("Dear Al", None)).await;
    let event = other.next("draft_saved").await;
    assert_eq!((&event["chat"], &event["draft"]["content"]), (&json!(chat), &json!("Dear Al")));
    assert_eq!(my(&app, chat, &bob).await["draft"]["content"], json!("Dear Al"));
    assert_eq!(my(&app, chat, &alice).await["draft"], json!(null));
    let member = json!({"chat": {"id": chat}, "user": {"id": bob.id}});
    done(&mut owner, "remove_member", member.clone()).await;
    done(&mut owner, "add_member", member).await;
    assert_eq!(my(&app, chat, &bob).await["draft"], json!(null));
}

#[harness::test]
async fn an_archived_chat_returns_with_a_message_unless_it_is_muted() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob, &carol]).await;
    let (mut bobs, mut carols) =
        (app.connect(&bob, Transport::MAIN).await, app.connect(&carol, Transport::MAIN).await);
    let archive = json!({"chat": {"id": chat, "archived": true}});
    let archived = async |person: &Person| my(&app, chat, person).await["archived"].clone();
    for _ in 0..2 {
        done(&mut bobs, "toggle_chat_archive", archive.clone()).await;
        done(&mut carols, "toggle_chat_archive", archive.clone()).await;
        done(&mut carols, "toggle_chat_mute", json!({"chat": {"id": chat, "muted": true}})).await;
        say(&mut owner, chat, "wake up").await;
        bobs.next("chat_unarchived").await;
        assert_eq!((archived(&bob).await, archived(&carol).await), (json!(false), json!(true)));
        // Unmuted, it returns with the next message.
        say(&mut owner, chat, "still asleep").await;
        assert_eq!(archived(&carol).await, json!(true));
        done(&mut carols, "toggle_chat_mute", json!({"chat": {"id": chat, "muted": false}})).await;
        say(&mut owner, chat, "and now?").await;
        carols.next("chat_unarchived").await;
        assert_eq!(archived(&carol).await, json!(false));
    }
    // Muted for a time: after it, the next message returns the chat.
    done(&mut bobs, "toggle_chat_archive", archive).await;
    done(&mut bobs, "toggle_chat_mute", json!({"chat": {"id": chat, "muted": true, "seconds": 1}})).await;
    say(&mut owner, chat, "early").await;
    assert_eq!(archived(&bob).await, json!(true));
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    say(&mut owner, chat, "late").await;
    assert_eq!(archived(&bob).await, json!(false));
}

#[harness::test]
async fn a_group_shows_who_has_read_and_who_likes_a_message() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob, &carol]).await;
    let id = say(&mut owner, chat, "hi").await;
    let reads = format!("/message/{id}/reads");
    assert_eq!(app.get(&reads, &alice).await, json!([]));
    let mut bobs = app.connect(&bob, Transport::MAIN).await;
    done(&mut bobs, "mark_read", json!({"chat": {"id": chat}, "last_read_message_id": id})).await;
    done(&mut bobs, "toggle_like_message", json!({"message": {"id": id}})).await;
    let page = app.get(&reads, &carol).await;
    assert_eq!(page.as_array().map(Vec::len), Some(1), "{page}");
    assert_eq!(page[0]["user"]["id"], json!(bob.id));
    let likes = app.get(&format!("/message/{id}/likes"), &carol).await;
    assert_eq!(likes[0]["username"], json!("bob"), "{likes}");
    for list in ["reads", "likes", "reactions", "edits"] {
        let path = format!("/message/{id}/{list}?cursor=%00");
        let (status, body) = app.send(Method::GET, &path, Some(&alice.access), None).await;
        assert_eq!((status.as_u16(), body["errors"]["cursor"].is_array()), (422, true), "{list}: {body}");
    }
}

#[harness::test]
async fn every_chat_that_returns_from_the_archive_at_once_has_a_change_of_its_own() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let (mut owner, mut bobs) =
        (app.connect(&alice, Transport::MAIN).await, app.connect(&bob, Transport::MAIN).await);
    let mut chats = Vec::new();
    for _ in 0..8 {
        let chat = app.group(&mut owner, &[&bob]).await;
        done(&mut bobs, "toggle_chat_archive", json!({"chat": {"id": chat, "archived": true}})).await;
        chats.push(chat);
    }
    let mut senders = Vec::new();
    for _ in &chats {
        senders.push(app.connect(&alice, Transport::ALL[3]).await);
    }
    let sends = chats.iter().zip(&mut senders).map(|(chat, sender)| say(sender, *chat, "back"));
    futures_util::future::join_all(sends).await;
    let mut revs = std::collections::BTreeSet::new();
    for _ in &chats {
        revs.insert(bobs.next("chat_unarchived").await["user_rev"].as_i64());
    }
    assert_eq!(revs.len(), chats.len(), "{revs:?}");
}

#[harness::test]
async fn drafts_are_bounded() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob]).await;
    let draft = |content: &str| json!({"chat": {"id": chat}, "content": content});
    done(&mut owner, "save_draft", draft(&"x".repeat(8_192))).await;
    refused(&mut owner, "save_draft", draft(&"x".repeat(8_193)), "too_large", "content").await;
}

//! One table of inputs, as clients in all languages write them, through every transport; and the encodings of request
//! bodies.

use reqwest::Method;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{PASSWORD, Person, Plain, Polling, Socket, TestApp, Transport};

/// An event, its payload (`$C` a chat, `$M` a message in it, `$B` a user), and the invalid field, if any.
type Case = (&'static str, &'static str, Option<&'static str>);

const CASES: &[Case] = &[
    ("history", r#"{"chat":{"id":$C}}"#, None),
    ("history", r#"{"chat":{"id":$C.0}}"#, None),
    ("history", r#"{"chat":{"id":$C.0e0}}"#, None),
    ("history", r#"{"chat":{"id":"$C"}}"#, None),
    ("history", r#"{"chat":{"id":$C.5}}"#, Some("chat.id")),
    ("history", r#"{"chat":{"id":"$C.0"}}"#, Some("chat.id")),
    ("history", r#"{"chat":{"id":"$Cx"}}"#, Some("chat.id")),
    ("history", r#"{"chat":{"id":" $C"}}"#, Some("chat.id")),
    ("history", r#"{"chat":{"id":""}}"#, Some("chat.id")),
    ("history", r#"{"chat":{"id":null}}"#, Some("chat.id")),
    ("history", r#"{"chat":{"id":true}}"#, Some("chat.id")),
    ("history", r#"{"chat":{"id":1e400}}"#, Some("chat.id")),
    ("history", r#"{"chat":{"id":9007199254740993}}"#, Some("chat.id")),
    ("history", r#"{"chat":{"id":9007199254740993.0}}"#, Some("chat.id")),
    ("history", r#"{"chat":{"id":18446744073709551616}}"#, Some("chat.id")),
    ("history", r#"{"chat":{"id":"9007199254740993"}}"#, Some("chat.id")),
    ("history", r#"{"chat":{"id":$C},"limit":5.0}"#, None),
    ("history", r#"{"chat":{"id":$C},"limit":5.5}"#, Some("limit")),
    ("history", r#"{"chat":{"id":$C},"limit":"5"}"#, Some("limit")),
    ("history", r#"{"chat":{"id":$C},"after":1e0}"#, None),
    ("history", r#"{"chat":{"id":$C},"after":1e400}"#, Some("after")),
    ("history", r#"{"chat":{"id":$C},"before":null}"#, None),
    ("mark_read", r#"{"chat":{"id":"$C"},"seq":1.0}"#, None),
    ("mark_read", r#"{"chat":{"id":$C},"seq":"1"}"#, Some("seq")),
    ("mark_read", r#"{"chat":{"id":$C},"last_read_message_id":"$M"}"#, None),
    ("mark_read", r#"{"chat":{"id":$C},"last_read_message_id":$M.0}"#, None),
    ("mark_read", r#"{"chat":{"id":$C},"last_read_message_id":"last"}"#, Some("last_read_message_id")),
    ("toggle_like_message", r#"{"message":{"id":"$M","liked":true}}"#, None),
    ("toggle_like_message", r#"{"message":{"id":$M.25}}"#, Some("message.id")),
    ("edit_message", r#"{"message":{"id":$M.0,"content":"hello"}}"#, None),
    ("edit_message", r#"{"message":{"id":$M,"content":"\ud800"}}"#, Some("message.content")),
    ("edit_message", r#"{"message":{"id":$M,"content":5}}"#, Some("message.content")),
    (
        "send_message",
        r#"{"message":{"chat_id":"$C","content":"a","message_type":1.0,"reply_to":"$M"}}"#,
        None,
    ),
    ("send_message", r#"{"message":{"chat_id":$C.0,"content":"a","message_type":"text"}}"#, None),
    (
        "send_message",
        r#"{"message":{"chat_id":$C,"content":"a","message_type":1.5}}"#,
        Some("message.message_type"),
    ),
    (
        "send_message",
        r#"{"message":{"chat_id":$C,"content":"a","message_type":99}}"#,
        Some("message.message_type"),
    ),
    (
        "send_message",
        r#"{"message":{"chat_id":$C,"content":"a","message_type":"text","reply_to":"x"}}"#,
        Some("message.reply_to"),
    ),
    (
        "send_message",
        r#"{"message":{"chat_id":$C,"content":"  ","message_type":"text"}}"#,
        Some("message.content"),
    ),
    ("add_member", r#"{"chat":{"id":"$C"},"user":{"id":"$B"}}"#, None),
    ("add_member", r#"{"chat":{"id":$C},"user":{"id":"$B "}}"#, Some("user.id")),
    ("watch_presence", r#"{"users":["$B",$B.0]}"#, None),
    ("watch_presence", r#"{"users":[$B,"b"]}"#, Some("users[1]")),
    ("sync", r#"{"only":["$C"],"since":{"$C":0.0},"limit":10.0,"user_rev":0.0,"max_behind":5.0}"#, None),
    ("sync", r#"{"only":[$C],"since":{"$C":"0"}}"#, Some("since.$C")),
    ("sync", r#"{"only":[$C],"since":{"x":0}}"#, Some("since.x")),
    ("sync", r#"{"only":[$C],"user_rev":0.5}"#, Some("user_rev")),
    ("create_chat", r#"{"chat":{"is_group":false,"members_array":["$B"]}}"#, None),
    ("create_chat", r#"{"chat":{"is_group":false,"members_array":["$Bb"]}}"#, Some("chat.members_array[0]")),
];

/// A connection that is ready for events.
enum Way {
    SocketIo(Socket),
    /// The flag says whether it sends binary frames.
    Plain(Plain, bool),
    Rest,
}

struct World {
    app: TestApp,
    alice: Person,
    values: [(&'static str, String); 3],
}

impl World {
    async fn start() -> Self {
        let app = TestApp::start().await;
        let (alice, bob, _) = app.three().await;
        let mut owner = app.connect(&alice, Transport::MAIN).await;
        let chat = app.group(&mut owner, &[&bob]).await;
        let message = json!({"chat_id": chat, "content": "hello", "message_type": "text"});
        let sent = owner.call("send_message", json!({ "message": message })).await;
        let values = [("$C", json!(chat)), ("$M", sent["message"]["id"].clone()), ("$B", json!(bob.id))];
        Self { app, alice, values: values.map(|(name, value)| (name, value.to_string())) }
    }

    fn fill_in(&self, text: &str) -> String {
        self.values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }

    async fn ways(&self) -> Vec<(String, Way)> {
        let mut ways = vec![("REST".to_owned(), Way::Rest)];
        for transport in Transport::ALL {
            let socket = self.app.connect(&self.alice, transport).await;
            ways.push((format!("{transport:?}"), Way::SocketIo(socket)));
        }
        let own = format!("/chat/{}/ws", self.values[0].1);
        for path in ["/ws", own.as_str()] {
            for is_binary in [false, true] {
                let opened = Plain::open(&self.app.host, path, &self.alice.access).await;
                let (plain, _) = opened.expect("opens");
                ways.push((format!("{path}, binary: {is_binary}"), Way::Plain(plain, is_binary)));
            }
        }
        ways
    }

    async fn call(&self, way: &mut Way, event: &str, payload: &str) -> Value {
        match way {
            Way::SocketIo(socket) => socket.call_raw(event, payload).await,
            Way::Plain(plain, is_binary) => plain.call_raw(event, payload, *is_binary).await,
            Way::Rest => {
                let url = format!("{}/events/{event}", self.app.url);
                let request =
                    self.app.http.post(url).bearer_auth(&self.alice.access).body(payload.to_owned());
                let answer: Value = request.send().await.expect("an answer").json().await.expect("JSON");
                if answer["ok"] == json!(true) { answer } else { json!({"ok": false, "error": answer}) }
            }
        }
    }
}

#[harness::test]
async fn every_transport_reads_numbers_and_ids_alike() {
    let world = World::start().await;
    for (name, mut way) in world.ways().await {
        let is_of_one_chat = name.starts_with("/chat");
        for (event, payload, fault) in CASES {
            let is_elsewhere = (is_of_one_chat && *event == "create_chat")
                || (matches!(way, Way::Rest) && *event == "watch_presence");
            if is_elsewhere {
                continue;
            }
            let payload = world.fill_in(payload);
            let answer = world.call(&mut way, event, &payload).await;
            let Some(fault) = fault else {
                assert_eq!(answer["ok"], json!(true), "{name}: {event} {payload}: {answer}");
                continue;
            };
            let fault = world.fill_in(fault);
            assert_eq!(
                answer["error"]["code"],
                json!("validation_failed"),
                "{name}: {event} {payload}: {answer}"
            );
            let errors = answer["error"]["errors"].as_object().expect("errors");
            // On the socket of one chat, some fields are checked before the rest is parsed.
            let short = fault.split('.').next().unwrap_or_default();
            let is_named = |field: &String| *field == fault || (is_of_one_chat && field.starts_with(short));
            assert!(errors.keys().any(is_named), "{name}: {event} {payload}: {answer}");
        }
    }
}

#[harness::test]
async fn frames_of_json_are_read_with_a_mark_in_binary_and_answered_by_their_id() {
    let world = World::start().await;
    let (app, token) = (&world.app, &world.alice.access);
    let auth = |token: &str| json!({"type": "auth", "id": 1, "token": token}).to_string();
    for first in [
        Message::text(auth(&format!("Bearer {token}"))),
        Message::text(format!("\u{feff}{}", auth(token))),
        Message::binary(auth(token)),
        Message::binary(format!("\u{feff}{}", auth(token))),
    ] {
        let mut plain = Plain::upgrade(&app.host, "/ws", &[]).await.expect("upgrades");
        plain.send_message(first.clone()).await;
        assert_eq!(plain.ack_of(&json!(1)).await["ok"], json!(true), "{first}");
        plain.send_raw(r#"{"type":"create_chat","id":"mine","chat":{"name":"\ud83d"}}"#).await;
        let refused = plain.ack_of(&json!("mine")).await;
        assert_eq!(refused["error"]["code"], json!("validation_failed"), "{refused}");
        plain.send_message(Message::binary(vec![0xff, 0xfe])).await;
        assert!(plain.next("exception").await["error"]["errors"]["frame"].is_array());
    }
}

#[harness::test]
async fn bodies_of_requests_are_read_whatever_case_and_mark_they_come_in() {
    let world = World::start().await;
    let (app, alice) = (&world.app, &world.alice);
    let known = json!({"username": "alice", "password": PASSWORD}).to_string();
    let form = format!("username=alice&password={}", PASSWORD.replace(' ', "+"));
    let parts = format!(
        "--aB\r\ncontent-disposition: form-data; name=\"username\"\r\n\r\nalice\r\n\
         --aB\r\ncontent-disposition: form-data; name=\"password\"\r\n\r\n{PASSWORD}\r\n--aB--\r\n"
    );
    for (kind, body) in [
        ("application/json", known.clone()),
        ("Application/JSON ; charset=UTF-8", format!("\u{feff}{known}")),
        ("APPLICATION/X-WWW-FORM-URLENCODED ;charset=utf-8", form),
        ("Multipart/Form-Data ; boundary=aB", parts),
    ] {
        let request = app.http.post(format!("{}/auth/login", app.url)).header(CONTENT_TYPE, kind).body(body);
        assert_eq!(request.send().await.expect("an answer").status(), 200, "{kind}");
    }
    let image = "--aB\r\ncontent-disposition: form-data; name=\"image\"; filename=\"a\"\r\n\r\nno picture\r\n--aB--\r\n";
    let photo = app.http.put(format!("{}/user/me/photo", app.url)).bearer_auth(&alice.access);
    let photo = photo.header(CONTENT_TYPE, "MULTIPART/FORM-DATA ; boundary=aB").body(image);
    let refused: Value = photo.send().await.expect("an answer").json().await.expect("JSON");
    assert!(refused["errors"]["image"].is_array(), "the form was read, the picture is none: {refused}");
    for path in
        ["/auth/login", "/auth/refresh", "/user", "/events/sync", "/user/me/photo", "/user/photo_to_base64"]
    {
        let method = if path == "/user/me/photo" { Method::PUT } else { Method::POST };
        for encoding in ["gzip", "BR", "gzip, identity"] {
            let request = app.http.request(method.clone(), format!("{}{path}", app.url)).body(known.clone());
            let request = request.bearer_auth(&alice.access).header(CONTENT_ENCODING, encoding);
            let answer = request.send().await.expect("an answer");
            assert_eq!(answer.status(), 415, "{path} {encoding}");
            let problem: Value = answer.json().await.expect("JSON");
            assert_eq!(problem["code"], json!("unsupported_media_type"));
        }
    }
    let request = app.http.post(format!("{}/auth/login", app.url)).header(CONTENT_ENCODING, "identity");
    assert_eq!(request.body(known).send().await.expect("an answer").status(), 200);
}

#[harness::test]
async fn errors_of_the_engine_carry_a_number() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let unknown = format!("{}/socket.io/?EIO=4&transport=polling&sid=unknown", app.url);
    let answer: Value = app.http.get(unknown).send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(answer, json!({"code": 1, "message": "Session ID unknown"}));
    let polling = Polling::open(&app, &alice.access).await;
    assert_eq!(polling.post("1").await, 200);
    assert_eq!(polling.get().await.0, 400);
}

/// Names that are refused, for users as well as for chats.
const HIDDEN: [&str; 9] = [
    "\u{200b}",
    "a\u{200b}b",
    "\u{2060}\u{200d}",
    "\u{3164}",
    "a\u{202e}b",
    "\u{2066}a",
    "a\u{2028}b",
    "a\u{85}b",
    "a\0b",
];

#[harness::test]
async fn names_show_as_they_are_and_are_composed_whatever_bears_them() {
    let world = World::start().await;
    let (app, alice) = (&world.app, &world.alice);
    for name in HIDDEN {
        let wish = json!({"username": "dave", "password": PASSWORD, "name": name});
        let (status, refused) = app.send(Method::POST, "/user", None, Some(wish)).await;
        assert!(status == 422 && refused["errors"]["name"].is_array(), "{name:?}: {refused}");
        let patched =
            app.send(Method::PATCH, "/user/me", Some(&alice.access), Some(json!({ "name": name }))).await;
        assert!(patched.0 == 422 && patched.1["errors"]["name"].is_array(), "{name:?}: {}", patched.1);
    }
    for (way_name, mut way) in world.ways().await {
        let chat: i64 = world.values[0].1.parse().expect("an id");
        for name in HIDDEN {
            let payload = json!({"chat": {"id": chat, "name": name}}).to_string();
            let answer = world.call(&mut way, "update_chat", &payload).await;
            assert!(answer["error"]["errors"]["chat.name"].is_array(), "{way_name}: {name:?}: {answer}");
        }
        let payload = json!({"chat": {"id": chat, "name": " Cafe\u{301} 👩\u{200d}💻 "}}).to_string();
        let answer = world.call(&mut way, "update_chat", &payload).await;
        assert_eq!(answer["chat"]["name"], json!("Café 👩\u{200d}💻"), "{way_name}: {answer}");
    }
    let wish = json!({"name": " Zoe\u{308} "});
    let (_, me) = app.send(Method::PATCH, "/user/me", Some(&alice.access), Some(wish)).await;
    assert_eq!(me["name"], json!("Zoë"));
}

#[harness::test]
async fn people_are_found_by_every_way_to_type_their_name() {
    let app = TestApp::start().await;
    let (alice, ..) = app.three().await;
    for (name, queries) in [
        ("Пётр Ёлкин", &["петр", "ПЁТР", "пе\u{308}тр", "елк"][..]),
        ("José Ångström", &["JOSÉ", "jose\u{301}", "\u{212b}ng", "ａ\u{30a}ngs"]),
        ("Ὀδυσσεύς", &["ὀΔΥΣΣΕΎΣ", "ὀδυσσεύσ"]),
        ("İpek Straße", &["ipek", "İPEK", "STRASSE"]),
    ] {
        app.send(Method::PATCH, "/user/me", Some(&alice.access), Some(json!({ "name": name }))).await;
        for query in queries {
            let query_string = serde_urlencoded::to_string([("query", query)]).expect("encodes");
            let found = app.get(&format!("/user?{query_string}"), &alice).await;
            assert_eq!(found[0]["id"], json!(alice.id), "{name}: {query}: {found}");
        }
    }
}

#[harness::test]
async fn a_password_is_the_same_on_every_keyboard() {
    let app = TestApp::start().await;
    let (composed, apart) = ("crème brûlée", "cre\u{300}me bru\u{302}le\u{301}e");
    for (username, registered, tried) in [("dave", composed, apart), ("erin", apart, composed)] {
        let wish = |password: &str| Some(json!({"username": username, "password": password}));
        assert_eq!(app.send(Method::POST, "/user", None, wish(registered)).await.0, 201);
        for password in [registered, tried] {
            assert_eq!(app.send(Method::POST, "/auth/login", None, wish(password)).await.0, 200);
        }
    }
}

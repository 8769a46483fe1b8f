//! Every transport accepts and rejects the same inputs, in all the forms in which clients of different languages write
//! numbers, ids, text and request bodies.

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
enum Connection {
    SocketIo(Socket),
    /// The flag says whether it sends binary frames.
    Plain(Plain, bool),
    Rest,
}

struct Setup {
    app: TestApp,
    alice: Person,
    values: [(&'static str, String); 3],
}

impl Setup {
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

    /// Replaces the placeholders of a case.
    fn fill_in(&self, text: &str) -> String {
        self.values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }

    /// Returns a connection of alice over each transport, with the transport's name.
    async fn connections(&self) -> Vec<(String, Connection)> {
        let mut connections = vec![("REST".to_owned(), Connection::Rest)];
        for transport in Transport::ALL {
            let socket = self.app.connect(&self.alice, transport).await;
            connections.push((format!("{transport:?}"), Connection::SocketIo(socket)));
        }
        let own = format!("/chat/{}/ws", self.values[0].1);
        for path in ["/ws", own.as_str()] {
            for is_binary in [false, true] {
                let opened = Plain::open(&self.app.host, path, &self.alice.access).await;
                let (plain, _) = opened.expect("opens");
                connections
                    .push((format!("{path}, binary: {is_binary}"), Connection::Plain(plain, is_binary)));
            }
        }
        connections
    }

    async fn call(&self, connection: &mut Connection, event: &str, payload: &str) -> Value {
        match connection {
            Connection::SocketIo(socket) => socket.call_raw(event, payload).await,
            Connection::Plain(plain, is_binary) => plain.call_raw(event, payload, *is_binary).await,
            Connection::Rest => {
                let url = format!("{}/events/{event}", self.app.url);
                let request =
                    self.app.http.post(url).bearer_auth(&self.alice.access).body(payload.to_owned());
                let response: Value = request.send().await.expect("a response").json().await.expect("JSON");
                if response["ok"] == json!(true) { response } else { json!({"ok": false, "error": response}) }
            }
        }
    }
}

#[harness::test]
async fn every_transport_parses_numbers_and_ids_identically() {
    let setup = Setup::start().await;
    for (transport, mut connection) in setup.connections().await {
        let is_of_one_chat = transport.starts_with("/chat");
        for (event, payload, invalid_field) in CASES {
            let is_unsupported = (is_of_one_chat && *event == "create_chat")
                || (matches!(connection, Connection::Rest) && *event == "watch_presence");
            if is_unsupported {
                continue;
            }
            let payload = setup.fill_in(payload);
            let ack = setup.call(&mut connection, event, &payload).await;
            let Some(invalid_field) = invalid_field else {
                assert_eq!(ack["ok"], json!(true), "{transport}: {event} {payload}: {ack}");
                continue;
            };
            let invalid_field = setup.fill_in(invalid_field);
            assert_eq!(
                ack["error"]["code"],
                json!("validation_failed"),
                "{transport}: {event} {payload}: {ack}"
            );
            let errors = ack["error"]["errors"].as_object().expect("errors");
            // On the socket of one chat, some fields are checked before the rest is parsed.
            let first_part = invalid_field.split('.').next().unwrap_or_default();
            let is_reported =
                |field: &String| *field == invalid_field || (is_of_one_chat && field.starts_with(first_part));
            assert!(errors.keys().any(is_reported), "{transport}: {event} {payload}: {ack}");
        }
    }
}

#[harness::test]
async fn json_frames_may_be_binary_or_start_with_a_byte_order_mark_and_acks_carry_their_ids() {
    let setup = Setup::start().await;
    let (app, token) = (&setup.app, &setup.alice.access);
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
        let rejected = plain.ack_of(&json!("mine")).await;
        assert_eq!(rejected["error"]["code"], json!("validation_failed"), "{rejected}");

        plain.send_message(Message::binary(vec![0xff, 0xfe])).await;
        assert!(plain.next("exception").await["error"]["errors"]["frame"].is_array());
    }
}

#[harness::test]
async fn request_bodies_may_vary_in_content_type_case_and_byte_order_mark_but_not_be_encoded() {
    let setup = Setup::start().await;
    let (app, alice) = (&setup.app, &setup.alice);
    let credentials = json!({"username": "alice", "password": PASSWORD}).to_string();
    let form = format!("username=alice&password={}", PASSWORD.replace(' ', "+"));
    let parts = format!(
        "--aB\r\ncontent-disposition: form-data; name=\"username\"\r\n\r\nalice\r\n\
         --aB\r\ncontent-disposition: form-data; name=\"password\"\r\n\r\n{PASSWORD}\r\n--aB--\r\n"
    );

    for (content_type, body) in [
        ("application/json", credentials.clone()),
        ("Application/JSON ; charset=UTF-8", format!("\u{feff}{credentials}")),
        ("APPLICATION/X-WWW-FORM-URLENCODED ;charset=utf-8", form),
        ("Multipart/Form-Data ; boundary=aB", parts),
    ] {
        let request =
            app.http.post(format!("{}/auth/login", app.url)).header(CONTENT_TYPE, content_type).body(body);
        assert_eq!(request.send().await.expect("a response").status(), 200, "{content_type}");
    }

    let image = "--aB\r\ncontent-disposition: form-data; name=\"image\"; filename=\"a\"\r\n\r\nno picture\r\n--aB--\r\n";
    let photo = app.http.put(format!("{}/user/me/photo", app.url)).bearer_auth(&alice.access);
    let photo = photo.header(CONTENT_TYPE, "MULTIPART/FORM-DATA ; boundary=aB").body(image);
    let rejected: Value = photo.send().await.expect("a response").json().await.expect("JSON");
    assert!(
        rejected["errors"]["image"].is_array(),
        "the form is parsed, and its image is invalid: {rejected}"
    );

    for path in
        ["/auth/login", "/auth/refresh", "/user", "/events/sync", "/user/me/photo", "/user/photo_to_base64"]
    {
        let method = if path == "/user/me/photo" { Method::PUT } else { Method::POST };
        for encoding in ["gzip", "BR", "gzip, identity"] {
            let request =
                app.http.request(method.clone(), format!("{}{path}", app.url)).body(credentials.clone());
            let request = request.bearer_auth(&alice.access).header(CONTENT_ENCODING, encoding);
            let response = request.send().await.expect("a response");
            assert_eq!(response.status(), 415, "{path} {encoding}");
            let problem: Value = response.json().await.expect("JSON");
            assert_eq!(problem["code"], json!("unsupported_media_type"));
        }
    }

    let request = app.http.post(format!("{}/auth/login", app.url)).header(CONTENT_ENCODING, "identity");
    assert_eq!(request.body(credentials).send().await.expect("a response").status(), 200);
}

#[harness::test]
async fn engine_io_errors_have_a_numeric_code() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let unknown = format!("{}/socket.io/?EIO=4&transport=polling&sid=unknown", app.url);
    let error: Value = app.http.get(unknown).send().await.expect("a response").json().await.expect("JSON");
    assert_eq!(error, json!({"code": 1, "message": "Session ID unknown"}));

    let polling = Polling::open(&app, &alice.access).await;
    assert_eq!(polling.post("1").await, 200);
    assert_eq!(polling.get().await.0, 400);
}

/// Invalid names of users and of chats.
const INVALID_NAMES: [&str; 9] = [
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
async fn names_are_unicode_normalized_and_invisible_characters_are_rejected() {
    let setup = Setup::start().await;
    let (app, alice) = (&setup.app, &setup.alice);

    for name in INVALID_NAMES {
        let request = json!({"username": "dave", "password": PASSWORD, "name": name});
        let (status, rejected) = app.send(Method::POST, "/user", None, Some(request)).await;
        assert!(status == 422 && rejected["errors"]["name"].is_array(), "{name:?}: {rejected}");
        let patched =
            app.send(Method::PATCH, "/user/me", Some(&alice.access), Some(json!({ "name": name }))).await;
        assert!(patched.0 == 422 && patched.1["errors"]["name"].is_array(), "{name:?}: {}", patched.1);
    }

    for (transport, mut connection) in setup.connections().await {
        let chat: i64 = setup.values[0].1.parse().expect("an id");
        for name in INVALID_NAMES {
            let payload = json!({"chat": {"id": chat, "name": name}}).to_string();
            let response = setup.call(&mut connection, "update_chat", &payload).await;
            assert!(response["error"]["errors"]["chat.name"].is_array(), "{transport}: {name:?}: {response}");
        }
        let payload = json!({"chat": {"id": chat, "name": " Cafe\u{301} 👩\u{200d}💻 "}}).to_string();
        let response = setup.call(&mut connection, "update_chat", &payload).await;
        assert_eq!(response["chat"]["name"], json!("Café 👩\u{200d}💻"), "{transport}: {response}");
    }

    let request = json!({"name": " Zoe\u{308} "});
    let (_, me) = app.send(Method::PATCH, "/user/me", Some(&alice.access), Some(request)).await;
    assert_eq!(me["name"], json!("Zoë"));
}

#[harness::test]
async fn user_search_ignores_case_and_unicode_variants() {
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
async fn a_password_matches_in_every_unicode_normalization_form() {
    let app = TestApp::start().await;
    let (composed, decomposed) = ("crème brûlée", "cre\u{300}me bru\u{302}le\u{301}e");

    for (username, registered, other_form) in [("dave", composed, decomposed), ("erin", decomposed, composed)]
    {
        let credentials = |password: &str| Some(json!({"username": username, "password": password}));
        assert_eq!(app.send(Method::POST, "/user", None, credentials(registered)).await.0, 201);
        for password in [registered, other_form] {
            assert_eq!(app.send(Method::POST, "/auth/login", None, credentials(password)).await.0, 200);
        }
    }
}

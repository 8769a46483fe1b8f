//! Files of messages: uploading, sending, reading and removing them; what is refused, and what must not run in the origin
//! of the pages.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{ImageFormat, RgbImage};
use reqwest::multipart::{Form, Part};
use reqwest::{Method, Response, StatusCode};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{Person, Socket, TestApp, Transport, eventually};

async fn done(socket: &mut Socket, event: &str, payload: Value) -> Value {
    let ack = socket.call(event, payload).await;
    assert_eq!(ack["ok"], json!(true), "{event}: {ack}");
    ack
}

async fn refused(socket: &mut Socket, payload: Value, code: &str, field: &str) {
    let ack = socket.call("send_message", json!({ "message": payload })).await;
    assert_eq!(ack["error"]["code"], json!(code), "{payload}: {ack}");
    assert!(ack["error"]["errors"][field].is_array(), "{payload}: {ack}");
}

async fn try_upload(
    app: &TestApp,
    person: &Person,
    path: &str,
    name: &str,
    bytes: &[u8],
) -> (StatusCode, Value) {
    let form = Form::new().part("file", Part::bytes(bytes.to_vec()).file_name(name.to_owned()));
    let request = app.http.post(format!("{}{path}", app.url)).bearer_auth(&person.access).multipart(form);
    let answer = request.send().await.expect("an answer");
    (answer.status(), answer.json().await.expect("JSON"))
}

async fn upload(app: &TestApp, person: &Person, chat: i64, name: &str, bytes: &[u8]) -> Value {
    let (status, file) = try_upload(app, person, &format!("/chat/{chat}/attachment"), name, bytes).await;
    assert_eq!(status, 201, "{file}");
    file
}

/// Sends a message with these files; returns it.
async fn send(socket: &mut Socket, chat: i64, content: &str, ids: &[&Value]) -> Value {
    let message = json!({"chat_id": chat, "content": content, "message_type": "text", "attachments": ids});
    done(socket, "send_message", json!({ "message": message })).await["message"].clone()
}

/// Fetches a URL of a message, which begins with the public URL.
async fn fetch(app: &TestApp, url: &Value, headers: &[(&str, &str)]) -> Response {
    let url = url.as_str().expect("a URL");
    let path = &url[url.find("/attachment/").expect("a path")..];
    let request = app.http.get(format!("{}{path}", app.url));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.send().await.expect("an answer")
}

pub fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let pixels = RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 120]));
    pixels.write_to(&mut bytes, ImageFormat::Png).expect("encodes");
    bytes.into_inner()
}

/// Returns the files below the storage's folder.
fn stored(app: &TestApp) -> BTreeSet<String> {
    fn walk(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                walk(&entry.path(), found);
            } else {
                found.insert(entry.path().display().to_string());
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(&app.server.context.settings.data_dir.join("storage/attachments"), &mut found);
    found
}

#[harness::test]
async fn members_read_a_file_with_their_token_or_by_its_signed_url() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let mut listener = app.connect(&bob, Transport::ALL[3]).await;
    let chat = app.group(&mut owner, &[&bob]).await;
    let file = upload(&app, &alice, chat, "../отчёт 2026.txt", "привет".as_bytes()).await;
    assert_eq!(
        (&file["name"], &file["mime"], &file["size"], &file["width"], &file["thumbnail_url"]),
        (&json!("отчёт 2026.txt"), &json!("text/plain"), &json!(12), &json!(null), &json!(null)),
    );
    let path = format!("/attachment/{}/x", file["id"]);
    let status =
        async |person: &Person| app.raw(Method::GET, &path, Some(&person.access), None).await.status();
    assert_eq!(
        (status(&alice).await, status(&bob).await),
        (StatusCode::OK, StatusCode::NOT_FOUND),
        "not sent yet"
    );
    send(&mut owner, chat, "", &[&file["id"]]).await;
    let event = listener.next("new_message").await;
    assert_eq!((&event["content"], &event["attachments"][0]["name"]), (&json!(""), &file["name"]));
    assert_eq!((status(&bob).await, status(&carol).await), (StatusCode::OK, StatusCode::NOT_FOUND));
    assert_eq!(app.raw(Method::GET, &path, None, None).await.status(), 401);

    let url = &event["attachments"][0]["url"];
    let answer = fetch(&app, url, &[]).await;
    assert_eq!(answer.status(), 200);
    let header = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
    assert_eq!(header("content-type"), "text/plain");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert!(header("content-disposition").starts_with("attachment; filename="), "{answer:?}");
    assert!(header("content-disposition").contains("filename*=UTF-8''%D0%BE"), "{answer:?}");
    assert!(header("content-security-policy").starts_with("sandbox"), "{answer:?}");
    let etag = header("etag");
    assert_eq!(answer.text().await.expect("a body"), "привет");
    let part = fetch(&app, url, &[("range", "bytes=4-")]).await;
    assert_eq!(
        (part.status().as_u16(), part.headers()["content-range"].to_str().expect("text")),
        (206, "bytes 4-11/12")
    );
    assert_eq!(part.text().await.expect("a body"), "ивет");
    assert_eq!(fetch(&app, url, &[("range", "bytes=50-")]).await.status(), 416);
    assert_eq!(fetch(&app, url, &[("if-none-match", &etag)]).await.status(), 304);
    for (from, to) in [("signature=", "signature=0"), ("expires=1", "expires=2"), ("expires=", "expires=9")] {
        let forged = json!(url.as_str().expect("a URL").replacen(from, to, 1));
        assert_eq!(fetch(&app, &forged, &[]).await.status(), 404, "{forged}");
        let bearer = format!("Bearer {}", bob.access);
        assert!(fetch(&app, &forged, &[("authorization", &bearer)]).await.status() != 401);
    }
    // Whoever has left reads nothing more, except by a URL that is still valid.
    let member = json!({"chat": {"id": chat}, "user": {"id": bob.id}});
    done(&mut owner, "remove_member", member).await;
    assert_eq!(status(&bob).await, 404);
}

#[harness::test]
async fn a_picture_is_measured_and_loses_its_metadata_unless_it_is_sent_as_a_file() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob]).await;
    let plain = png(900, 300);
    let secret = b"\0\0\0\x04eXIfhome\0\0\0\0";
    let picture = [&plain[..33], secret, &plain[33..]].concat();
    // The name lies; the content decides.
    let shown = upload(&app, &alice, chat, "notes.txt", &picture).await;
    assert_eq!(
        (&shown["mime"], &shown["width"], &shown["height"]),
        (&json!("image/png"), &json!(900), &json!(300))
    );
    assert!(shown["blurhash"].as_str().is_some_and(|text| text.len() > 20), "{shown}");
    let thumbnail = fetch(&app, &shown["thumbnail_url"], &[]).await;
    assert_eq!(thumbnail.headers()["content-type"], "image/webp");
    let thumbnail = image::load_from_memory(&thumbnail.bytes().await.expect("a body")).expect("a picture");
    assert_eq!((thumbnail.width(), thumbnail.height()), (480, 160));
    let whole = fetch(&app, &shown["url"], &[]).await;
    assert!(whole.headers()["content-disposition"].to_str().expect("text").starts_with("inline"));
    assert_eq!(whole.bytes().await.expect("a body"), plain, "without the position");
    let (status, file) =
        try_upload(&app, &alice, &format!("/chat/{chat}/attachment?as_file=true"), "a.png", &picture).await;
    assert_eq!(
        (status.as_u16(), &file["width"], &file["thumbnail_url"]),
        (201, &json!(null), &json!(null)),
        "{file}"
    );
    assert_eq!(
        fetch(&app, &file["url"], &[]).await.bytes().await.expect("a body"),
        picture,
        "as it was sent"
    );
    let broken = &picture[..picture.len() / 2];
    let (status, body) = try_upload(&app, &alice, &format!("/chat/{chat}/attachment"), "a.png", broken).await;
    assert_eq!((status.as_u16(), body["errors"]["file"].is_array()), (422, true), "{body}");
    send(&mut owner, chat, "both", &[&file["id"], &shown["id"]]).await;
    let history = app.get(&format!("/chat/{chat}/messages"), &bob).await;
    let names: Vec<&Value> =
        history[0]["attachments"].as_array().expect("a list").iter().map(|it| &it["name"]).collect();
    assert_eq!(names, [&json!("a.png"), &json!("notes.txt")], "in the order of the message");
}

#[harness::test]
async fn documents_of_strangers_do_not_run_in_the_origin_of_the_pages() {
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[]).await;
    for (name, content) in [
        ("a.html", &b"<!DOCTYPE html><script>alert(1)</script>"[..]),
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"),
        ("a.pdf", b"%PDF-1.7 ..."),
        ("a.xml", b"<?xml version='1.0'?><x/>"),
    ] {
        let file = upload(&app, &alice, chat, name, content).await;
        let answer = fetch(&app, &file["url"], &[]).await;
        let header = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
        assert!(header("content-disposition").starts_with("attachment"), "{name}: {answer:?}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{name}");
        assert_eq!(header("content-security-policy"), "sandbox; default-src 'none'", "{name}");
    }
    let long = format!("{}.tar.gz", "ё".repeat(300));
    for (name, kept) in [
        ("C:\\temp\\x.txt", "x.txt".to_owned()),
        ("invoice\u{202e}fdp.exe", "invoicefdp.exe".to_owned()),
        ("", "file.txt".to_owned()),
        (&long, format!("{}.gz", "ё".repeat(197))),
    ] {
        let file = upload(&app, &alice, chat, name, b"text").await;
        assert_eq!(file["name"], json!(kept));
    }
}

#[harness::test]
async fn too_large_and_broken_uploads_leave_nothing_behind() {
    let app = TestApp::with(&[("MAX_ATTACHMENT_BYTES", "100000")]).await;
    let (alice, bob, carol) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob]).await;
    let path = format!("/chat/{chat}/attachment");
    let large = vec![b'x'; 100_001];
    let (status, body) = try_upload(&app, &alice, &path, "a.txt", &large).await;
    assert_eq!((status.as_u16(), &body["code"]), (413, &json!("too_large")), "{body}");
    assert!(body["errors"]["file"].is_array(), "{body}");
    upload(&app, &alice, chat, "a.txt", &large[..100_000]).await;
    let before = stored(&app);
    for (path, bytes, status) in [
        (path.as_str(), &b""[..], 422),
        ("/chat/999999/attachment", b"x", 404),
        (&format!("{path}?as_file=maybe"), b"x", 422),
    ] {
        let (got, body) = try_upload(&app, &alice, path, "a.txt", bytes).await;
        assert_eq!(got.as_u16(), status, "{path}: {body}");
    }
    let (status, _) = try_upload(&app, &carol, &path, "a.txt", b"x").await;
    assert_eq!(status, 404, "a stranger");
    // A connection that breaks in the middle.
    let mut tcp = TcpStream::connect(&app.host).await.expect("connects");
    let part = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\r\n";
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 90000\r\n\r\n{part}{}",
        alice.access,
        "y".repeat(40_000)
    );
    tcp.write_all(head.as_bytes()).await.expect("is sent");
    eventually("the upload has begun", async || stored(&app).len() > before.len()).await;
    drop(tcp);
    eventually("the draft is removed", async || stored(&app) == before).await;
}

#[harness::test]
async fn a_message_takes_only_files_that_its_author_has_uploaded_to_the_chat() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let (mut owner, mut bobs) =
        (app.connect(&alice, Transport::MAIN).await, app.connect(&bob, Transport::MAIN).await);
    let chat = app.group(&mut owner, &[&bob]).await;
    let other = app.group(&mut owner, &[&bob]).await;
    let file = upload(&app, &alice, chat, "a.txt", b"one").await["id"].clone();
    let message = |chat: i64, ids: Value| json!({"chat_id": chat, "content": "", "message_type": "text", "attachments": ids});
    refused(&mut bobs, message(chat, json!([file])), "not_found", "message.attachments").await;
    refused(&mut owner, message(other, json!([file])), "not_found", "message.attachments").await;
    refused(&mut owner, message(chat, json!([999_999])), "not_found", "message.attachments").await;
    refused(&mut owner, message(chat, json!([file, file])), "validation_failed", "message.attachments").await;
    let eleven: Vec<i64> = (1..=11).collect();
    refused(&mut owner, message(chat, json!(eleven)), "validation_failed", "message.attachments").await;
    refused(&mut owner, message(chat, json!([])), "validation_failed", "message.content").await;
    // With a client_id, a repeated send is recognized by its files.
    let mut keyed = message(chat, json!([file]));
    keyed["client_id"] = json!("k");
    let first = done(&mut owner, "send_message", json!({ "message": keyed })).await;
    let again = done(&mut owner, "send_message", json!({ "message": keyed })).await;
    assert_eq!((&again["duplicate"], &again["message"]["id"]), (&json!(true), &first["message"]["id"]));
    assert_eq!(again["message"]["attachments"][0]["id"], file);
    keyed["attachments"] = json!([upload(&app, &alice, chat, "b.txt", b"two").await["id"]]);
    refused(&mut owner, keyed, "client_id_conflict", "message.client_id").await;
}

#[harness::test]
async fn files_are_removed_once_no_message_has_them() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob]).await;
    let other = app.group(&mut owner, &[&bob]).await;
    let file = upload(&app, &alice, chat, "a.png", &png(10, 10)).await;
    let message = send(&mut owner, chat, "look", &[&file["id"]]).await;
    assert_eq!(stored(&app).len(), 2, "the picture and its small version");
    let forward = json!({"message": {"id": message["id"]}, "chat": {"id": other}});
    let copy = done(&mut owner, "forward_message", forward).await["message"].clone();
    assert_eq!(copy["attachments"][0]["id"], file["id"]);
    let delete = |id: &Value| json!({"message": {"id": id}});
    let ack = done(&mut owner, "delete_message", delete(&message["id"])).await;
    assert_eq!(ack["message"]["attachments"], json!([]));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(stored(&app).len(), 2, "the forwarded message has it");
    assert_eq!(fetch(&app, &copy["attachments"][0]["url"], &[]).await.status(), 200);
    done(&mut owner, "delete_message", delete(&copy["id"])).await;
    eventually("the files are gone", async || stored(&app).is_empty()).await;
    assert_eq!(fetch(&app, &copy["attachments"][0]["url"], &[]).await.status(), 404);

    // An upload whose message is never sent waits for a day.
    upload(&app, &alice, chat, "b.txt", b"never sent").await;
    let sent = upload(&app, &alice, chat, "c.txt", b"sent").await;
    send(&mut owner, chat, "", &[&sent["id"]]).await;
    app.server.context.released_attachments.notify_one();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(stored(&app).len(), 2);
    let sql = "UPDATE attachments SET due_at = 1 WHERE due_at IS NOT NULL";
    app.server.context.db.read().execute_unprepared(sql).await.expect("aged");
    app.server.context.released_attachments.notify_one();
    eventually("the orphan is gone", async || stored(&app).len() == 1).await;
    assert_eq!(fetch(&app, &sent["url"], &[]).await.status(), 200);
}

#[harness::test]
async fn a_file_as_content_becomes_an_attachment() {
    let app = TestApp::start().await;
    let (alice, bob, carol) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob]).await;
    let mut listener = app.connect(&bob, Transport::MAIN).await;
    let picture = STANDARD.encode(png(20, 10));
    let content = format!("data:image/png;base64,{picture}");
    let message = |content: &str| json!({"chat_id": chat, "content": content, "message_type": "image", "client_id": "d"});
    let first = done(&mut owner, "send_message", json!({"message": message(&content)})).await;
    let shown = &first["message"];
    assert_eq!((&shown["content"], &shown["attachments"][0]["width"]), (&json!(""), &json!(20)), "{shown}");
    assert_eq!(shown["attachments"][0]["name"], json!("file.png"));
    assert_eq!(listener.next("new_message").await["attachments"][0]["id"], shown["attachments"][0]["id"]);
    let again = done(&mut owner, "send_message", json!({"message": message(&content)})).await;
    assert_eq!((&again["duplicate"], &again["message"]["id"]), (&json!(true), &shown["id"]));
    assert_eq!(stored(&app).len(), 2, "a retry stores nothing");
    let other = format!("data:text/plain;base64,{}", STANDARD.encode("x"));
    refused(&mut owner, message(&other), "client_id_conflict", "message.client_id").await;
    let invalid = |content: &str| json!({"chat_id": chat, "content": content, "message_type": "text"});
    refused(&mut owner, invalid("data:text/plain;base64,%%%"), "validation_failed", "message.content").await;
    refused(&mut owner, invalid("data:text/plain;base64,"), "validation_failed", "message.content").await;
    let mut outsider = app.connect(&carol, Transport::MAIN).await;
    refused(&mut outsider, invalid(&other), "not_found", "message.chat_id").await;
    // A data URL in a text stays a text.
    let text = "see data:text/plain;base64,eA== for an example";
    assert_eq!(
        done(&mut owner, "send_message", json!({"message": invalid(text)})).await["message"]["content"],
        json!(text)
    );
}

#[harness::test]
async fn binary_data_of_socket_io_becomes_an_attachment() {
    for fast_path in ["true", "false"] {
        let app = TestApp::with(&[("FAST_PATH", fast_path)]).await;
        let alice = app.person("alice").await;
        let mut owner = app.connect(&alice, Transport::MAIN).await;
        let chat = app.group(&mut owner, &[]).await;
        let mut socket = app.connect(&alice, Transport::ALL[1]).await;
        let content = r#"{"_placeholder":true,"num":0}"#;
        let event = format!(
            r#"451-/ws,["send_message",{{"message":{{"chat_id":{chat},"content":{content},"message_type":"binary"}}}}]"#
        );
        socket.send_raw(&event).await;
        socket.send_binary(b"\x00\x01binary").await;
        let message = owner.next("new_message").await;
        assert_eq!(
            (&message["content"], &message["message_type"]),
            (&json!(""), &json!("binary")),
            "{message}"
        );
        let file = &message["attachments"][0];
        assert_eq!((&file["size"], &file["mime"]), (&json!(8), &json!("application/octet-stream")), "{file}");
        assert_eq!(
            fetch(&app, &file["url"], &[]).await.bytes().await.expect("a body"),
            &b"\x00\x01binary"[..]
        );
    }
}

/// Each transaction still sees the other message: both leave the decision to the removal.
#[harness::test]
async fn a_file_goes_when_the_messages_that_have_it_are_deleted_at_once() {
    let app = TestApp::start().await;
    let (alice, bob, _) = app.three().await;
    let (mut owner, mut other) =
        (app.connect(&alice, Transport::MAIN).await, app.connect(&alice, Transport::ALL[3]).await);
    let (source, target) = (app.group(&mut owner, &[&bob]).await, app.group(&mut owner, &[&bob]).await);
    for _ in 0..5 {
        let file = upload(&app, &alice, source, "a.txt", b"hello").await;
        let sent = send(&mut owner, source, "", &[&file["id"]]).await;
        let forward = json!({"message": {"id": sent["id"]}, "chat": {"id": target}});
        let copy = done(&mut owner, "forward_message", forward).await["message"]["id"].clone();
        tokio::join!(
            done(&mut owner, "delete_message", json!({"message": {"id": sent["id"]}})),
            done(&mut other, "delete_message", json!({"message": {"id": copy}}))
        );
    }
    eventually("the files are removed", async || stored(&app).is_empty()).await;
}

#[harness::test]
async fn a_form_without_an_end_is_not_kept_in_memory() {
    let app = TestApp::with(&[("MAX_ATTACHMENT_BYTES", "20000")]).await;
    let (alice, bob, _) = app.three().await;
    let mut owner = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut owner, &[&bob]).await;
    let path = format!("{}/chat/{chat}/attachment", app.url);
    let long = "x".repeat(200_000);
    for body in [long.clone(), format!("--b\r\nContent-Disposition: form-data; name=\"{long}")] {
        let request = app.http.post(&path).bearer_auth(&alice.access).body(body);
        let answer = request
            .header("content-type", "multipart/form-data; boundary=b")
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 413, "{}", answer.text().await.unwrap_or_default());
    }
    // What only begins like a picture is a text.
    let file = upload(&app, &alice, chat, "GIFTS.csv", b"GIFTS,1\n").await;
    let answer = fetch(&app, &file["url"], &[]).await;
    assert_eq!(
        answer.headers()["cross-origin-resource-policy"],
        "cross-origin",
        "for pages of other origins"
    );
    assert_eq!(file["mime"], json!("text/plain"));
}

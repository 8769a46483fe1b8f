//! Where photos are stored: one suite for the folder and for a real S3-compatible server, and photos through the
//! complete server on both.

use bytes::Bytes;
use image::{ImageFormat, RgbImage};
use mango_chat::config::Settings;
use mango_chat::error::Code;
use mango_chat::platform::storage::Storage;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{TestApp, Transport, eventually};

/// Returns the settings of the S3-compatible server that `scripts/test` starts. Without it the suite covers only the
/// folder; CI always has it.
fn s3() -> Option<Vec<(&'static str, String)>> {
    let variable = |name: &str| std::env::var(name).ok().filter(|it| !it.is_empty());
    let Some(endpoint) = variable("TEST_S3_ENDPOINT") else {
        assert!(
            variable("CI").is_none(),
            "continuous integration tests against S3: TEST_S3_ENDPOINT is missing"
        );
        return None;
    };
    Some(vec![
        ("STORAGE", "s3".into()),
        ("S3_ENDPOINT", endpoint),
        ("S3_BUCKET", variable("TEST_S3_BUCKET").expect("TEST_S3_BUCKET")),
        ("S3_ACCESS_KEY_ID", variable("TEST_S3_ACCESS_KEY_ID").expect("TEST_S3_ACCESS_KEY_ID")),
        ("S3_SECRET_ACCESS_KEY", variable("TEST_S3_SECRET_ACCESS_KEY").expect("TEST_S3_SECRET_ACCESS_KEY")),
        ("S3_FORCE_PATH_STYLE", "true".into()),
    ])
}

fn open(pairs: &[(&str, String)]) -> Storage {
    let settings = Settings::from_source(&|name| {
        pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone())
    })
    .expect("settings fit");
    Storage::open(&settings).expect("opens")
}

async fn behaves(storage: &Storage, prefix: &str) {
    let key = format!("photos/{prefix}/original.jpeg");
    storage.ready().await.expect("ready");
    assert_eq!(storage.get(&key).await.expect("answers"), None);
    storage.put(&key, Bytes::from_static(b"one"), "image/jpeg").await.expect("stored");
    storage.put(&key, Bytes::from_static(b"two"), "image/jpeg").await.expect("replaced");
    assert_eq!(storage.get(&key).await.expect("answers").as_deref(), Some(&b"two"[..]));
    for bad in ["../x", "/x", "a/../../x", "", "a//b"] {
        assert!(storage.put(bad, Bytes::new(), "x").await.is_err(), "{bad}");
        assert!(storage.get(bad).await.is_err(), "{bad}");
    }
    storage.delete(&key).await.expect("removed");
    storage.delete(&key).await.expect("removed already");
    assert_eq!(storage.get(&key).await.expect("answers"), None);
}

#[tokio::test]
async fn the_folder_stores_files_completely_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let storage = open(&[("DATA_DIR", folder.path().display().to_string())]);
    behaves(&storage, "local").await;
    // A folder that is not writable is reported, not hidden.
    let place = folder.path().join("storage");
    std::fs::remove_dir_all(&place).expect("removed");
    std::fs::write(&place, "a file where the folder was").expect("written");
    assert!(storage.ready().await.is_err());
    assert!(storage.put("photos/a/original.jpeg", Bytes::new(), "x").await.is_err());
}

#[tokio::test]
async fn the_bucket_behaves_like_the_folder() {
    let Some(mut pairs) = s3() else { return };
    behaves(&open(&pairs), &format!("it-{}", std::process::id())).await;
    for pair in &mut pairs {
        // The test's S3 server checks the key id, but not the signature (version 4).
        if pair.0 == "S3_ACCESS_KEY_ID" {
            pair.1 = "NOBODY".into();
        }
    }
    let locked_out = open(&pairs);
    let error = locked_out.put("photos/x/original.jpeg", Bytes::new(), "x").await.expect_err("refused");
    assert_eq!(error.code.as_str(), "unavailable");
    assert!(locked_out.ready().await.is_err());
}

#[tokio::test]
async fn a_truncated_object_is_unavailable_instead_of_a_partial_response() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut peer, _)) = listener.accept().await {
            let mut request = [0; 4_096];
            assert!(peer.read(&mut request).await.expect("a request") > 0);
            let half = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly the beginning";
            peer.write_all(half).await.expect("written");
        }
    });
    let storage = open(&[
        ("STORAGE", "s3".into()),
        ("S3_ENDPOINT", endpoint),
        ("S3_BUCKET", "photos".into()),
        ("S3_ACCESS_KEY_ID", "id".into()),
        ("S3_SECRET_ACCESS_KEY", "secret".into()),
        ("S3_FORCE_PATH_STYLE", "true".into()),
    ]);
    let error = storage.get("photos/a/original.jpeg").await.expect_err("it broke off");
    assert_eq!(error.code, Code::Unavailable);
}

fn picture() -> Vec<u8> {
    let mut bytes = Vec::new();
    let picture = RgbImage::from_fn(64, 48, |x, y| image::Rgb([x as u8 * 4, y as u8 * 5, 99]));
    picture.write_to(&mut std::io::Cursor::new(&mut bytes), ImageFormat::Png).expect("a picture");
    bytes
}

#[harness::test]
async fn a_photo_is_rendered_stored_served_replaced_and_deleted() {
    use base64::Engine;
    let mut landscapes: Vec<Vec<(&str, String)>> = vec![Vec::new()];
    landscapes.extend(s3());
    for pairs in landscapes {
        let extra: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let app = TestApp::with(&extra).await;
        let alice = app.person("alice").await;
        let default = app.get("/user/me", &alice).await["photo"].as_str().expect("a name").to_owned();
        assert!(default.starts_with("mango-"), "{default}");
        let photo = base64::engine::general_purpose::STANDARD.encode(picture());
        let set = async |photo: &str| {
            app.send(Method::PUT, "/user/me/photo", Some(&alice.access), Some(json!({"photo": photo}))).await
        };
        let (status, me) = set(&format!("data:image/png;base64,\n{photo}\n")).await;
        assert_eq!(status, 200, "{me}");
        let first = me["photo"].as_str().expect("a name").to_owned();
        for (file, format, side) in [
            ("original.jpeg", ImageFormat::Jpeg, (64, 48)),
            ("400x400.webp", ImageFormat::WebP, (400, 400)),
            ("100x100.webp", ImageFormat::WebP, (100, 100)),
            ("50x50.webp", ImageFormat::WebP, (50, 50)),
        ] {
            let answer = app.raw(Method::GET, &format!("/static/{first}/{file}"), None, None).await;
            assert_eq!(answer.status(), 200, "{file}");
            assert!(answer.headers()["cache-control"].to_str().expect("text").contains("immutable"));
            let bytes = answer.bytes().await.expect("bytes");
            let shown = image::load_from_memory_with_format(&bytes, format).expect("a picture");
            assert_eq!((shown.width(), shown.height()), side, "{file}");
        }
        let (status, problem) = set("bm90IGEgcGljdHVyZQ==").await;
        assert_eq!((status.as_u16(), problem["errors"]["photo"].is_array()), (422, true), "{problem}");
        assert_eq!(app.get("/user/me", &alice).await["photo"], json!(first), "a failed change loses nothing");
        let form = reqwest::multipart::Form::new().part("image", reqwest::multipart::Part::bytes(picture()));
        let answer =
            app.http.put(format!("{}/user/me/photo", app.url)).bearer_auth(&alice.access).multipart(form);
        let me: serde_json::Value = answer.send().await.expect("an answer").json().await.expect("JSON");
        let second = me["photo"].as_str().expect("a name").to_owned();
        assert_ne!(first, second);
        let status = async |photo: &str| {
            app.raw(Method::GET, &format!("/static/{photo}/50x50.webp"), None, None).await.status().as_u16()
        };
        assert_eq!((status(&first).await, status(&second).await), (404, 200), "the old one is gone");
        let (_, me) = app.send(Method::DELETE, "/user/me/photo", Some(&alice.access), None).await;
        assert!(me["photo"].as_str().expect("a name").starts_with("mango-"));
        assert_eq!(status(&second).await, 404);
        assert!(mango_chat::domain::photos::default_avatar_count() >= 14);
    }
}

#[harness::test]
async fn an_attachment_of_several_parts_is_stored_read_and_removed() {
    let mut environments: Vec<Vec<(&str, String)>> = vec![Vec::new()];
    environments.extend(s3());
    for pairs in environments {
        let extra: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let app = TestApp::with(&extra).await;
        let (alice, bob, _) = app.three().await;
        let mut owner = app.connect(&alice, Transport::MAIN).await;
        let chat = app.group(&mut owner, &[&bob]).await;
        // Three parts in S3, the last of which is smaller.
        let bytes: Vec<u8> =
            (0..12_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let form = Form::new().part("file", Part::bytes(bytes.clone()).file_name("large.bin"));
        let request = app.http.post(format!("{}/chat/{chat}/attachment", app.url)).bearer_auth(&alice.access);
        let answer = request.multipart(form).send().await.expect("an answer");
        assert_eq!(answer.status(), 201);
        let file: serde_json::Value = answer.json().await.expect("JSON");
        assert_eq!(file["size"], json!(12_000_000));
        let message =
            json!({"chat_id": chat, "content": "", "message_type": "binary", "attachments": [file["id"]]});
        let ack = owner.call("send_message", json!({ "message": message })).await;
        assert_eq!(ack["ok"], json!(true), "{ack}");
        let path = format!("/attachment/{}/large.bin", file["id"]);
        let read = async || {
            let request = app.http.get(format!("{}{path}", app.url)).bearer_auth(&bob.access);
            request.send().await.expect("an answer")
        };
        let answer = read().await;
        assert_eq!(answer.status(), 200);
        assert!(answer.headers()["content-disposition"].to_str().expect("text").starts_with("attachment"));
        assert!(answer.bytes().await.expect("a body") == bytes, "every byte in its place");
        let ack = owner.call("delete_message", json!({"message": {"id": ack["message"]["id"]}})).await;
        assert_eq!(ack["ok"], json!(true), "{ack}");
        eventually("the file is gone", async || read().await.status() == 404).await;
    }
}

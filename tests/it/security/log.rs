//! What the log says about logins, failed logins, rejected requests and actions of admins, and what it must not say.
//! The test reads the log files of its own server.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use reqwest::Method;
use sea_orm::{ConnectionTrait, Database};
use serde_json::{Value, json};

use crate::binary::{command, post, serve, signal};
use crate::support::{PASSWORD, Socket, Transport, fresh_database};

/// A secret that the user types into the wrong field.
const SECRET: &str = "my-other-password";

#[harness::test]
async fn logins_failed_logins_and_admin_actions_are_logged_without_secrets() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = fresh_database(&folder).await;
    let settings = [
        ("DATABASE_URL", url.as_str()),
        ("LOG_FORMAT", "json"),
        ("LOG_DIR", "logs"),
        ("JWT_SECRET", "a-secret-for-tests-of-at-least-32-bytes"),
    ];
    let mut server = serve(&folder, &settings);
    let alice = post(&server.host, "/user", json!({"username": "alice", "password": PASSWORD})).await;
    let known = json!({"username": "alice", "password": PASSWORD});
    let tokens = post(&server.host, "/auth/login", known).await;
    let (access, refresh) = (tokens["access_token"].as_str().expect("text"), tokens["refresh_token"].clone());
    post(&server.host, "/auth/login", json!({"username": SECRET, "password": "wrong password"})).await;
    post(&server.host, "/auth/login", json!({"username": "alice", "password": SECRET})).await;
    // A rejected command over a socket, and a rejected request.
    let mut socket = Socket::open(&server.host, Some(access), Transport::MAIN).await.expect("connects");
    socket.next("ready").await;
    let bob = post(&server.host, "/user", json!({"username": "bob", "password": PASSWORD})).await;
    let payload = json!({"chat": {"is_group": false, "members_array": [bob["id"]]}});
    let chat = socket.call("create_chat", payload).await["chat"]["id"].clone();
    let refused = socket.call("delete_chat", json!({"chat": {"id": chat}})).await;
    assert_eq!(refused["error"]["code"], json!("forbidden"), "{refused}");
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let admin = http.request(Method::GET, format!("http://{}/admin/user", server.host)).bearer_auth(access);
    assert_eq!(admin.send().await.expect("an answer").status(), 403);
    // A refresh token that is used again after its successor was used.
    let next = post(&server.host, "/auth/refresh", json!({"refresh_token": refresh})).await;
    post(&server.host, "/auth/refresh", json!({"refresh_token": next["refresh_token"]})).await;
    let database = Database::connect(&url).await.expect("connects");
    let long_ago = "UPDATE refresh_tokens SET exchanged_at = exchanged_at - 11000";
    database.execute_unprepared(long_ago).await.expect("moved");
    let replay = post(&server.host, "/auth/refresh", json!({"refresh_token": refresh})).await;
    assert_eq!(replay["code"], json!("refresh_reused"), "{replay}");
    signal(&server.child, "TERM");
    server.child.wait().expect("it ends");
    // An act on the command line counts as well.
    let done = command(&folder)
        .envs(settings)
        .env("MANGO_ENV", "test")
        .args(["admin", "create", "--username", "alice", "--promote"])
        .output()
        .expect("runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));

    let logs = folder.path().join("logs");
    let mode = fs::metadata(&logs).expect("the folder").permissions().mode() & 0o777;
    assert_eq!(mode, 0o700, "the log is its owner's alone");
    let text: String = fs::read_dir(&logs)
        .expect("the folder")
        .map(|file| fs::read_to_string(file.expect("a file").path()).expect("text"))
        .collect();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let one = |what: &str| {
        let found: Vec<&Value> = lines.iter().filter(|line| line["message"] == json!(what)).collect();
        assert!(!found.is_empty(), "{what}: {text}");
        found
    };
    let came = one("logged in")[0];
    assert_eq!((&came["user"], &came["address"]), (&alice["id"], &json!("127.0.0.1")), "{came}");
    // Each line names the request or the command that it belongs to.
    let requests = one("request");
    let by_id = requests.iter().find(|line| line["request_id"] == came["spans"][0]["request_id"]);
    let by_id = by_id.unwrap_or_else(|| panic!("{came} belongs to a request"));
    assert_eq!((&by_id["path"], &by_id["status"]), (&json!("/auth/login"), &json!(200)), "{by_id}");
    let failed = one("a login failed");
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert!(failed.iter().all(|line| line["address"] == json!("127.0.0.1")), "{failed:?}");
    let refused = one("a command was refused")[0];
    assert_eq!((&refused["user"], &refused["event"]), (&alice["id"], &json!("delete_chat")), "{refused}");
    let span = &refused["spans"][0];
    assert_eq!((&span["name"], &span["event"]), (&json!("command"), &json!("delete_chat")), "{refused}");
    assert!(span["connection"].is_u64() && span["user"] == alice["id"], "{refused}");
    let back = one("a refresh token came back after its time: its session is ended")[0];
    assert_eq!(back["user"], alice["id"], "{back}");
    let denied = one("request").into_iter().find(|line| line["path"] == json!("/admin/user"));
    let denied = denied.expect("the request's line");
    assert_eq!((&denied["code"], &denied["address"]), (&json!("forbidden"), &json!("127.0.0.1")), "{denied}");
    for secret in [SECRET, PASSWORD, access, next["access_token"].as_str().expect("text")] {
        assert!(!text.contains(secret), "{secret} is in the log");
    }
}

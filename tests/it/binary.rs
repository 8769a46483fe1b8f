//! The binary as operators use it: its commands, its error messages for invalid settings, its reaction to signals, and
//! the durability of acknowledged messages under `kill -9`.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::checker::node::Node;
use crate::support::{PASSWORD, Socket, Transport, database_kind, fresh_database};

/// The path of the binary.
pub const BINARY: &str = env!("CARGO_BIN_EXE_mango-chat");

/// A server in its own process, which is killed on drop.
pub struct Running {
    /// The process.
    pub child: Child,
    /// `127.0.0.1:PORT`.
    pub host: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has usually ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Returns a command that runs the binary in its own folder, with an empty environment.
pub fn command(folder: &TempDir) -> Command {
    let mut command = Command::new(BINARY);
    command
        .current_dir(folder.path())
        .env_clear()
        .env("BIND", "127.0.0.1:0")
        .env("PASSWORD_HASH", "argon2id,m=64,t=1,p=1")
        .stdin(Stdio::null());
    command
}

/// Starts a server and waits for its address.
pub fn serve(folder: &TempDir, extra: &[(&str, &str)]) -> Running {
    let mut command = command(folder);
    command.env("MANGO_ENV", "test").stdout(Stdio::piped()).stderr(Stdio::inherit());
    for (name, value) in extra {
        command.env(name, value);
    }
    let mut child = command.spawn().expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
    let host = loop {
        let line = lines.next().expect("a line with the address").expect("text");
        if let Some((_, rest)) = line.split_once("listening on http://") {
            break rest.chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
        }
    };
    std::thread::spawn(move || lines.for_each(drop));
    Running { child, host }
}

/// Sends a POST request without a token and returns the response body.
pub async fn post(host: &str, path: &str, body: serde_json::Value) -> serde_json::Value {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let response = client.post(format!("http://{host}{path}")).json(&body).send().await.expect("a response");
    response.json().await.expect("JSON")
}

async fn login(host: &str, username: &str, password: &str) -> String {
    let tokens = post(host, "/auth/login", json!({"username": username, "password": password})).await;
    tokens["access_token"].as_str().unwrap_or_else(|| panic!("{tokens}")).to_owned()
}

/// Registers alice, and returns her access token.
async fn register_alice(host: &str) -> String {
    post(host, "/user", json!({"username": "alice", "password": PASSWORD})).await;
    login(host, "alice", PASSWORD).await
}

/// Connects a socket and creates a group; returns the group's id.
async fn connect_with_group(host: &str, token: &str) -> (Socket, i64) {
    let mut socket = Socket::open(host, Some(token), Transport::MAIN).await.expect("connects");
    let request = json!({"chat": {"name": "g", "is_group": true, "members_array": []}});
    let created = socket.call("create_chat", request).await;
    let chat = created["chat"]["id"].as_i64().expect("an id");
    (socket, chat)
}

/// Sends a signal, given by its name.
pub fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(status.expect("kill runs").success());
}

#[harness::test]
async fn acknowledged_messages_survive_kill_9_and_their_retries_are_duplicates() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = fresh_database(&folder).await;
    let secret = "a-secret-that-stays-over-both-lives";
    let settings = [("DATABASE_URL", url.as_str()), ("JWT_SECRET", secret)];
    let mut server = serve(&folder, &settings);
    let token = register_alice(&server.host).await;
    let (mut socket, chat) = connect_with_group(&server.host, &token).await;
    let message = |number: usize| json!({"message": {"chat_id": chat, "content": number.to_string(), "message_type": "text", "client_id": format!("k{number}")}});

    let mut acked = Vec::new();
    let mut sent = 0;
    let mut pending = std::collections::VecDeque::new();
    while acked.len() < 150 {
        while pending.len() < 32 {
            pending.push_back((sent, socket.begin("send_message", message(sent)).await));
            sent += 1;
        }
        let (number, ack) = pending.pop_front().expect("a pending send");
        let ack = socket.ack(ack).await;
        assert_eq!(ack["ok"], json!(true));
        acked.push((number, ack["message"]["id"].clone()));
    }

    server.child.kill().expect("killed");
    server.child.wait().expect("gone");
    let server = serve(&folder, &settings);
    // The same token still works: the session is in the database.
    let mut socket = Socket::open(&server.host, Some(&token), Transport::MAIN).await.expect("connects");
    for number in 0..sent {
        let retry = socket.call("send_message", message(number)).await;
        assert_eq!(retry["ok"], json!(true), "{retry}");
        if let Some((_, id)) = acked.iter().find(|(acked, _)| *acked == number) {
            assert_eq!(
                (&retry["duplicate"], &retry["message"]["id"]),
                (&json!(true), id),
                "message {number} was lost or stored twice"
            );
        }
    }

    let page = socket.call("history", json!({"chat": {"id": chat}, "limit": 200})).await;
    assert_eq!(page["messages"].as_array().expect("a page").len(), sent, "every message is stored once");
}

#[harness::test]
async fn sigterm_announces_the_shutdown_closes_connections_and_exits_with_status_0() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = fresh_database(&folder).await;
    let mut server = serve(&folder, &[("DATABASE_URL", &url)]);
    let token = register_alice(&server.host).await;
    let (mut socket, chat) = connect_with_group(&server.host, &token).await;
    socket.next("ready").await;
    assert!(chat > 0);

    let started = Instant::now();
    signal(&server.child, "TERM");

    let shutdown = socket.next("server_shutdown").await;
    assert!(shutdown["retry_after_ms"].as_u64().is_some_and(|it| it >= 500), "{shutdown}");
    socket.expect_end(Duration::from_secs(5)).await;
    assert!(
        !socket.dismissed,
        "the transport closes without a DISCONNECT, so clients reconnect by themselves"
    );
    let status = server.child.wait().expect("ends");
    assert_eq!(status.code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn an_invalid_setting_prevents_the_start_with_a_one_line_error() {
    let folder = tempfile::tempdir().expect("a folder");

    for (name, value) in [("PING_INTERVAL_MS", "often"), ("JWT_SECRET", "short"), ("MANGO_ENV", "moon")] {
        let output = command(&folder).env(name, value).output().expect("runs");
        let error = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.contains(name) && error.contains("must be"), "{error}");
    }

    let output = command(&folder)
        .env("MANGO_ENV", "test")
        .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/x")
        .output();
    let error = String::from_utf8(output.expect("runs").stderr).expect("text");
    assert!(error.lines().count() == 1 && !error.is_empty(), "{error}");
}

#[test]
fn env_files_are_read_and_environment_variables_take_precedence() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(
        folder.path().join(".env"),
        "MANGO_ENV=test\nLOG_FORMAT=nonsense\nPING_INTERVAL_MS=1000\n",
    )
    .expect("written");

    let output = command(&folder).args(["migrate", "status"]).output().expect("runs");
    assert!(String::from_utf8_lossy(&output.stderr).contains("LOG_FORMAT: got `nonsense`"));

    std::fs::write(folder.path().join(".env.test"), "LOG_FORMAT=json\nPING_INTERVAL_MS=soon\n")
        .expect("written");
    let output = command(&folder).args(["migrate", "status"]).output().expect("runs");
    assert!(String::from_utf8_lossy(&output.stderr).contains("PING_INTERVAL_MS: got `soon`"));

    let output = command(&folder).env("PING_INTERVAL_MS", "2000").args(["openapi"]).output().expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_migrate_seed_document_and_healthcheck_commands_work() {
    if database_kind() != "sqlite" {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let run = |arguments: &[&str]| {
        let output = command(&folder).env("MANGO_ENV", "test").args(arguments).output().expect("runs");
        let text = String::from_utf8(output.stdout).expect("text") + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), text)
    };

    std::fs::create_dir(folder.path().join("data")).expect("a folder");
    assert!(run(&["migrate", "status"]).1.contains("pending m20261101_01"));
    assert!(run(&["migrate", "up"]).1.contains("applied m20261101_02"));
    // `down` reverts one step, the latest.
    let (_, down) = run(&["migrate", "down"]);
    let pending: Vec<&str> = down.lines().filter(|line| line.starts_with("pending")).collect();
    assert_eq!(pending, down.lines().last().into_iter().collect::<Vec<_>>(), "{down}");

    let (code, text) = run(&["seed"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("alice, bob, carol"), "{text}");
    assert_eq!(run(&["seed"]).0, Some(2), "only an empty database can be seeded");

    assert!(run(&["openapi"]).1.contains("\"openapi\""));
    assert!(run(&["asyncapi"]).1.contains("\"asyncapi\""));
    let (code, text) = run(&["healthcheck"]);
    assert_eq!(code, Some(1), "no server listens: {text}");
    assert!(text.contains("is not ready"), "{text}");

    let (_, help) = run(&["serve", "--help"]);
    for setting in mango_chat::config::Settings::describe() {
        assert!(help.contains(setting.name), "{} is not in the help", setting.name);
    }
}

#[harness::test]
async fn a_local_server_works_without_settings_and_keeps_secrets_out_of_its_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = serve(&folder, &[("MANGO_ENV", "local")]);
    let token = login(&server.host, "alice", "mango-demo").await;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let chats: serde_json::Value = client
        .get(format!("http://{}/chat", server.host))
        .bearer_auth(&token)
        .send()
        .await
        .expect("a response")
        .json()
        .await
        .expect("JSON");
    assert_eq!(chats.as_array().expect("a list").len(), 2, "{chats}");
    let health =
        Command::new(BINARY).current_dir(folder.path()).env("BIND", &server.host).arg("healthcheck").status();
    assert_eq!(health.expect("runs").code(), Some(0));

    // None of these may be logged: a secret in a query, a wrong password, the content of a message.
    let mut socket = Socket::open(&server.host, Some(&token), Transport::MAIN).await.expect("connects");
    let chat = chats[0]["id"].clone();
    socket
        .call(
            "send_message",
            json!({"message": {"chat_id": chat, "content": "top-secret-content", "message_type": "text"}}),
        )
        .await;
    post(&server.host, "/auth/login", json!({"username": "alice", "password": "wrong-password"})).await;
    let query = format!("http://{}/chat?token={token}", server.host);
    client.get(query).bearer_auth(&token).send().await.expect("a response");

    signal(&server.child, "TERM");
    assert_eq!(server.child.wait().expect("ends").code(), Some(0));

    let secret = folder.path().join("data/jwt.secret");
    let signing_key = std::fs::read_to_string(&secret).expect("a secret");
    assert_eq!(std::fs::metadata(&secret).expect("metadata").permissions().mode() & 0o777, 0o600);
    assert_eq!(
        std::fs::metadata(folder.path().join("data")).expect("metadata").permissions().mode() & 0o777,
        0o700
    );

    let mut logs = String::new();
    for file in std::fs::read_dir(folder.path().join("assets/logs")).expect("log files") {
        std::fs::File::open(file.expect("a file").path())
            .expect("opens")
            .read_to_string(&mut logs)
            .expect("text");
    }
    assert!(logs.contains("request"), "requests are logged");
    for secret in [token.as_str(), "top-secret-content", "wrong-password", signing_key.trim()] {
        assert!(!logs.contains(secret), "{secret} is in the log");
    }
    // The signing key is kept: a token from before the restart is still valid.
    let server = serve(&folder, &[("MANGO_ENV", "local")]);
    let me = client.get(format!("http://{}/user/me", server.host)).bearer_auth(&token).send().await;
    assert_eq!(me.expect("a response").status(), 200);
}

#[harness::test]
async fn after_a_clean_shutdown_the_database_file_is_complete_without_its_log() {
    if database_kind() != "sqlite" {
        return;
    }
    let (folder, copy) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let url = fresh_database(&folder).await;
    let mut server = serve(&folder, &[("DATABASE_URL", &url)]);
    post(&server.host, "/user", json!({"username": "alice", "password": PASSWORD})).await;

    signal(&server.child, "TERM");
    assert_eq!(server.child.wait().expect("ends").code(), Some(0));
    let write_ahead_log = std::fs::metadata(folder.path().join("mango.db-wal"));
    assert!(write_ahead_log.map_or(0, |it| it.len()) == 0, "the write-ahead log is empty");

    std::fs::copy(folder.path().join("mango.db"), copy.path().join("mango.db")).expect("copied");
    let url = format!("sqlite://{}/mango.db", copy.path().display());
    let server = serve(&copy, &[("DATABASE_URL", &url)]);
    login(&server.host, "alice", PASSWORD).await;
}

#[test]
fn an_invalid_database_url_is_rejected_without_printing_its_password() {
    let folder = tempfile::tempdir().expect("a folder");

    for url in ["postgres://user:hush#hush@127.0.0.1/db", "postgres://user:hush@127.0.0.1:port/db"] {
        let output =
            command(&folder).env("MANGO_ENV", "test").env("DATABASE_URL", url).output().expect("runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.starts_with("mango-chat: DATABASE_URL: "), "{error}");
        assert!(!error.contains("hush") && error.trim().lines().count() == 1, "{error}");
    }
}

#[harness::test]
async fn a_log_that_is_not_written_to_a_terminal_has_no_color_codes() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("mango.db").display());
    let mut node = Node::new(BINARY.as_ref(), folder.path(), &url).expect("a port");
    node.start().await.expect("starts");
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    node.person(&http, "alice").await.expect("registers");

    node.terminate().expect("SIGTERM is sent");
    assert!(node.ended_well().await);

    let logs = folder.path().join("assets/logs");
    let files = std::fs::read_dir(logs).expect("the folder").map(|file| file.expect("a file").path());
    let mut texts: Vec<String> = files.map(|path| std::fs::read_to_string(path).expect("text")).collect();
    texts.push(node.log());
    assert!(texts.len() >= 2 && texts.iter().all(|text| text.contains("listening on")), "{texts:?}");
    assert!(!texts.iter().any(|text| text.contains('\u{1b}')), "{texts:?}");
}

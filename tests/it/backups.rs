//! A backup of a running server can be restored completely. An incomplete or damaged backup is rejected without
//! changing the data, and a server does not start after an interrupted restore.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Client;
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::binary::{Running, command, post, serve, signal};
use crate::support::{PASSWORD, database_kind, fresh_database};

/// A server's folder and its database.
struct Installation {
    folder: TempDir,
    url: String,
}

impl Installation {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = match database_kind().as_ref() {
            "sqlite" => format!("sqlite://{}/data/mango.db", folder.path().display()),
            _ => fresh_database(&folder).await,
        };
        Self { folder, url }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn serve(&self) -> Running {
        serve(&self.folder, &[("DATABASE_URL", &self.url)])
    }

    fn run(&self, arguments: &[&str]) -> Output {
        command(&self.folder)
            .args(arguments)
            .env("MANGO_ENV", "test")
            .env("DATABASE_URL", &self.url)
            .output()
            .expect("runs")
    }

    fn expect_success(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// Runs a command that must fail, and returns its one line of error output.
    fn expect_error(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let error = String::from_utf8(output.stderr).expect("text").trim_end().to_owned();
        assert_eq!((output.status.code(), error.lines().count()), (Some(2), 1), "{arguments:?}: {error}");
        error
    }

    /// Returns every file below the data folder except the locks, with its content.
    fn data_files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        fn read(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    read(&path, found);
                } else if !path.display().to_string().ends_with("-serving") {
                    found.push((path.clone(), fs::read(&path).expect("a file")));
                }
            }
        }
        let mut found = Vec::new();
        read(&self.path("data"), &mut found);
        found.sort();
        found
    }
}

/// A user who is logged in at a server.
struct ApiClient {
    http: Client,
    host: String,
    token: String,
}

impl ApiClient {
    async fn login(host: &str) -> Self {
        let credentials = json!({"username": "alice", "password": PASSWORD});
        let tokens = post(host, "/auth/login", credentials).await;
        let token = tokens["access_token"].as_str().unwrap_or_else(|| panic!("{tokens}")).to_owned();
        Self { http: Client::builder().no_proxy().build().expect("a client"), host: host.to_owned(), token }
    }

    /// Sends an event over REST; returns the response.
    async fn call(&self, event: &str, payload: Value) -> Value {
        let url = format!("http://{}/events/{event}", self.host);
        let response =
            self.http.post(url).bearer_auth(&self.token).json(&payload).send().await.expect("a response");
        response.json().await.expect("JSON")
    }

    async fn send(&self, chat: i64, content: &str) {
        let message = json!({"chat_id": chat, "content": content, "message_type": "text"});
        let ack = self.call("send_message", json!({"message": message})).await;
        assert_eq!(ack["ok"], json!(true), "{ack}");
    }

    /// Returns the contents of a chat's messages, sorted, and the epoch.
    async fn messages_and_epoch(&self, chat: i64) -> (Vec<String>, String) {
        let page = self.call("history", json!({"chat": {"id": chat}, "limit": 50})).await;
        let mut messages: Vec<String> = page["messages"]
            .as_array()
            .unwrap_or_else(|| panic!("{page}"))
            .iter()
            .map(|it| it["content"].as_str().expect("text").to_owned())
            .collect();
        messages.sort();
        let sync = self.call("sync", json!({})).await;
        (messages, sync["epoch"].as_str().unwrap_or_else(|| panic!("{sync}")).to_owned())
    }
}

/// Registers alice with a photo, and creates a group with one message. Returns the group's id and the photo's name.
async fn create_data(host: &str) -> (ApiClient, i64, String) {
    let mut picture = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(8, 8).write_to(&mut picture, image::ImageFormat::Png).expect("a picture");
    let photo = STANDARD.encode(picture.into_inner());
    let me = post(host, "/user", json!({"username": "alice", "password": PASSWORD, "photo": photo})).await;
    let photo = me["photo"].as_str().unwrap_or_else(|| panic!("{me}")).to_owned();
    let alice = ApiClient::login(host).await;
    let request = json!({"chat": {"name": "g", "is_group": true, "members_array": []}});
    let created = alice.call("create_chat", request).await;
    let chat = created["chat"]["id"].as_i64().unwrap_or_else(|| panic!("{created}"));
    alice.send(chat, "before").await;
    (alice, chat, photo)
}

#[harness::test]
async fn a_backup_of_a_running_server_restores_the_state_at_its_time() {
    let installation = Installation::new().await;
    let mut server = installation.serve();
    let (alice, chat, photo) = create_data(&server.host).await;
    let (before, epoch) = alice.messages_and_epoch(chat).await;
    let backup = installation.path("backup").display().to_string();

    let output = installation.expect_success(&["backup", &backup]);

    alice.send(chat, "after").await;
    let on_sqlite = database_kind() == "sqlite";
    assert_eq!(output.contains("pg_dump"), !on_sqlite, "{output}");
    assert_eq!(installation.path("backup/mango.db").exists(), on_sqlite);
    assert!(!installation.path("backup/mango.db-wal").exists());
    if on_sqlite {
        // These commands may run while the server runs; the ones below may not.
        installation.expect_success(&["admin", "list"]);
        installation.expect_success(&["migrate", "status"]);
        let holder = format!("is in use by process {}, since 20", server.child.id());
        for arguments in [&["serve"][..], &["restore", &backup], &["migrate", "down"]] {
            let output = installation.expect_error(arguments);
            assert!(output.contains(&holder), "{arguments:?}: {output}");
        }
    } else {
        let output = installation.expect_error(&["migrate", "down"]);
        assert!(output.contains(&format!("in use by mango-chat {}", server.child.id())), "{output}");
    }
    assert_eq!(
        alice.messages_and_epoch(chat).await.0,
        ["after", "before"],
        "the rejected commands change nothing"
    );

    // As after a crash, SQLite's write-ahead log still exists; it belongs to the database that the restore replaces.
    server.child.kill().expect("killed");
    server.child.wait().expect("gone");
    fs::remove_dir_all(installation.path("data/storage")).expect("removed");
    let output = installation.expect_success(&["restore", &backup]);
    let server = installation.serve();
    let alice = ApiClient::login(&server.host).await;
    let (messages, epoch_after) = alice.messages_and_epoch(chat).await;
    if on_sqlite {
        assert_eq!(messages, before, "messages sent after the backup are gone");
        assert_ne!(epoch_after, epoch, "a new epoch makes clients fetch everything again");
        let previous = output
            .lines()
            .find_map(|line| line.strip_prefix("the previous data is kept in "))
            .expect("the path of the previous data");
        let previous_database = Database::connect(format!("sqlite://{previous}")).await.expect("opens");
        let contents = Statement::from_string(DbBackend::Sqlite, "SELECT content FROM messages");
        assert_eq!(
            previous_database.query_all_raw(contents).await.expect("rows").len(),
            2,
            "the previous data includes its write-ahead log"
        );
    }
    let path = format!("http://{}/static/{photo}/original.jpg", server.host);
    let response = alice.http.get(&path).send().await.expect("a response");
    assert!(response.status().is_success(), "{path}: {}", response.status());
}

#[harness::test]
async fn an_incomplete_or_damaged_backup_is_rejected_and_changes_nothing() {
    if database_kind() != "sqlite" {
        return;
    }
    let installation = Installation::new().await;
    let server = installation.serve();
    let _: (ApiClient, i64, String) = create_data(&server.host).await;
    let backup = installation.path("backup");
    installation.expect_success(&["backup", &backup.display().to_string()]);
    signal(&server.child, "TERM");
    drop(server);
    let before = installation.data_files();

    let description = fs::read_to_string(backup.join("backup.json")).expect("a description");
    let database = fs::read(backup.join("mango.db")).expect("a database");
    let mut damaged = database.clone();
    damaged[8_192..40_960].fill(0x5a);
    let newer = description.replace("m20261101_01", "m20991101_01");
    let other_layout = description.replace("\"format\": 1", "\"format\": 99");
    let more_files = description.replace("\"files\": 4", "\"files\": 5");
    assert!(
        newer != description && other_layout != description && more_files != description,
        "{description}"
    );

    let cases: [(&str, &[u8], &str); 8] = [
        ("backup.json", b"{", "is not a backup"),
        ("backup.json", b"{}", "is not a backup"),
        ("backup.json", newer.as_bytes(), "which is newer; restore it with that version"),
        ("backup.json", other_layout.as_bytes(), "which is newer; restore it with that version"),
        ("backup.json", more_files.as_bytes(), "holds 4 files, but its manifest lists 5"),
        ("mango.db", &damaged, "mango.db: is damaged"),
        ("mango.db", b"some text instead of a database", "mango.db: is damaged"),
        ("mango.db", &database[..database.len() / 2], "mango.db: is damaged"),
    ];

    for (name, content, reason) in cases {
        let original = fs::read(backup.join(name)).expect("a file");
        fs::write(backup.join(name), content).expect("written");
        let error = installation.expect_error(&["restore", &backup.display().to_string()]);
        assert!(error.contains(reason), "{name}: {error}");
        assert!(installation.data_files() == before, "{error}: the command changed the data");
        fs::write(backup.join(name), original).expect("written");
    }

    fs::rename(backup.join("mango.db"), installation.path("hidden.db")).expect("moved");
    assert!(
        installation
            .expect_error(&["restore", &backup.display().to_string()])
            .contains("mango.db: is missing")
    );
    fs::rename(installation.path("hidden.db"), backup.join("mango.db")).expect("moved");

    for no_backup in ["nowhere", "data"] {
        let error =
            installation.expect_error(&["restore", &installation.path(no_backup).display().to_string()]);
        assert!(error.contains("is not a backup"), "{error}");
    }
    assert!(installation.data_files() == before);

    let error = installation.expect_error(&["backup", &backup.display().to_string()]);
    assert!(error.contains("is not empty"), "{error}");
    installation.expect_success(&["restore", &backup.display().to_string()]);
}

#[harness::test]
async fn a_server_does_not_start_on_a_partly_restored_or_damaged_database() {
    if database_kind() != "sqlite" {
        return;
    }
    let installation = Installation::new().await;
    let mut server = installation.serve();
    let _: (ApiClient, i64, String) = create_data(&server.host).await;
    let backup = installation.path("backup").display().to_string();
    installation.expect_success(&["backup", &backup]);
    signal(&server.child, "TERM");
    assert!(server.child.wait().expect("ends").success());

    fs::write(installation.path("data/mango.db-restoring"), &backup)
        .expect("as an interrupted restore leaves it");
    let error = installation.expect_error(&["serve"]);
    assert!(
        error.contains(&format!("a restore was interrupted; run `mango-chat restore {backup}` again")),
        "{error}"
    );
    installation.expect_success(&["restore", &backup]);
    let mut server = installation.serve();
    signal(&server.child, "TERM");
    assert!(server.child.wait().expect("ends").success());

    let file = installation.path("data/mango.db");
    let mut content = fs::read(&file).expect("a database");
    // The first page, with the schema, stays intact: without a check the server would start.
    content[8_192..40_960].fill(0x5a);
    fs::write(&file, &content).expect("written");
    let error = installation.expect_error(&["serve"]);
    assert!(error.contains("mango.db is damaged (") && error.contains("`mango-chat restore`"), "{error}");
    installation.expect_success(&["restore", &backup]);
    let server = installation.serve();
    assert!(!ApiClient::login(&server.host).await.token.is_empty());
}

#[harness::test]
async fn a_failed_backup_creates_nothing_and_a_successful_one_leaves_no_temporary_files() {
    if database_kind() != "sqlite" {
        return;
    }
    let installation = Installation::new().await;
    let error = installation.expect_error(&["backup", "backup"]);
    assert!(
        error.contains("DATABASE_URL: there is no ") && !installation.path("data/mango.db").exists(),
        "{error}"
    );
    installation.expect_success(&["migrate", "up"]);
    fs::write(installation.path("file"), "x").expect("written");
    let error = installation.expect_error(&["backup", "file/backup"]);
    assert!(error.contains("file/backup"), "{error}");

    let names = || -> Vec<String> {
        let entries = fs::read_dir(installation.folder.path()).expect("a folder");
        let mut names: Vec<_> = entries.map(|it| it.expect("an entry").file_name()).collect();
        names.sort();
        names.into_iter().map(|it| it.into_string().expect("text")).collect()
    };
    let before = names();

    fs::create_dir(installation.path("empty")).expect("created");
    installation.expect_success(&["backup", "empty/"]);
    assert!(installation.path("empty/backup.json").exists());

    let after: Vec<String> = names().into_iter().filter(|it| it != "empty").collect();
    assert_eq!(after, before, "the backup leaves no temporary files");
}

#[harness::test]
async fn the_data_folder_may_have_any_name() {
    if database_kind() != "sqlite" {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");

    for name in ["50% off?", "#1", "with space", "größe", "%41"] {
        let server = serve(&folder, &[("DATA_DIR", name)]);
        let me = post(&server.host, "/user", json!({"username": "alice", "password": PASSWORD})).await;
        assert!(me["id"].is_i64(), "{name}: {me}");
        assert!(folder.path().join(name).join("mango.db").is_file(), "{name}");
    }
}

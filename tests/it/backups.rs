//! Backups with the real binary: made beside a running server, restored, and refused without damage.

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
struct Place {
    folder: TempDir,
    url: String,
}

impl Place {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = match database_kind().as_ref() {
            "sqlite" => format!("sqlite://{}/data/mango.db", folder.path().display()),
            _ => fresh_database(&folder).await,
        };
        Self { folder, url }
    }

    fn at(&self, name: &str) -> PathBuf {
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

    fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// Runs a command that must be refused, and returns its one line of error output.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let told = String::from_utf8(output.stderr).expect("text").trim_end().to_owned();
        assert_eq!((output.status.code(), told.lines().count()), (Some(2), 1), "{arguments:?}: {told}");
        told
    }

    /// Returns every file below the data folder except the locks, with its content.
    fn content(&self) -> Vec<(PathBuf, Vec<u8>)> {
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
        read(&self.at("data"), &mut found);
        found.sort();
        found
    }
}

/// A user who is logged in at a server.
struct Visitor {
    http: Client,
    host: String,
    token: String,
}

impl Visitor {
    async fn login(host: &str) -> Self {
        let known = json!({"username": "alice", "password": PASSWORD});
        let tokens = post(host, "/auth/login", known).await;
        let token = tokens["access_token"].as_str().unwrap_or_else(|| panic!("{tokens}")).to_owned();
        Self { http: Client::builder().no_proxy().build().expect("a client"), host: host.to_owned(), token }
    }

    async fn call(&self, event: &str, payload: Value) -> Value {
        let url = format!("http://{}/events/{event}", self.host);
        let answer =
            self.http.post(url).bearer_auth(&self.token).json(&payload).send().await.expect("an answer");
        answer.json().await.expect("JSON")
    }

    async fn send(&self, chat: i64, content: &str) {
        let message = json!({"chat_id": chat, "content": content, "message_type": "text"});
        let ack = self.call("send_message", json!({"message": message})).await;
        assert_eq!(ack["ok"], json!(true), "{ack}");
    }

    /// Returns the messages of a chat, and the epoch.
    async fn state(&self, chat: i64) -> (Vec<String>, String) {
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

/// Creates a chat of alice, who has a photo; returns its id and the photo's name.
async fn inhabit(host: &str) -> (Visitor, i64, String) {
    let mut picture = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(8, 8).write_to(&mut picture, image::ImageFormat::Png).expect("a picture");
    let photo = STANDARD.encode(picture.into_inner());
    let me = post(host, "/user", json!({"username": "alice", "password": PASSWORD, "photo": photo})).await;
    let photo = me["photo"].as_str().unwrap_or_else(|| panic!("{me}")).to_owned();
    let alice = Visitor::login(host).await;
    let wish = json!({"chat": {"name": "g", "is_group": true, "members_array": []}});
    let made = alice.call("create_chat", wish).await;
    let chat = made["chat"]["id"].as_i64().unwrap_or_else(|| panic!("{made}"));
    alice.send(chat, "before").await;
    (alice, chat, photo)
}

#[harness::test]
async fn a_backup_beside_a_running_server_brings_its_moment_back() {
    let place = Place::new().await;
    let mut server = place.serve();
    let (alice, chat, photo) = inhabit(&server.host).await;
    let (before, epoch) = alice.state(chat).await;
    let backup = place.at("backup").display().to_string();
    let told = place.succeeds(&["backup", &backup]);
    alice.send(chat, "after").await;
    let on_sqlite = database_kind() == "sqlite";
    assert_eq!(told.contains("pg_dump"), !on_sqlite, "{told}");
    assert_eq!(place.at("backup/mango.db").exists(), on_sqlite);
    assert!(!place.at("backup/mango.db-wal").exists());
    if on_sqlite {
        // These commands work beside a running server, the ones below do not.
        place.succeeds(&["admin", "list"]);
        place.succeeds(&["migrate", "status"]);
        let holder = format!("is in use by process {}, since 20", server.child.id());
        for arguments in [&["serve"][..], &["restore", &backup], &["migrate", "down"]] {
            let told = place.refused(arguments);
            assert!(told.contains(&holder), "{arguments:?}: {told}");
        }
    } else {
        let told = place.refused(&["migrate", "down"]);
        assert!(told.contains(&format!("in use by mango-chat {}", server.child.id())), "{told}");
    }
    assert_eq!(alice.state(chat).await.0, ["after", "before"], "nothing of it did harm");

    // As after a crash: SQLite's log still exists and belongs to the database that is replaced.
    server.child.kill().expect("killed");
    server.child.wait().expect("gone");
    fs::remove_dir_all(place.at("data/storage")).expect("removed");
    let told = place.succeeds(&["restore", &backup]);
    let server = place.serve();
    let alice = Visitor::login(&server.host).await;
    let (messages, renewed) = alice.state(chat).await;
    if on_sqlite {
        assert_eq!(messages, before, "what came after the backup is gone");
        assert_ne!(renewed, epoch, "clients are told to fetch anew");
        let aside =
            told.lines().find_map(|line| line.strip_prefix("the previous data is kept in ")).expect("kept");
        let kept = Database::connect(format!("sqlite://{aside}")).await.expect("opens");
        let all = Statement::from_string(DbBackend::Sqlite, "SELECT content FROM messages");
        assert_eq!(kept.query_all_raw(all).await.expect("rows").len(), 2, "with its log");
    }
    let path = format!("http://{}/static/{photo}/original.jpg", server.host);
    let answer = alice.http.get(&path).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
}

#[harness::test]
async fn what_is_no_whole_backup_is_refused_and_changes_nothing() {
    if database_kind() != "sqlite" {
        return;
    }
    let place = Place::new().await;
    let server = place.serve();
    let _: (Visitor, i64, String) = inhabit(&server.host).await;
    let backup = place.at("backup");
    place.succeeds(&["backup", &backup.display().to_string()]);
    signal(&server.child, "TERM");
    drop(server);
    let before = place.content();
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
        ("mango.db", b"no database, but some text of somebody's", "mango.db: is damaged"),
        ("mango.db", &database[..database.len() / 2], "mango.db: is damaged"),
    ];
    for (name, content, reason) in cases {
        let whole = fs::read(backup.join(name)).expect("a file");
        fs::write(backup.join(name), content).expect("written");
        let told = place.refused(&["restore", &backup.display().to_string()]);
        assert!(told.contains(reason), "{name}: {told}");
        assert!(place.content() == before, "{told}: something changed");
        fs::write(backup.join(name), whole).expect("written");
    }
    fs::rename(backup.join("mango.db"), place.at("hidden.db")).expect("moved");
    assert!(place.refused(&["restore", &backup.display().to_string()]).contains("mango.db: is missing"));
    fs::rename(place.at("hidden.db"), backup.join("mango.db")).expect("moved");
    for nothing in ["nowhere", "data"] {
        let told = place.refused(&["restore", &place.at(nothing).display().to_string()]);
        assert!(told.contains("is not a backup"), "{told}");
    }
    assert!(place.content() == before);
    let told = place.refused(&["backup", &backup.display().to_string()]);
    assert!(told.contains("is not empty"), "{told}");
    place.succeeds(&["restore", &backup.display().to_string()]);
}

#[harness::test]
async fn a_server_starts_on_no_half_restored_and_no_damaged_database() {
    if database_kind() != "sqlite" {
        return;
    }
    let place = Place::new().await;
    let mut server = place.serve();
    let _: (Visitor, i64, String) = inhabit(&server.host).await;
    let backup = place.at("backup").display().to_string();
    place.succeeds(&["backup", &backup]);
    signal(&server.child, "TERM");
    assert!(server.child.wait().expect("ends").success());

    fs::write(place.at("data/mango.db-restoring"), &backup).expect("as an interrupted restore leaves it");
    let told = place.refused(&["serve"]);
    assert!(
        told.contains(&format!("a restore was interrupted; run `mango-chat restore {backup}` again")),
        "{told}"
    );
    place.succeeds(&["restore", &backup]);
    let mut server = place.serve();
    signal(&server.child, "TERM");
    assert!(server.child.wait().expect("ends").success());

    let file = place.at("data/mango.db");
    let mut content = fs::read(&file).expect("a database");
    // The first page, with the schema, stays intact: without a check the server would start.
    content[8_192..40_960].fill(0x5a);
    fs::write(&file, &content).expect("written");
    let told = place.refused(&["serve"]);
    assert!(told.contains("mango.db is damaged (") && told.contains("`mango-chat restore`"), "{told}");
    place.succeeds(&["restore", &backup]);
    let server = place.serve();
    assert!(!Visitor::login(&server.host).await.token.is_empty());
}

#[harness::test]
async fn a_backup_needs_a_database_and_leaves_nothing_behind() {
    if database_kind() != "sqlite" {
        return;
    }
    let place = Place::new().await;
    let told = place.refused(&["backup", "backup"]);
    assert!(told.contains("DATABASE_URL: there is no ") && !place.at("data/mango.db").exists(), "{told}");
    place.succeeds(&["migrate", "up"]);
    fs::write(place.at("file"), "x").expect("written");
    let told = place.refused(&["backup", "file/backup"]);
    assert!(told.contains("file/backup"), "{told}");
    let names = || -> Vec<String> {
        let entries = fs::read_dir(place.folder.path()).expect("a folder");
        let mut names: Vec<_> = entries.map(|it| it.expect("an entry").file_name()).collect();
        names.sort();
        names.into_iter().map(|it| it.into_string().expect("text")).collect()
    };
    let before = names();
    fs::create_dir(place.at("empty")).expect("made");
    place.succeeds(&["backup", "empty/"]);
    assert!(place.at("empty/backup.json").exists());
    let after: Vec<String> = names().into_iter().filter(|it| it != "empty").collect();
    assert_eq!(after, before, "no draft is left");
}

#[harness::test]
async fn a_data_folder_may_have_any_name() {
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

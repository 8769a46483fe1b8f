//! A full disk: sends are refused as `unavailable`, nothing that was acknowledged is lost, and the server recovers by
//! itself once there is room again. The real binary runs on a small tmpfs in a mount namespace of its own.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::{Client, StatusCode};
use sea_orm::{ConnectionTrait, Database, DatabaseBackend, Statement};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{PASSWORD, SECRET, database_kind, eventually};

/// A server whose data folder is a small file system; both end when this is dropped.
struct SmallDisk {
    child: Child,
    url: String,
    /// The data folder as it is seen from outside of the server's mount namespace.
    data: PathBuf,
    http: Client,
    _folder: TempDir,
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Whether mount namespaces may be made here; containers often forbid it.
fn may_mount() -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let tried = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "mount", "-t", "tmpfs", "tmpfs"])
        .arg(folder.path())
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}

impl SmallDisk {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        fs::create_dir(&data).expect("a folder");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port").port();
        let log = File::create(folder.path().join("server.log")).expect("a log");
        let child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c"])
            .arg(r#"mount -t tmpfs -o size=6m tmpfs "$1" && exec "$2" serve"#)
            .arg("sh")
            .arg(&data)
            .arg(env!("CARGO_BIN_EXE_mango-chat"))
            .current_dir(folder.path())
            .env("MANGO_ENV", "test")
            .env("BIND", format!("127.0.0.1:{port}"))
            .env("DATA_DIR", &data)
            .env("LOG_DIR", folder.path().join("logs"))
            .env("JWT_SECRET", SECRET)
            .env("PASSWORD_HASH", "argon2id,m=64,t=1,p=1")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("the server starts");
        let seen = format!("/proc/{}/root{}", child.id(), data.display());
        let http = Client::builder().no_proxy().build().expect("a client");
        let url = format!("http://127.0.0.1:{port}");
        let server = Self { child, url, data: seen.into(), http, _folder: folder };
        let live = async || server.http.get(format!("{}/health/live", server.url)).send().await.is_ok();
        eventually("the server answers", live).await;
        server
    }

    fn fill(&self) {
        let mut ballast = File::create(self.data.join("ballast")).expect("a file");
        for size in [65_536, 4_096, 512] {
            while ballast.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.data.join("ballast")).expect("removed");
    }

    async fn post(&self, path: &str, token: Option<&str>, body: Value) -> (StatusCode, Value) {
        let mut request = self.http.post(format!("{}{path}", self.url)).json(&body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.expect("an answer");
        (answer.status(), answer.json().await.expect("JSON"))
    }

    async fn login(&self, username: &str) -> String {
        let known = json!({"username": username, "password": PASSWORD});
        let (status, body) = self.post("/user", None, known.clone()).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        let (status, tokens) = self.post("/auth/login", None, known).await;
        assert_eq!(status, StatusCode::OK, "who registers can log in: {tokens}");
        tokens["access_token"].as_str().expect("a token").to_owned()
    }

    async fn send(&self, token: &str, chat: &Value, client_id: &str) -> (StatusCode, Value) {
        let message =
            json!({"chat_id": chat, "content": client_id, "message_type": "text", "client_id": client_id});
        self.post("/events/send_message", Some(token), json!({"message": message})).await
    }

    async fn ready(&self) -> StatusCode {
        // An answer is remembered for a second.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        self.http.get(format!("{}/health/ready", self.url)).send().await.expect("an answer").status()
    }

    /// The `client_id`s that a copy of the files holds, as a start after a crash would find them.
    async fn stored(&self) -> Vec<String> {
        let copy = tempfile::tempdir().expect("a folder");
        for name in ["mango.db", "mango.db-wal"] {
            fs::copy(self.data.join(name), copy.path().join(name)).expect("copied");
        }
        let url = format!("sqlite://{}/mango.db", copy.path().display());
        let database = Database::connect(url).await.expect("opens");
        let sql = "SELECT client_id FROM messages ORDER BY seq";
        let rows = database.query_all_raw(Statement::from_string(DatabaseBackend::Sqlite, sql)).await;
        rows.expect("rows").iter().map(|row| row.try_get("", "client_id").expect("text")).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_full_disk_every_acknowledged_message_is_stored() {
    if database_kind() != "sqlite" {
        return;
    }
    if !may_mount() {
        eprintln!("skipped: mount namespaces are not allowed here");
        return;
    }
    let server = SmallDisk::start().await;
    let token = server.login("alice").await;
    let chat = json!({"chat": {"name": "group", "is_group": true, "members_array": []}});
    let (_, made) = server.post("/events/create_chat", Some(&token), chat).await;
    let chat = &made["chat"]["id"];
    let (status, _) = server.send(&token, chat, "before").await;
    assert_eq!((status, server.ready().await), (StatusCode::OK, StatusCode::OK));

    server.fill();
    for number in 0..3 {
        let (status, problem) = server.send(&token, chat, &format!("full-{number}")).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
        assert_eq!(problem["code"], json!("unavailable"), "{problem}");
    }
    assert_eq!(server.ready().await, StatusCode::SERVICE_UNAVAILABLE, "the database takes no changes");

    server.make_room();
    let mut acknowledged = vec!["before".to_owned()];
    for number in 0..40 {
        let client_id = format!("after-{number}");
        let (status, ack) = server.send(&token, chat, &client_id).await;
        assert_eq!(status, StatusCode::OK, "{ack}");
        acknowledged.push(client_id);
    }
    server.login("bob").await;
    assert_eq!(server.ready().await, StatusCode::OK);
    assert_eq!(server.stored().await, acknowledged, "what was acknowledged survives a crash");
}

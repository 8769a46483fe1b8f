//! A full disk: sends are rejected as `unavailable`, no acknowledged message is lost, and the server recovers by itself
//! once there is room again. The real binary runs on a small tmpfs in its own mount namespace; with PostgreSQL, the
//! tmpfs holds PostgreSQL's data.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, StatusCode};
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::checker::disk::Disk;
use crate::checker::node::{Node, Person};
use crate::checker::postgres::Postgres;
use crate::support::{database_kind, eventually};

/// Size in megabytes; an empty PostgreSQL takes about forty.
const SMALL: u32 = 6;
const SMALL_FOR_POSTGRES: u32 = 80;

/// The number of sends after which a full disk must have had an effect.
const ENOUGH: usize = 200;

/// A server whose database is on a small file system.
struct SmallDisk {
    node: Node,
    postgres: Option<Postgres>,
    disk: Arc<Disk>,
    http: Client,
    _folder: TempDir,
}

impl SmallDisk {
    /// Starts it. Returns `None`, with a reason on stderr, if mount namespaces are not allowed, as in many containers.
    #[expect(clippy::print_stderr, reason = "who runs the tests reads why one was skipped")]
    async fn start() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let small = folder.path().join("small");
        fs::create_dir(&small).expect("a folder");
        let on_postgres = database_kind() == "postgres";
        let megabytes = if on_postgres { SMALL_FOR_POSTGRES } else { SMALL };
        let disk = match Disk::mount(&small, megabytes) {
            Ok(disk) => Arc::new(disk),
            Err(reason) => {
                eprintln!("skipped: {reason}");
                return None;
            }
        };
        let postgres = on_postgres.then(|| {
            let settings = ["fsync=off", "min_wal_size=2MB", "max_wal_size=3MB"];
            Postgres::start_with(folder.path(), &settings, disk.clone(), true).expect("PostgreSQL starts")
        });
        let url = match &postgres {
            Some(postgres) => postgres.url("postgres"),
            None => format!("sqlite://{}/mango.db", small.display()),
        };
        let mut node =
            Node::new(env!("CARGO_BIN_EXE_mango-chat").as_ref(), folder.path(), &url).expect("a port");
        node.sees(disk.clone());
        node.set("DB_ACQUIRE_TIMEOUT_MS", "1000");
        node.start().await.expect("starts");
        let http = Client::builder().no_proxy().build().expect("a client");
        Some(Self { node, postgres, disk, http, _folder: folder })
    }

    async fn send(&self, person: &Person, chat: &Value, client_id: &str) -> (StatusCode, Value) {
        // The content must not repeat, because PostgreSQL compresses it.
        let content: String = (0..30_000_u64)
            .map(|place| place.wrapping_mul(place ^ 0x9e37_79b9).wrapping_mul(31) >> 7)
            .filter_map(|number| char::from_digit((number % 36) as u32, 36))
            .collect();
        let content = format!("{client_id} {content}");
        let message =
            json!({"chat_id": chat, "content": content, "message_type": "text", "client_id": client_id});
        let answer = self
            .http
            .post(format!("http://{}/events/send_message", self.node.host()))
            .bearer_auth(&person.token)
            .json(&json!({"message": message}))
            .send()
            .await
            .expect("an answer");
        (answer.status(), answer.json().await.expect("JSON"))
    }

    async fn ready(&self) -> StatusCode {
        // The server caches the result for a second.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        let url = format!("http://{}/health/ready", self.node.host());
        self.http.get(url).send().await.expect("an answer").status()
    }

    /// Returns the `client_id`s in the database after both it and the server were killed.
    async fn stored_after_a_crash(mut self) -> Vec<String> {
        self.node.kill();
        let copy = tempfile::tempdir().expect("a folder");
        let url = if let Some(postgres) = &mut self.postgres {
            postgres.kill().expect("killed");
            postgres.start().expect("starts again");
            postgres.url("postgres")
        } else {
            for name in ["mango.db", "mango.db-wal"] {
                fs::copy(self.disk.seen_from_outside().join(name), copy.path().join(name)).expect("copied");
            }
            format!("sqlite://{}/mango.db", copy.path().display())
        };
        let database = Database::connect(url).await.expect("opens");
        let backend = if self.postgres.is_some() { DbBackend::Postgres } else { DbBackend::Sqlite };
        let statement = Statement::from_string(backend, "SELECT client_id FROM messages ORDER BY seq");
        let rows = database.query_all_raw(statement).await.expect("rows");
        rows.iter().map(|row| row.try_get("", "client_id").expect("text")).collect()
    }
}

#[harness::test]
async fn every_acknowledged_message_is_stored_after_a_full_disk() {
    let Some(mut server) = SmallDisk::start().await else { return };
    let alice = server.node.person(&server.http, "alice").await.expect("registers");
    let payload = json!({"chat": {"name": "group", "is_group": true, "members_array": []}});
    let made = server.node.post(&server.http, "/events/create_chat", Some(&alice.token), &payload).await;
    let chat = &made.expect("made")["chat"]["id"];
    let (status, _) = server.send(&alice, chat, "before").await;
    assert_eq!((status, server.ready().await), (StatusCode::OK, StatusCode::OK));
    let mut acknowledged = vec!["before".to_owned()];

    server.disk.fill().expect("filled");
    let mut refused = 0;
    for number in 0..ENOUGH {
        let client_id = format!("full-{number}");
        match server.send(&alice, chat, &client_id).await {
            // Space that the database reserved earlier may still be written.
            (StatusCode::OK, _) if refused == 0 => acknowledged.push(client_id),
            (status, problem) => {
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
                assert_eq!(problem["code"], json!("unavailable"), "{problem}");
                refused += 1;
            }
        }
        if refused == 3 {
            break;
        }
    }
    assert_eq!(refused, 3, "the disk is full");
    assert_eq!(server.ready().await, StatusCode::SERVICE_UNAVAILABLE, "the database takes no changes");

    server.disk.make_room().expect("room");
    if let Some(postgres) = &mut server.postgres
        && postgres.ended()
    {
        postgres.start().expect("starts again");
    }
    eventually("the database takes changes", async || server.ready().await == StatusCode::OK).await;
    for number in 0..40 {
        let client_id = format!("after-{number}");
        let (status, ack) = server.send(&alice, chat, &client_id).await;
        assert_eq!(status, StatusCode::OK, "{ack}");
        acknowledged.push(client_id);
    }
    let bob = server.node.person(&server.http, "bob").await;
    assert!(bob.is_ok(), "who registers can log in: {bob:?}");
    let mut stored = server.stored_after_a_crash().await;
    // A commit whose response was lost when PostgreSQL crashed may be stored although the reply was `unavailable`.
    stored.retain(|client_id| !client_id.starts_with("full-") || acknowledged.contains(client_id));
    assert_eq!(stored, acknowledged, "what was acknowledged survives a crash, once and in order");
}

//! SQLite's files fail at every step of a commit, once and for a while: acknowledged messages are stored once and stay,
//! everything else is `unavailable`, and the server recovers by itself.

use std::sync::atomic::{AtomicU64, Ordering};

use libsqlite3_sys::{SQLITE_FULL, SQLITE_IOERR_WRITE, SQLITE_READONLY};
use reqwest::{Method, StatusCode};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use serde_json::{Value, json};

use crate::support::faulty_sqlite::{Fault, Faults, Step};
use crate::support::{Person, Socket, TestApp, Transport, database_kind, eventually};

/// More steps than any commit in these tests has.
const MANY_STEPS: u64 = 2_000;

/// An acknowledged send.
struct Acked {
    client_id: String,
    id: i64,
    seq: i64,
}

/// A server on files that fail on demand.
struct Trial {
    app: TestApp,
    faults: &'static Faults,
    alice: Person,
    chat: i64,
    socket: Socket,
    acked: Vec<Acked>,
    /// A second connection to the same database.
    outside: DatabaseConnection,
}

impl Trial {
    async fn start() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("faulty-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let faults = Faults::register(&name);
        let folder = tempfile::tempdir().expect("a folder");
        let file = format!("sqlite://{}/mango.db", folder.path().display());
        let app = TestApp::on(folder, &format!("{file}?vfs={name}"), &[]).await;
        let alice = app.person("alice").await;
        let mut socket = app.connect(&alice, Transport::MAIN).await;
        let chat = app.group(&mut socket, &[]).await;
        let outside = Database::connect(&file).await.expect("opens");
        Self { app, faults, alice, chat, socket, acked: Vec::new(), outside }
    }

    /// Reconnects after the server closed the connection because of the unavailable database.
    async fn come_back(&mut self) {
        while self.socket.ended {
            match Socket::open(&self.app.host, Some(&self.alice.access), Transport::MAIN).await {
                Ok(socket) => self.socket = socket,
                Err(error) => assert!(!error.starts_with("unauthorized"), "{error}"),
            }
        }
    }

    /// Sends one message during a fault, and retries it until it is acknowledged. Returns whether anything failed.
    async fn send_through(&mut self, fault: Fault, content: &str) -> bool {
        let client_id = format!("{:?}-{}-{}", fault.write, fault.at, self.acked.len());
        let payload = json!({"message": {
            "chat_id": self.chat, "content": content, "message_type": "text", "client_id": client_id,
        }});
        self.come_back().await;
        self.faults.arm(fault);
        let mut answer = self.socket.try_call("send_message", payload.clone()).await;
        let failed = self.faults.heal();
        for attempt in 0.. {
            match &answer {
                Some(ack) if ack["ok"] == json!(true) => break,
                Some(ack) => assert_eq!(ack["error"]["code"], json!("unavailable"), "{fault:?}: {ack}"),
                None => {}
            }
            assert!(attempt < 3, "{fault:?}: nothing fails any more, and yet {answer:?}");
            self.come_back().await;
            answer = self.socket.try_call("send_message", payload.clone()).await;
        }
        self.note(client_id, &answer.expect("an ack")["message"], fault);
        self.look(fault).await;
        failed
    }

    fn note(&mut self, client_id: String, message: &Value, fault: Fault) {
        let seq = message["seq"].as_i64().expect("a seq");
        let last = self.acked.last().map_or(0, |it| it.seq);
        assert!(seq > last, "{fault:?}: {seq} was acknowledged after {last}");
        self.acked.push(Acked { client_id, id: message["id"].as_i64().expect("an id"), seq });
    }

    /// Checks that the newest message is in a fetch and in the file, once.
    async fn look(&self, fault: Fault) {
        let last = self.acked.last().expect("one was sent");
        let path = format!("/chat/{}/messages?after={}&limit=5", self.chat, last.seq - 1);
        let page = self.app.get(&path, &self.alice).await;
        assert_eq!(page.as_array().map(Vec::len), Some(1), "{fault:?}: {page}");
        assert_eq!((&page[0]["id"], &page[0]["seq"]), (&json!(last.id), &json!(last.seq)), "{fault:?}");
        let stored = self.stored("client_id", &last.client_id).await;
        assert_eq!(stored, [(last.id, last.seq)], "{fault:?}: what is in the file while the server runs");
    }

    async fn stored(&self, column: &str, value: &str) -> Vec<(i64, i64)> {
        let sql = format!("SELECT id, seq FROM messages WHERE {column} = ? ORDER BY seq");
        let backend = self.outside.get_database_backend();
        let statement = Statement::from_sql_and_values(backend, sql, [value.into()]);
        let rows = self.outside.query_all_raw(statement).await.expect("rows");
        let row = |it: &sea_orm::QueryResult| Some((it.try_get("", "id").ok()?, it.try_get("", "seq").ok()?));
        rows.iter().map(|it| row(it).expect("two numbers")).collect()
    }

    /// Checks that all acknowledged messages exist in order: in the file now, and after a clean stop and a restart.
    async fn end(self) {
        let acked: Vec<(i64, i64)> = self.acked.iter().map(|it| (it.id, it.seq)).collect();
        assert_eq!(self.stored("chat_id", &self.chat.to_string()).await, acked, "while the server runs");
        self.outside.close().await.expect("closed");
        let file = format!("sqlite://{}/mango.db", self.app.folder.path().display());
        self.app.server.shutdown().await;
        let app = TestApp::on(self.app.folder, &file, &[]).await;
        let mut found = Vec::new();
        while found.len() < acked.len() {
            let after = found.last().map_or(0, |(_, seq)| *seq);
            let path = format!("/chat/{}/messages?after={after}&limit=200", self.chat);
            let page = app.get(&path, &self.alice).await;
            let page = page.as_array().expect("a list");
            assert!(!page.is_empty(), "{} of {} are there after a start", found.len(), acked.len());
            let number = |it: &Value, field: &str| it[field].as_i64().expect("a number");
            found.extend(page.iter().rev().map(|it| (number(it, "id"), number(it, "seq"))));
        }
        assert_eq!(found, acked, "after a clean stop and a start");
    }
}

/// Returns faults of every kind, at step `at`.
fn faults_at(at: u64) -> impl Iterator<Item = Fault> {
    let writes = [SQLITE_FULL, SQLITE_IOERR_WRITE, SQLITE_READONLY];
    let changes = writes.into_iter().flat_map(move |write| {
        [false, true].map(|lasting| Fault { steps: Step::CHANGES, at, lasting, write })
    });
    let looks =
        [false, true].map(|lasting| Fault { steps: Step::LOOKS, at, lasting, write: SQLITE_IOERR_WRITE });
    changes.chain(looks)
}

#[harness::test]
async fn a_send_is_stored_once_whichever_step_of_its_commit_fails() {
    if database_kind() != "sqlite" {
        return;
    }
    let mut trial = Trial::start().await;
    for fault in faults_at(1) {
        let mut at = 1;
        while trial.send_through(Fault { at, ..fault }, "x").await {
            at += 1;
            assert!(at < MANY_STEPS, "{fault:?}: it fails without end");
        }
        assert!(at > 2, "{fault:?}: at least one step fails");
    }
    trial.end().await;
}

#[harness::test]
async fn a_send_is_stored_once_when_a_checkpoint_of_the_write_ahead_log_fails() {
    if database_kind() != "sqlite" {
        return;
    }
    let mut trial = Trial::start().await;
    // SQLite copies the log into the file once it has 4,000 pages, then retries at every commit until it succeeds.
    let nothing = Fault { steps: &[], at: 1, lasting: false, write: SQLITE_FULL };
    let large = "x".repeat(60_000);
    let log = trial.app.folder.path().join("mango.db-wal");
    while std::fs::metadata(&log).expect("a log").len() < 15_800_000 {
        trial.send_through(nothing, &large).await;
    }
    for round in 0..12_u32 {
        // From the steps of the commit itself far into the copying.
        let at = 20 + u64::from(round).pow(3);
        for write in [SQLITE_FULL, SQLITE_IOERR_WRITE] {
            trial
                .send_through(Fault { steps: Step::CHANGES, at, lasting: round % 2 == 0, write }, &large)
                .await;
        }
    }
    trial.end().await;
}

#[harness::test]
async fn acknowledged_registrations_and_chats_persist_whichever_step_fails() {
    if database_kind() != "sqlite" {
        return;
    }
    let trial = Trial::start().await;
    let (app, faults) = (&trial.app, trial.faults);
    let send = async |path: &str, token: Option<&str>, body: &Value| {
        app.send(Method::POST, path, token, Some(body.clone())).await
    };
    let token = Some(trial.alice.access.as_str());
    for (number, fault) in faults_at(1).enumerate() {
        let mut struck = true;
        let mut at = 1;
        while struck {
            let fault = Fault { at, ..fault };
            let username = format!("user{number}x{at}");
            let person = json!({"username": username, "password": "correct horse"});
            let chat = json!({"chat": {"name": username, "is_group": true, "members_array": []}});
            faults.arm(fault);
            let (registered, me) = send("/user", None, &person).await;
            struck = faults.heal();
            faults.arm(fault);
            let (made, shown) = send("/events/create_chat", token, &chat).await;
            struck |= faults.heal();
            if registered != StatusCode::CREATED {
                assert_eq!(registered, StatusCode::SERVICE_UNAVAILABLE, "{fault:?}: {me}");
                let (registered, me) = send("/user", None, &person).await;
                // It may have been stored although the response was lost.
                let known = [StatusCode::CREATED, StatusCode::CONFLICT].contains(&registered);
                assert!(known, "{fault:?}: {me}");
            }
            let (status, answer) = send("/auth/login", None, &person).await;
            assert_eq!(status, StatusCode::OK, "{fault:?}: registered as {me}, {answer}");
            if made == StatusCode::OK {
                let message = json!({"chat_id": shown["chat"]["id"], "content": "x", "message_type": "text"});
                let (status, ack) = send("/events/send_message", token, &json!({"message": message})).await;
                assert_eq!(status, StatusCode::OK, "{fault:?}: {shown}, {ack}");
            } else {
                assert_eq!(made, StatusCode::SERVICE_UNAVAILABLE, "{fault:?}: {shown}");
            }
            at += 1;
            assert!(at < MANY_STEPS, "{fault:?}: it fails without end");
        }
    }
    trial.end().await;
}

#[harness::test]
async fn the_server_is_not_ready_while_its_files_are_not_writable_and_recovers_by_itself() {
    if database_kind() != "sqlite" {
        return;
    }
    let mut trial = Trial::start().await;
    for write in [SQLITE_FULL, SQLITE_IOERR_WRITE, SQLITE_READONLY] {
        trial.faults.arm(Fault { steps: Step::CHANGES, at: 1, lasting: true, write });
        let ready = async |wanted: StatusCode| {
            let app = &trial.app;
            eventually(&format!("{write}: ready says {wanted}"), async || {
                app.send(Method::GET, "/health/ready", None, None).await.0 == wanted
            })
            .await;
        };
        ready(StatusCode::SERVICE_UNAVAILABLE).await;
        assert!(trial.faults.heal(), "asking whether it can write is a try");
        ready(StatusCode::OK).await;
        trial.send_through(Fault { steps: &[], at: 1, lasting: false, write }, "after it").await;
    }
    trial.end().await;
}

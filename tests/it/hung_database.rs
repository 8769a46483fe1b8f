//! PostgreSQL hangs, is locked by an operator, restarts or changes under a running server: requests are answered in
//! time, and the server recovers by itself.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use sea_orm::{ConnectionTrait, DatabaseBackend, Statement, TransactionTrait};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::checker::proxy::Proxy;
use crate::support::private_postgres::PrivatePostgres;
use crate::support::{Person, Socket, TestApp, Transport, database_kind, eventually};

/// Short limits keep the tests short.
const LIMITS: [(&str, &str); 3] =
    [("DB_STATEMENT_TIMEOUT_MS", "1000"), ("DB_LOCK_TIMEOUT_MS", "500"), ("DB_ACQUIRE_TIMEOUT_MS", "500")];

/// The longest response time with these limits: waiting for a connection, for a statement, and for a new connection.
const IN_TIME: Duration = Duration::from_secs(5);

fn message(chat: i64, content: &str) -> Value {
    let message = json!({
        "chat_id": chat, "content": content, "message_type": "text", "client_id": format!("{chat}-{content}"),
    });
    json!({"message": message})
}

/// A server with a chat, on a database that hangs now and then.
struct Trial {
    app: TestApp,
    alice: Person,
    chat: i64,
    acked: Vec<String>,
}

impl Trial {
    async fn start(url: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let app = TestApp::on(folder, url, &LIMITS).await;
        let alice = app.person("alice").await;
        let mut socket = app.connect(&alice, Transport::MAIN).await;
        let chat = app.group(&mut socket, &[]).await;
        let mut trial = Self { app, alice, chat, acked: Vec::new() };
        trial.sends_again("before").await;
        trial
    }

    async fn post(&self, event: &str, body: Value) -> (StatusCode, Value) {
        self.app.send(Method::POST, &format!("/events/{event}"), Some(&self.alice.access), Some(body)).await
    }

    /// Checks that all requests, including a send over a socket, fail with `unavailable` in time.
    async fn everything_is_refused_in_time(&self, socket: &mut Socket) {
        let group = json!({"chat": {"name": "late", "is_group": true, "members_array": []}});
        let started = Instant::now();
        let (sent, made, read, told) = tokio::join!(
            timeout(IN_TIME, self.post("send_message", message(self.chat, "hung"))),
            timeout(IN_TIME, self.post("create_chat", group)),
            timeout(IN_TIME, self.app.send(Method::GET, "/chat", Some(&self.alice.access), None)),
            timeout(IN_TIME, socket.try_call("send_message", message(self.chat, "hung too"))),
        );
        for (what, answer) in [("send_message", sent), ("create_chat", made), ("GET /chat", read)] {
            let (status, problem) = answer.unwrap_or_else(|_| panic!("{what} is not answered in time"));
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{what}: {problem}");
            assert_eq!(problem["code"], json!("unavailable"), "{what}: {problem}");
        }
        // The server may close the connection instead; the client then reconnects.
        if let Some(ack) = told.expect("a send over a socket is answered in time") {
            assert_eq!(ack["error"]["code"], json!("unavailable"), "{ack}");
        }
        assert!(started.elapsed() < IN_TIME);
    }

    /// Checks that the next send succeeds by itself, and so do those that were rejected.
    async fn sends_again(&mut self, content: &str) {
        for content in ["hung", "hung too", content] {
            if content.starts_with("hung") && self.acked.is_empty() {
                continue;
            }
            eventually(&format!("{content} is sent"), async || {
                let (status, answer) = self.post("send_message", message(self.chat, content)).await;
                assert!([StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE].contains(&status), "{answer}");
                status == StatusCode::OK
            })
            .await;
            self.acked.push(content.to_owned());
        }
        let mut contents = self.app.contents(self.chat, &self.alice).await;
        let mut wanted = self.acked.clone();
        contents.sort();
        wanted.sort();
        assert_eq!(contents, wanted, "each once");
    }

    async fn ready(&self) -> StatusCode {
        self.app.send(Method::GET, "/health/ready", None, None).await.0
    }
}

/// Checks that no connection of the server is stuck in a transaction.
async fn nothing_is_stuck(postgres: &PrivatePostgres) {
    let connection = postgres.connect("postgres").await;
    let sql = "SELECT pid FROM pg_stat_activity WHERE datname = 'mango' AND state <> 'idle' \
               AND now() - state_change > interval '100 ms'";
    eventually("no connection is stuck", async || {
        let statement = Statement::from_string(DatabaseBackend::Postgres, sql);
        connection.query_all_raw(statement).await.expect("the activity").is_empty()
    })
    .await;
}

#[harness::test]
async fn requests_fail_in_time_while_postgres_is_stopped_and_succeed_afterwards() {
    if database_kind() != "postgres" {
        return;
    }
    let postgres = PrivatePostgres::start(&[]).await;
    let mut trial = Trial::start(&postgres.url()).await;
    let mut socket = trial.app.connect(&trial.alice, Transport::MAIN).await;
    postgres.server.stop_all().expect("stopped");
    trial.everything_is_refused_in_time(&mut socket).await;
    assert_eq!(timeout(IN_TIME, trial.ready()).await, Ok(StatusCode::SERVICE_UNAVAILABLE));
    postgres.server.cont_all().expect("goes on");
    trial.sends_again("after").await;
    eventually("it is ready", async || trial.ready().await == StatusCode::OK).await;
    nothing_is_stuck(&postgres).await;
}

#[harness::test]
async fn requests_fail_in_time_while_the_network_to_postgres_is_down_and_succeed_afterwards() {
    if database_kind() != "postgres" {
        return;
    }
    let postgres = PrivatePostgres::start(&[]).await;
    let proxy = Proxy::start(postgres.server.host()).await.expect("a proxy");
    let mut trial = Trial::start(&format!("postgres://postgres@{}/mango", proxy.host)).await;
    let mut socket = trial.app.connect(&trial.alice, Transport::MAIN).await;
    proxy.stall();
    trial.everything_is_refused_in_time(&mut socket).await;
    proxy.flow();
    trial.sends_again("after").await;
    eventually("it is ready", async || trial.ready().await == StatusCode::OK).await;
}

#[harness::test]
async fn requests_wait_for_a_table_lock_no_longer_than_the_time_limit() {
    if database_kind() != "postgres" {
        return;
    }
    let postgres = PrivatePostgres::start(&[]).await;
    let mut trial = Trial::start(&postgres.url()).await;
    let mut socket = trial.app.connect(&trial.alice, Transport::MAIN).await;
    let operator = postgres.connect("mango").await;
    #[expect(clippy::disallowed_methods, reason = "the operator's own transaction")]
    let locked = operator.begin().await.expect("begins");
    let lock = "LOCK TABLE messages, chats IN ACCESS EXCLUSIVE MODE";
    locked.execute_unprepared(lock).await.expect("locked");
    trial.everything_is_refused_in_time(&mut socket).await;
    locked.rollback().await.expect("given back");
    trial.sends_again("after").await;
    nothing_is_stuck(&postgres).await;
}

#[harness::test]
async fn a_lock_on_one_chat_delays_no_other_chat() {
    if database_kind() != "postgres" {
        return;
    }
    let postgres = PrivatePostgres::start(&[]).await;
    let mut trial = Trial::start(&postgres.url()).await;
    let mut socket = trial.app.connect(&trial.alice, Transport::MAIN).await;
    let other = trial.app.group(&mut socket, &[]).await;
    let operator = postgres.connect("mango").await;
    #[expect(clippy::disallowed_methods, reason = "the operator's own transaction")]
    let locked = operator.begin().await.expect("begins");
    let lock = format!("SELECT id FROM chats WHERE id = {} FOR UPDATE", trial.chat);
    locked.execute_unprepared(&lock).await.expect("locked");
    let waits = async {
        let answer = timeout(IN_TIME, trial.post("send_message", message(trial.chat, "hung"))).await;
        let (status, problem) = answer.expect("answered in time");
        assert_eq!((status, &problem["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("unavailable")));
    };
    let goes_on = async {
        let mut longest = Duration::ZERO;
        for number in 0..20 {
            let started = Instant::now();
            let ack = socket.call("send_message", message(other, &number.to_string())).await;
            assert_eq!(ack["ok"], json!(true), "{ack}");
            longest = longest.max(started.elapsed());
        }
        assert!(longest < Duration::from_secs(2), "another chat waited for {longest:?}");
    };
    tokio::join!(waits, goes_on);
    locked.rollback().await.expect("given back");
    eventually("the chat takes messages again", async || {
        trial.post("send_message", message(trial.chat, "hung")).await.0 == StatusCode::OK
    })
    .await;
    trial.acked.push("hung".into());
    assert_eq!(trial.app.contents(trial.chat, &trial.alice).await, trial.acked, "each once");
}

#[harness::test]
async fn the_first_reads_and_sends_after_a_restart_of_postgres_succeed() {
    if database_kind() != "postgres" {
        return;
    }
    let mut postgres = PrivatePostgres::start(&[]).await;
    let mut trial = Trial::start(&postgres.url()).await;
    let reads = async |trial: &Trial| {
        let read = || trial.app.send(Method::GET, "/chat", Some(&trial.alice.access), None);
        join_all((0..24).map(|_| read())).await
    };
    // Opens many connections.
    reads(&trial).await;
    for crash in [false, true] {
        if crash {
            postgres.server.kill().expect("killed");
            postgres.server.start().expect("starts");
        } else {
            postgres.server.restart().expect("restarts");
        }
        for (status, body) in reads(&trial).await {
            assert_eq!(status, StatusCode::OK, "crash: {crash}: {body}");
        }
        let content = format!("after {crash}");
        let (status, ack) = trial.post("send_message", message(trial.chat, &content)).await;
        assert_eq!(status, StatusCode::OK, "crash: {crash}: {ack}");
        trial.acked.push(content);
    }
    assert_eq!(trial.app.contents(trial.chat, &trial.alice).await, trial.acked, "each once");
}

#[harness::test]
async fn a_change_of_a_column_type_under_a_running_server_fails_no_request() {
    if database_kind() != "postgres" {
        return;
    }
    let app = TestApp::start().await;
    let alice = app.person("alice").await;
    let mut socket = app.connect(&alice, Transport::MAIN).await;
    let chat = app.group(&mut socket, &[]).await;
    let path = format!("/chat/{chat}/messages");
    let read = || app.send(Method::GET, &path, Some(&alice.access), None);
    for (number, column) in ["content", "client_id"].iter().enumerate() {
        let before = socket.call("send_message", message(chat, &format!("before {number}"))).await;
        assert_eq!(before["ok"], json!(true), "{before}");
        // All connections have prepared the statements now.
        join_all((0..24).map(|_| read())).await;
        let change = format!("ALTER TABLE messages ALTER COLUMN {column} TYPE varchar(70000)");
        app.server.context.db.read().execute_unprepared(&change).await.expect("changed");
        for (status, body) in join_all((0..24).map(|_| read())).await {
            assert_eq!(status, StatusCode::OK, "{column}: {body}");
        }
        let after = socket.call("send_message", message(chat, &format!("after {number}"))).await;
        assert_eq!(after["ok"], json!(true), "{column}: {after}");
    }
    assert_eq!(app.contents(chat, &alice).await.len(), 4, "each once");
}

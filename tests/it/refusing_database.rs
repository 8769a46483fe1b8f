//! PostgreSQL answers but refuses: it is read-only, accepts no more connections, or does not match `DATABASE_URL`.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::binary::command;
use crate::support::private_postgres::PrivatePostgres;
use crate::support::{Person, TestApp, Transport, database_kind, eventually};

/// A server with one chat.
struct Trial {
    app: TestApp,
    alice: Person,
    chat: i64,
}

impl Trial {
    async fn start(url: &str, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let app = TestApp::on(folder, url, settings).await;
        let alice = app.person("alice").await;
        let mut socket = app.connect(&alice, Transport::MAIN).await;
        let chat = app.group(&mut socket, &[]).await;
        Self { app, alice, chat }
    }

    async fn send(&self, content: &str) -> (StatusCode, Value) {
        let message = json!({
            "chat_id": self.chat, "content": content, "message_type": "text", "client_id": content,
        });
        let body = Some(json!({"message": message}));
        self.app.send(Method::POST, "/events/send_message", Some(&self.alice.access), body).await
    }

    async fn ready_says(&self, wanted: StatusCode) {
        eventually(&format!("ready says {wanted}"), async || {
            self.app.send(Method::GET, "/health/ready", None, None).await.0 == wanted
        })
        .await;
    }

    async fn is_refused(&self, content: &str) {
        let (status, problem) = self.send(content).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
        assert_eq!(problem["code"], json!("unavailable"), "{problem}");
    }

    /// Checks that the server recovers without a restart, and that each message is stored once.
    async fn recovers(&self, contents: &[&str]) {
        for content in contents {
            eventually(&format!("{content} is sent"), async || self.send(content).await.0 == StatusCode::OK)
                .await;
        }
        self.ready_says(StatusCode::OK).await;
        assert_eq!(self.app.contents(self.chat, &self.alice).await, contents, "each once");
    }
}

#[harness::test]
async fn a_read_only_database_rejects_sends_and_serves_reads() {
    if database_kind() != "postgres" {
        return;
    }
    let postgres = PrivatePostgres::start(&[]).await;
    let trial = Trial::start(&postgres.url(), &[]).await;
    assert_eq!(trial.send("one").await.0, StatusCode::OK);
    trial.ready_says(StatusCode::OK).await;
    let read_only = "ALTER SYSTEM SET default_transaction_read_only = on";
    postgres.run("postgres", &[read_only, "SELECT pg_reload_conf()"]).await;
    trial.ready_says(StatusCode::SERVICE_UNAVAILABLE).await;
    trial.is_refused("two").await;
    let group = json!({"chat": {"name": "late", "is_group": true, "members_array": []}});
    let token = Some(trial.alice.access.as_str());
    let (status, problem) = trial.app.send(Method::POST, "/events/create_chat", token, Some(group)).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
    assert_eq!(trial.app.contents(trial.chat, &trial.alice).await, ["one"], "reading goes on");
    let writable = "ALTER SYSTEM RESET default_transaction_read_only";
    postgres.run("postgres", &[writable, "SELECT pg_reload_conf()"]).await;
    trial.recovers(&["one", "two"]).await;
}

#[harness::test]
async fn a_database_without_free_connections_is_unavailable_until_it_has_some() {
    if database_kind() != "postgres" {
        return;
    }
    let postgres = PrivatePostgres::start(&[]).await;
    let role = ["CREATE ROLE mango LOGIN", "ALTER DATABASE mango OWNER TO mango"];
    postgres.run("postgres", &role).await;
    let url = postgres.url().replace("postgres@", "mango@");
    let trial = Trial::start(&url, &[("DB_ACQUIRE_TIMEOUT_MS", "500")]).await;
    assert_eq!(trial.send("one").await.0, StatusCode::OK);
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'mango'";
    postgres.run("postgres", &["ALTER ROLE mango CONNECTION LIMIT 0", end]).await;
    trial.ready_says(StatusCode::SERVICE_UNAVAILABLE).await;
    trial.is_refused("two").await;
    postgres.run("postgres", &["ALTER ROLE mango CONNECTION LIMIT -1"]).await;
    trial.recovers(&["one", "two"]).await;
}

#[harness::test]
async fn reads_share_the_connections_that_the_database_permits() {
    if database_kind() != "postgres" {
        return;
    }
    let postgres = PrivatePostgres::start(&[]).await;
    let role = ["CREATE ROLE mango LOGIN CONNECTION LIMIT 6", "ALTER DATABASE mango OWNER TO mango"];
    postgres.run("postgres", &role).await;
    let url = postgres.url().replace("postgres@", "mango@");
    let trial = Trial::start(&url, &[("DB_MAX_CONNECTIONS", "32")]).await;
    for _ in 0..3 {
        let read = || trial.app.send(Method::GET, "/chat", Some(&trial.alice.access), None);
        let reads = timeout(Duration::from_secs(5), join_all((0..40).map(|_| read()))).await;
        for (status, body) in reads.expect("in time") {
            assert_eq!(status, StatusCode::OK, "{body}");
        }
    }
    assert_eq!(trial.send("one").await.0, StatusCode::OK);
}

#[harness::test]
async fn an_unusable_database_is_reported_in_one_line_without_its_password() {
    if database_kind() != "postgres" {
        return;
    }
    let postgres = PrivatePostgres::start(&[]).await;
    let latin = "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0";
    postgres.run("postgres", &[latin, "CREATE ROLE keeper LOGIN PASSWORD 'secret'"]).await;
    let rules = postgres.server.data().join("pg_hba.conf");
    let trusting = std::fs::read_to_string(&rules).expect("rules");
    let strict = format!("host all keeper 127.0.0.1/32 scram-sha-256\n{trusting}");
    std::fs::write(&rules, strict).expect("written");
    postgres.server.reload().expect("taken over");
    let host = postgres.server.host();
    let folder = tempfile::tempdir().expect("a folder");
    let cases = [
        ("a # in the password", format!("postgres://keeper:hush#hush@{host}/mango")),
        ("a refused port", "postgres://keeper:hush@127.0.0.1:1/mango".into()),
        ("an unknown host", "postgres://keeper:hush@nowhere.invalid/mango".into()),
        ("a wrong password", format!("postgres://keeper:hush@{host}/mango")),
        ("an unknown database", format!("postgres://postgres:hush@{host}/nowhere")),
        ("an encoding that cannot hold all text", format!("postgres://postgres:hush@{host}/latin")),
    ];
    let mut wrong = Vec::new();
    for (what, url) in cases {
        let mut command = command(&folder);
        command.env("MANGO_ENV", "test").env("DATABASE_URL", &url).env("DB_ACQUIRE_TIMEOUT_MS", "2000");
        let output =
            tokio::task::spawn_blocking(move || command.output()).await.expect("joins").expect("runs");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let all = format!("{told}{}", String::from_utf8_lossy(&output.stdout));
        let one_line = told.trim_end().lines().count() == 1 && told.contains("DATABASE_URL");
        if output.status.code() != Some(2) || !one_line || all.contains("hush") || all.contains("timed out") {
            wrong.push(format!("{what}: {all}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

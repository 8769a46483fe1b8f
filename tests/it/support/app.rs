//! A server in this process, on a free port, with temporary folders and its own database.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mango_chat::app::{self, Server};
use mango_chat::config::Settings;
use reqwest::{Method, Response, StatusCode};
use sea_orm::{ConnectionTrait, Database, DatabaseBackend, Statement};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Socket, Transport, eventually};

/// The key that signs the tokens of all test servers.
pub const SECRET: &str = "a-secret-for-tests-of-at-least-32-bytes";

/// The password of all test users.
pub const PASSWORD: &str = "correct horse";

/// Returns the database that the tests use: `sqlite` or `postgres`.
pub fn database_kind() -> String {
    std::env::var("TEST_DB").unwrap_or_else(|_| "sqlite".into())
}

/// Returns the URL of a new database that no other test uses; SQLite's file is in `folder`.
pub async fn fresh_database(folder: &TempDir) -> String {
    match database_kind().as_str() {
        "postgres" => {
            static NEXT: AtomicU64 = AtomicU64::new(0);
            let base =
                std::env::var("TEST_DATABASE_URL_PG").expect("TEST_DATABASE_URL_PG names a PostgreSQL");
            let name = format!("it_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let server = Database::connect(&base).await.expect("PostgreSQL answers");
            server.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("a fresh database");
            server.close().await.expect("closed");
            let (front, _) = base.rsplit_once('/').expect("the URL names a database");
            format!("{front}/{name}")
        }
        "sqlite" => format!("sqlite://{}/mango.db", folder.path().display()),
        other => panic!("TEST_DB={other}: takes sqlite or postgres"),
    }
}

/// A running server.
pub struct TestApp {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// `127.0.0.1:PORT`.
    pub host: String,
    /// The server itself, for checks of internal state.
    pub server: Server,
    /// A client for requests without cookies.
    pub http: reqwest::Client,
    /// The folder for data and logs.
    pub folder: TempDir,
}

/// A user who has registered and logged in.
#[derive(Clone, Debug)]
pub struct Person {
    /// The user's id.
    pub id: i64,
    /// The access token, for REST and sockets.
    pub access: String,
    /// The refresh token.
    pub refresh: String,
}

impl TestApp {
    /// Waits until a connection waits for a lock that the test holds. SQLite does not show waiting connections, so
    /// there this only pauses for a moment.
    pub async fn somebody_waits(&self) {
        let db = self.server.context.db.read();
        if db.get_database_backend() == DatabaseBackend::Sqlite {
            return tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let sql = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let waiting = async || {
            let statement = Statement::from_string(DatabaseBackend::Postgres, sql);
            !db.query_all_raw(statement).await.expect("the activity").is_empty()
        };
        eventually("somebody waits for the lock", waiting).await;
    }

    /// Starts a server with defaults that suit tests.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts a server with these settings on top.
    pub async fn with(extra: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = fresh_database(&folder).await;
        Self::on(folder, &url, extra).await
    }

    /// Starts a server on a given database.
    pub async fn on(folder: TempDir, database_url: &str, extra: &[(&str, &str)]) -> Self {
        let data = folder.path().display().to_string();
        // `FAST_PATH=off cargo test` tests the other implementation of Socket.IO.
        let fast_path = std::env::var("FAST_PATH").unwrap_or_else(|_| "true".into());
        let base = [
            ("FAST_PATH", fast_path.as_str()),
            ("MANGO_ENV", "test"),
            ("BIND", "127.0.0.1:0"),
            ("DATA_DIR", &data),
            ("DATABASE_URL", database_url),
            ("JWT_SECRET", SECRET),
            ("PASSWORD_HASH", "argon2id,m=64,t=1,p=1"),
        ];
        let settings = Settings::from_source(&|name| {
            let find = |list: &[(&str, &str)]| {
                list.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            };
            find(extra).or_else(|| find(&base))
        })
        .expect("settings fit");
        let server = app::start(settings).await.expect("the server starts");
        let host = server.address.to_string();
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { url: format!("http://{host}"), host, server, http, folder }
    }

    /// Registers a user and logs in.
    pub async fn person(&self, username: &str) -> Person {
        let (status, me) = self
            .send(Method::POST, "/user", None, Some(json!({"username": username, "password": PASSWORD})))
            .await;
        assert_eq!(status, StatusCode::CREATED, "{me}");
        self.login(username).await
    }

    /// Registers and logs in three users.
    pub async fn three(&self) -> (Person, Person, Person) {
        (self.person("alice").await, self.person("bob").await, self.person("carol").await)
    }

    /// Logs a user in once more.
    pub async fn login(&self, username: &str) -> Person {
        let (status, tokens) = self
            .send(
                Method::POST,
                "/auth/login",
                None,
                Some(json!({"username": username, "password": PASSWORD})),
            )
            .await;
        assert_eq!(status, StatusCode::OK, "{tokens}");
        let text = |name: &str| tokens[name].as_str().expect("a token").to_owned();
        let (access, refresh) = (text("access_token"), text("refresh_token"));
        let (_, me) = self.send(Method::GET, "/user/me", Some(&access), None).await;
        Person { id: me["id"].as_i64().expect("an id"), access, refresh }
    }

    /// Sends a request; returns its status and JSON (null if there is none).
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let answer = self.raw(method, path, token, body).await;
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Sends a request; returns the response as it is.
    pub async fn raw(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Response {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.expect("an answer")
    }

    /// Returns what a user reads at this path.
    pub async fn get(&self, path: &str, person: &Person) -> Value {
        let (status, body) = self.send(Method::GET, path, Some(&person.access), None).await;
        assert_eq!(status, StatusCode::OK, "GET {path}: {body}");
        body
    }

    /// Returns a connected socket that has received `ready`.
    pub async fn connect(&self, person: &Person, transport: Transport) -> Socket {
        let mut socket = Socket::open(&self.host, Some(&person.access), transport).await.expect("connects");
        let ready = socket.next("ready").await;
        assert_eq!(ready["user_id"], json!(person.id));
        socket
    }

    /// Creates a group of these users, owned by the first.
    pub async fn group(&self, owner: &mut Socket, others: &[&Person]) -> i64 {
        let members: Vec<i64> = others.iter().map(|person| person.id).collect();
        let payload = json!({"chat": {"name": "group", "is_group": true, "members_array": members}});
        let ack = owner.call("create_chat", payload).await;
        assert_eq!(ack["ok"], json!(true), "{ack}");
        ack["chat"]["id"].as_i64().expect("an id")
    }

    /// Returns the contents of all messages of a chat in the order of `seq`.
    pub async fn contents(&self, chat: i64, person: &Person) -> Vec<String> {
        let mut all = Vec::new();
        let mut after = 0;
        loop {
            let page = self.get(&format!("/chat/{chat}/messages?after={after}&limit=200"), person).await;
            let page = page.as_array().expect("a list").clone();
            let Some(newest) = page.first() else { return all };
            after = newest["seq"].as_i64().expect("a seq");
            all.extend(page.iter().rev().map(|it| it["content"].as_str().expect("content").to_owned()));
        }
    }
}

//! Unchanged clients of several versions, over every transport. They reconnect by themselves after any loss of their
//! connection, and receive messages in order.

use std::collections::VecDeque;
use std::process::Stdio;
use std::time::Duration;

use reqwest::Client as Http;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, sleep, timeout_at};

use crate::binary::{post, serve, signal};
use crate::checker::proxy::Proxy;
use crate::mail::peer::{clients, install};
use crate::support::{PASSWORD, database_kind, fresh_database};

/// Versions of socket.io-client, by their names in `tests/clients/package.json`.
const NODE: [&str; 4] =
    ["socket.io-client-3.1", "socket.io-client-4.0", "socket.io-client-4.5", "socket.io-client"];

/// python-socketio with asyncio, and with threads. The latter handles each event in its own thread, so that its output
/// is in no fixed order.
const PYTHON: [&str; 2] = ["python-socketio async", THREADS];

const THREADS: &str = "python-socketio threads";

/// The newest version of each library.
pub const NEWEST: [&str; 2] = [NODE[3], PYTHON[0]];

/// Transports that a client may use; the last starts with polling and upgrades to a websocket.
pub const TRANSPORTS: [&[&str]; 3] = [&["websocket"], &["polling"], &["polling", "websocket"]];

/// The time limit for anything that clients do by themselves.
const WITHIN: Duration = Duration::from_mins(2);

/// A message that is repeated until every client receives it. Threaded python-socketio may report an earlier repetition
/// after a later one.
const QUESTION: &str = "does everybody hear?";

/// Returns how one client connects, in the format that the client scripts read.
pub fn way(namespace: &str, transports: &[&str], token: &str) -> Value {
    json!({"namespace": namespace, "transports": transports, "auth": {"token": token}})
}

/// Clients of one library, one for each way to connect, in a separate process.
pub struct Clients {
    /// The name of the library.
    pub library: &'static str,
    ways: Vec<Value>,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// Events that each client has reported and the test has not read yet.
    told: Vec<VecDeque<Value>>,
}

impl Clients {
    /// Starts the clients; returns `None` if there is no Python with python-socketio.
    #[expect(clippy::print_stderr, reason = "who runs the tests reads what is left out")]
    pub async fn start(library: &'static str, url: &str, ways: Vec<Value>) -> Option<Self> {
        install().await;
        let (program, script) = if library.starts_with("python") {
            let Ok(python) = std::env::var("TEST_PYTHON") else {
                eprintln!("without {library}: TEST_PYTHON names no Python that has it");
                return None;
            };
            (python, "real_clients.py")
        } else {
            ("node".to_owned(), "real_clients.mjs")
        };
        let mut child = Command::new(program)
            .args([script, library, url, &Value::from(ways.clone()).to_string()])
            .current_dir(clients())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the client runs");
        let lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        let told = vec![VecDeque::new(); ways.len()];
        Some(Self { library, ways, child, lines, told })
    }

    /// Starts such clients for each of these libraries.
    pub async fn of(libraries: &[&'static str], url: &str, ways: &[Value]) -> Vec<Self> {
        let mut all = Vec::new();
        for library in libraries {
            all.extend(Self::start(library, url, ways.to_vec()).await);
        }
        all
    }

    /// Sends the process the signal of this name.
    pub async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let done = Command::new("kill").args([&format!("-{name}"), &pid]).status().await;
        assert!(done.expect("kill runs").success());
    }

    /// Returns what each client reports up to and including `wanted`.
    pub async fn until(&mut self, wanted: &str) -> Vec<Vec<Value>> {
        let mut all = Vec::new();
        for client in 0..self.ways.len() {
            let mut seen = Vec::new();
            while seen.last().is_none_or(|it: &Value| it["event"] != json!(wanted)) {
                match self.next(client, Instant::now() + WITHIN).await {
                    Some(event) => seen.push(event),
                    None => panic!("{}: no {wanted}: {seen:?}", self.describe(client)),
                }
            }
            all.push(seen);
        }
        all
    }

    /// Waits until all clients are `ready`, and checks that none was rejected meanwhile.
    pub async fn until_ready(&mut self) {
        for (client, seen) in self.until("ready").await.into_iter().enumerate() {
            let refused = seen.iter().any(|it| it["message"].to_string().contains("unauthorized"));
            assert!(!refused, "{}: {seen:?}", self.describe(client));
        }
    }

    /// Checks that each client receives these messages next, in order; repetitions of `QUESTION` do not count.
    pub async fn expect_messages(&mut self, contents: &[String]) {
        for client in 0..self.ways.len() {
            let mut heard = Vec::new();
            while heard.len() < contents.len() {
                let event = self.next(client, Instant::now() + WITHIN).await;
                let event = event.unwrap_or_else(|| panic!("{}: {heard:?}", self.describe(client)));
                let content = event["message"].as_str().unwrap_or_default();
                if event["event"] == json!("new_message") && !content.contains(QUESTION) {
                    heard.push(content.to_owned());
                }
            }
            let mut wanted = contents.to_vec();
            if self.library == THREADS {
                heard.sort();
                wanted.sort();
            }
            assert_eq!(heard, wanted, "{}", self.describe(client));
        }
    }

    /// Returns whether every client receives a message soon; all earlier events are dropped.
    async fn hear_soon(&mut self, content: &str) -> bool {
        let deadline = Instant::now() + Duration::from_secs(2);
        for client in 0..self.ways.len() {
            loop {
                match self.next(client, deadline).await {
                    Some(event) if event["message"] == json!(content) => break,
                    Some(_) => {}
                    None => return false,
                }
            }
        }
        true
    }

    async fn next(&mut self, client: usize, deadline: Instant) -> Option<Value> {
        while self.told[client].is_empty() {
            let line = timeout_at(deadline, self.lines.next_line()).await.ok()?;
            let event: Value = serde_json::from_str(&line.expect("text")?).expect("JSON");
            let teller = event["client"].as_u64().expect("a client") as usize;
            self.told[teller].push_back(event);
        }
        self.told[client].pop_front()
    }

    fn describe(&self, client: usize) -> String {
        format!("{} {}", self.library, self.ways[client])
    }
}

/// Sends messages to a chat over REST.
struct Speaker {
    http: Http,
    host: String,
    token: String,
    chat: i64,
}

impl Speaker {
    async fn event(&self, event: &str, payload: Value) -> Value {
        let request = self.http.post(format!("http://{}/events/{event}", self.host)).bearer_auth(&self.token);
        let answer = request.json(&payload).send().await.expect("an answer");
        answer.json().await.expect("JSON")
    }

    async fn say(&self, content: &str) {
        let message = json!({"chat_id": self.chat, "content": content, "message_type": "text"});
        let answer = self.event("send_message", json!({ "message": message })).await;
        assert_eq!(answer["ok"], json!(true), "{answer}");
    }

    /// Sends a message until all clients, some of which may still be reconnecting, receive it; then sends 30 messages,
    /// which they must receive in order.
    async fn burst(&self, all: &mut [Clients], name: &str) {
        for number in 0.. {
            assert!(number < 60, "{name}: not everybody hears");
            let content = format!("{name}: {QUESTION} {number}");
            self.say(&content).await;
            let mut heard = true;
            for clients in &mut *all {
                heard &= clients.hear_soon(&content).await;
            }
            if heard {
                break;
            }
        }
        let contents: Vec<String> = (10..40).map(|number| format!("{name} {number}")).collect();
        for content in &contents {
            self.say(content).await;
        }
        for clients in all {
            clients.expect_messages(&contents).await;
        }
    }
}

async fn login(host: &str, username: &str) -> (i64, String) {
    let known = json!({"username": username, "password": PASSWORD});
    let me = post(host, "/user", known.clone()).await;
    let tokens = post(host, "/auth/login", known).await;
    let token = tokens["access_token"].as_str().expect("a token").to_owned();
    (me["id"].as_i64().expect("an id"), token)
}

#[harness::test]
async fn real_clients_of_all_versions_exchange_messages_and_reconnect_over_every_transport() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = match database_kind().as_str() {
        "postgres" => fresh_database(&folder).await,
        _ => format!("sqlite://{}/mango.db", folder.path().display()),
    };
    let settings = [("DATABASE_URL", url.as_str()), ("JWT_SECRET", "the-same-secret-over-all-lives-of-it")];
    let mut server = serve(&folder, &settings);
    let host = server.host.clone();
    let (_, alice) = login(&host, "alice").await;
    let (bob, token) = login(&host, "bob").await;
    let mut speaker = Speaker { http: Http::new(), host: host.clone(), token: alice, chat: 0 };
    let payload = json!({"chat": {"name": "all", "is_group": true, "members_array": [bob]}});
    let chat = speaker.event("create_chat", payload).await;
    speaker.chat = chat["chat"]["id"].as_i64().expect("a chat");

    let entrance = Proxy::start(host.clone()).await.expect("a proxy");
    let mut ways = Vec::new();
    for transports in TRANSPORTS {
        for namespace in ["/", "/ws"] {
            ways.push(way(namespace, transports, &token));
            ways.push(json!({"namespace": namespace, "transports": transports, "headers": {"auth": token}}));
        }
    }
    let libraries: Vec<&'static str> = NODE.into_iter().chain(PYTHON).collect();
    let mut all = Clients::of(&libraries, &format!("http://{}", entrance.host), &ways).await;
    for clients in &mut all {
        clients.until_ready().await;
        for seen in clients.until("ack").await {
            assert_eq!(seen.last().map(|it| &it["message"]), Some(&json!(true)), "{}", clients.library);
        }
    }
    speaker.burst(&mut all, "at first").await;

    entrance.refuse(true);
    sleep(Duration::from_millis(500)).await;
    entrance.refuse(false);
    speaker.burst(&mut all, "after a cut").await;

    for name in ["TERM", "KILL"] {
        signal(&server.child, name);
        server.child.wait().expect("ends");
        let again: Vec<(&str, &str)> = settings.iter().copied().chain([("BIND", host.as_str())]).collect();
        server = serve(&folder, &again);
        for clients in &mut all {
            clients.until("disconnect").await;
            clients.until_ready().await;
        }
        speaker.burst(&mut all, &format!("after {name}")).await;
    }
}

//! A real SMTP peer (`tests/clients/smtp_peer.mjs`), which takes mail, refuses it, or dies where it is told to.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::support::{PATIENCE, SILENCE};

/// Where mails come from in these tests.
pub const FROM: &str = "Mango Chat <chat@example.org>";

/// A running peer; it ends when this is dropped.
pub struct Peer {
    _child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    /// Where it listens.
    pub port: u16,
    /// Mails that came while something else was waited for.
    mails: Vec<Value>,
}

/// Where the peers of other languages are.
pub fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// What the peer is made of, installed where it is missing.
pub async fn install() {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    INSTALLED
        .get_or_init(|| async {
            let is_there = |package| clients().join("node_modules").join(package).is_dir();
            if is_there("smtp-server") && is_there("socket.io-client-3.1") {
                return;
            }
            let mut npm = Command::new("npm");
            npm.args(["ci", "--no-audit", "--no-fund"]).current_dir(clients());
            assert!(npm.status().await.expect("npm runs").success(), "npm ci failed");
        })
        .await;
}

impl Peer {
    /// One that takes everything.
    pub async fn start() -> Self {
        Self::with(json!({})).await
    }

    /// With options of its own.
    pub async fn with(options: Value) -> Self {
        install().await;
        let mut child = Command::new("node")
            .arg("smtp_peer.mjs")
            .arg(options.to_string())
            .current_dir(clients())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node runs");
        let input = child.stdin.take().expect("stdin");
        let lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        let mut peer = Self { _child: child, input, lines, port: 0, mails: Vec::new() };
        let listening = peer.event("listening").await;
        peer.port = listening["port"].as_u64().and_then(|port| port.try_into().ok()).expect("a port");
        peer
    }

    /// `smtp://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// How the next connections are treated, one each.
    pub async fn next(&mut self, behaviours: Value) {
        let line = format!("{}\n", json!({"next": behaviours}));
        self.input.write_all(line.as_bytes()).await.expect("told");
        self.event("understood").await;
    }

    /// Waits for something to happen there.
    pub async fn event(&mut self, name: &str) -> Value {
        timeout(PATIENCE, async {
            loop {
                let line = self.lines.next_line().await.expect("text").expect("the peer lives");
                let event: Value = serde_json::from_str(&line).expect("JSON");
                if event["event"] == json!("mail") && name != "mail" {
                    self.mails.push(event.clone());
                }
                if event["event"] == json!(name) {
                    return event;
                }
            }
        })
        .await
        .unwrap_or_else(|_| panic!("no {name} at the peer"))
    }

    /// The next mail.
    pub async fn mail(&mut self) -> Value {
        if self.mails.is_empty() { self.event("mail").await } else { self.mails.remove(0) }
    }

    /// The next mail, which is this one.
    pub async fn expect(&mut self, to: &str, subject: &str) -> Value {
        let mail = self.mail().await;
        assert_eq!((&mail["to"], &mail["subject"]), (&json!([to]), &json!(subject)), "{mail}");
        mail
    }

    /// No mail comes for a while.
    pub async fn expect_silence(&mut self) {
        assert!(self.mails.is_empty(), "{:?}", self.mails);
        let quiet = async {
            loop {
                let line = self.lines.next_line().await.expect("text").expect("the peer lives");
                let event: Value = serde_json::from_str(&line).expect("JSON");
                if event["event"] == json!("mail") {
                    return event;
                }
            }
        };
        let came = timeout(SILENCE + Duration::from_millis(250), quiet).await;
        assert!(came.is_err(), "{came:?}");
    }
}

/// The token in a mail's link; text and HTML have the same.
pub fn token(mail: &Value) -> String {
    let take = |text: &Value| -> String {
        let text = text.as_str().expect("text");
        let (_, rest) = text.split_once("#token=").unwrap_or_else(|| panic!("no link in {text}"));
        rest.chars().take_while(char::is_ascii_alphanumeric).collect()
    };
    let token = take(&mail["text"]);
    assert_eq!((token.len(), take(&mail["html"])), (64, token.clone()));
    token
}

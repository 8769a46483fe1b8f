//! A real SMTP peer (`tests/clients/smtp_peer.mjs`) that accepts mail, refuses it, or dies at a chosen point.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::support::{PATIENCE, SILENCE};

/// The sender of all mails in these tests.
pub const FROM: &str = "Mango Chat <chat@example.org>";

/// A running peer, which ends when this is dropped.
pub struct Peer {
    _child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    /// The port on which it listens.
    pub port: u16,
    /// Mails that arrived while the test waited for something else.
    mails: Vec<Value>,
}

/// Returns the folder with the peers that are written in other languages.
pub fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// Installs the npm packages of the peer if they are missing.
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
    /// Starts a peer that accepts everything.
    pub async fn start() -> Self {
        Self::with(json!({})).await
    }

    /// Starts a peer with these options.
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

    /// Sets how the peer treats the next connections, one behaviour for each.
    pub async fn next(&mut self, behaviours: Value) {
        let line = format!("{}\n", json!({"next": behaviours}));
        self.input.write_all(line.as_bytes()).await.expect("told");
        self.event("understood").await;
    }

    /// Waits for an event of this name from the peer.
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

    /// Returns the next mail.
    pub async fn mail(&mut self) -> Value {
        if self.mails.is_empty() { self.event("mail").await } else { self.mails.remove(0) }
    }

    /// Returns the next mail, which must have this recipient and subject.
    pub async fn expect(&mut self, to: &str, subject: &str) -> Value {
        let mail = self.mail().await;
        assert_eq!((&mail["to"], &mail["subject"]), (&json!([to]), &json!(subject)), "{mail}");
        mail
    }

    /// Checks that no mail arrives for a while.
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

/// Returns the token in a mail's link; text and HTML have the same one.
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

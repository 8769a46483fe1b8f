//! The server in its own process. It can be killed and restarted, and keeps its port.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::disk::Disk;
use super::{Result, text};

/// How long a start may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// A user who is logged in.
#[derive(Clone, Debug)]
pub struct Person {
    /// The user's id at the server.
    pub id: i64,
    /// The access token.
    pub token: String,
}

/// One server, which is killed on drop.
pub struct Node {
    binary: PathBuf,
    folder: PathBuf,
    settings: Vec<(String, String)>,
    disk: Option<Arc<Disk>>,
    port: u16,
    child: Option<Child>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Node {
    /// Returns a server that is not started yet, on a port that is free now.
    pub fn new(binary: &Path, folder: &Path, database_url: &str) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).map_err(text)?.port();
        let (binary, folder) = (binary.to_owned(), folder.to_owned());
        let settings = vec![("DATABASE_URL".into(), database_url.to_owned())];
        Ok(Self { binary, folder, settings, disk: None, port, child: None })
    }

    /// Adds a setting for all later starts.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    /// Lets the server see this disk from the next start on.
    pub fn sees(&mut self, disk: Arc<Disk>) {
        self.disk = Some(disk);
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns its process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Starts it and waits until it responds.
    pub async fn start(&mut self) -> Result<()> {
        let output = std::fs::File::create(self.folder.join("server.log")).map_err(text)?;
        let mut command = match &self.disk {
            Some(disk) => disk.command(&self.binary, &self.folder)?,
            None => Command::new(&self.binary),
        };
        let child = command
            .current_dir(&self.folder)
            .env_clear()
            .env("MANGO_ENV", "test")
            .env("BIND", self.host())
            .env("JWT_SECRET", "the-same-secret-over-all-lives-of-it")
            .env("PASSWORD_HASH", "argon2id,m=64,t=1,p=1")
            .env("ACCESS_TOKEN_TTL_SECS", "86400")
            .env("RUST_LOG", "warn,mango_chat=info")
            .envs(self.settings.iter().cloned())
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(text)?)
            .stderr(output)
            .spawn()
            .map_err(|error| format!("{}: {error}", self.binary.display()))?;
        self.child = Some(child);
        let http = Client::builder().no_proxy().build().map_err(text)?;
        let url = format!("http://{}/health/live", self.host());
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = http.get(&url).timeout(Duration::from_secs(1)).send().await;
            if answer.is_ok_and(|it| it.status().is_success()) {
                return Ok(());
            }
            let gone = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if gone.is_some() || Instant::now() > deadline {
                return Err(format!("the server did not start ({gone:?}): {}", self.log_tail()));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Returns its output since its last start.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("server.log")).unwrap_or_default()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join(" | ")
    }

    /// Kills it with `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended already.
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) -> Result<()> {
        let pid = self.pid().ok_or("it does not run")?;
        let done = Command::new("kill").args(["-TERM", &pid.to_string()]).status().map_err(text)?;
        if done.success() { Ok(()) } else { Err("kill failed".into()) }
    }

    /// Waits until it has ended by itself; returns whether its exit status is 0.
    pub async fn ended_well(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match self.child.as_mut().map(Child::try_wait) {
                Some(Ok(Some(status))) => return status.success(),
                Some(Ok(None)) => sleep(Duration::from_millis(20)).await,
                _ => return false,
            }
        }
        false
    }

    /// Registers and logs in a user.
    pub async fn person(&self, http: &Client, username: &str) -> Result<Person> {
        let known = json!({"username": username, "password": "correct horse"});
        let me = self.post(http, "/user", None, &known).await?;
        let tokens = self.post(http, "/auth/login", None, &known).await?;
        let id = me["id"].as_i64().ok_or("no id")?;
        Ok(Person { id, token: tokens["access_token"].as_str().ok_or("no token")?.to_owned() })
    }

    /// Sends a POST request with a JSON body.
    pub async fn post(&self, http: &Client, path: &str, token: Option<&str>, body: &Value) -> Result<Value> {
        let mut request = http.post(format!("http://{}{path}", self.host())).json(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.map_err(text)?;
        let (status, body) = (answer.status(), answer.text().await.map_err(text)?);
        if status.is_success() {
            serde_json::from_str(&body).map_err(text)
        } else {
            Err(format!("{path}: {body}"))
        }
    }
}

//! Counts the instructions of the hot paths, under callgrind, and compares them with `bench/instructions.json`.
//!
//! Counts hardly depend on the machine and on what else it does, so a regression of a few percent shows at once.
//!
//! ```sh
//! bench/instructions            # fails if a path costs 5 % more than noted
//! bench/instructions --accept   # notes the current counts; add a line on why to the file's "note"
//! ```

#![expect(clippy::print_stdout, reason = "a program of the command line")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use futures_util::future::join_all;
use mango_chat::app::open_database;
use mango_chat::clock::Clock;
use mango_chat::config::Settings;
use mango_chat::domain::dispatch::{Respond, dispatch};
use mango_chat::domain::{Actor, AppContext, Caller, demo};
use mango_chat::ids::{SessionId, UserId};
use mango_chat::platform::bus::Bus;
use mango_chat::protocol::catalogue::EventName;
use mango_chat::realtime::RealtimeState;
use mango_chat::realtime::connection::{Connection, SendQueue};
use mango_chat::realtime::outgoing::{Dialect, Outgoing};
use mango_chat::realtime::publisher::Publisher;
use mango_chat::realtime::registration::Registration;
use mango_chat::realtime::transport::Transport;
use mango_chat::transport::http::frames::text_frame;
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// How much more a path may cost than noted.
const TOLERANCE: f64 = 1.05;

/// Members of the room that is delivered to.
const MEMBERS: usize = 100;

/// Messages that are sent together.
const GROUP: usize = 64;

/// The paths, and how often each runs to be measured.
const PATHS: [(&str, u32); 4] = [("encode", 2_000), ("dispatch", 200), ("room", 200), ("group", 10)];

/// The noted counts.
#[derive(Deserialize, Serialize)]
struct Noted {
    /// Why the counts last grew.
    note: String,
    /// Instructions of one run of each path.
    instructions: BTreeMap<String, u64>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["run", path, count] => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(run(path, count.parse()?))
        }
        ["--accept"] => accept(),
        [] => check(),
        _ => Err("usage: bench/instructions [--accept]".into()),
    }
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("instructions.json")
}

/// Counts the instructions of one run of each path.
fn count_all() -> Result<BTreeMap<String, u64>> {
    let mut counts = BTreeMap::new();
    for (path, runs) in PATHS {
        // The difference is what the runs cost without the start.
        let (without, with) = (count(path, 0)?, count(path, runs)?);
        counts.insert(path.to_owned(), with.saturating_sub(without) / u64::from(runs));
    }
    Ok(counts)
}

/// Counts the instructions of a process.
fn count(path: &str, runs: u32) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["run", path, &runs.to_string()])
        .output()
        .map_err(|error| {
            format!("valgrind: {error}; install it, for example with apt-get install valgrind")
        })?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{path}: {text}").into());
    }
    let counted = text.lines().find_map(|line| line.split_once("Collected : "));
    let (_, counted) = counted.ok_or_else(|| format!("callgrind gave no count: {text}"))?;
    Ok(counted.trim().parse()?)
}

fn check() -> Result<()> {
    let noted: Noted = serde_json::from_str(&std::fs::read_to_string(file())?)?;
    let mut has_grown = false;
    for (path, count) in count_all()? {
        let before = noted.instructions.get(&path).copied().unwrap_or_default();
        let ratio = count as f64 / before.max(1) as f64;
        let is_more = ratio > TOLERANCE;
        has_grown |= is_more;
        let verdict = if is_more { "MORE" } else { "ok" };
        println!(
            "{path:10} {count:>12} instructions, noted {before:>12}: {:+.1} % {verdict}",
            (ratio - 1.0) * 100.0
        );
    }
    if has_grown {
        return Err(
            "a hot path costs more than noted: make it cheaper, or run bench/instructions --accept and \
                    say why in bench/instructions.json"
                .into(),
        );
    }
    Ok(())
}

fn accept() -> Result<()> {
    let note = std::fs::read_to_string(file())
        .ok()
        .and_then(|text| serde_json::from_str::<Noted>(&text).ok())
        .map_or_else(String::new, |it| it.note);
    let noted = Noted { note, instructions: count_all()? };
    std::fs::write(file(), serde_json::to_string_pretty(&noted)? + "\n")?;
    println!("{}", serde_json::to_string(&noted.instructions)?);
    Ok(())
}

/// A temporary folder, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("mango-hotpaths-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Runs a path this many times.
async fn run(path: &str, runs: u32) -> Result<()> {
    if path == "encode" {
        return encode(runs);
    }
    let folder = Folder::new()?;
    let server = Server::open(&folder).await?;
    match path {
        "dispatch" => {
            for _ in 0..runs {
                server.command("history", r#"{"chat":{"id":1}}"#).await?;
            }
        }
        "group" => {
            for _ in 0..runs {
                let sends = (0..GROUP).map(|_| {
                    server.command(
                        "send_message",
                        r#"{"message":{"chat_id":1,"content":"lunch at the usual place?","message_type":"text"}}"#,
                    )
                });
                join_all(sends).await.into_iter().collect::<Result<Vec<_>>>()?;
            }
        }
        "room" => {
            let members = server.fill_room().await?;
            for _ in 0..runs {
                let event = r#"{"chat":{"id":1},"is_typing":true}"#;
                server.command("typing", event).await?;
                tokio::task::yield_now().await;
            }
            drop(members);
        }
        other => return Err(format!("there is no path {other}").into()),
    }
    Ok(())
}

/// Encodes an event for each dialect, and takes the frame of each a hundred times.
fn encode(runs: u32) -> Result<()> {
    let payload: Box<RawValue> = serde_json::from_str(
        r#"{"message":{"id":1,"chat_id":1,"content":"lunch at the usual place?","user":{"id":1,"name":"Alice"}}}"#,
    )?;
    let mut bytes = 0;
    for _ in 0..runs {
        let outgoing = Outgoing::new(EventName::new_message, &payload);
        for dialect in [Dialect::SocketIoRoot, Dialect::SocketIoWs, Dialect::Plain] {
            for _ in 0..MEMBERS {
                let frame = outgoing.frame(dialect, |event, payload| {
                    text_frame(&[b"42[\"", event.as_bytes(), b"\",", payload.as_bytes(), b"]"])
                });
                bytes += std::hint::black_box(frame).len();
            }
        }
    }
    std::hint::black_box(bytes);
    Ok(())
}

/// A send queue that only takes the frames.
struct Sink;

impl SendQueue for Sink {
    fn send(&self, outgoing: &Outgoing<'_>) -> bool {
        let frame = outgoing.frame(Dialect::SocketIoRoot, |event, payload| {
            text_frame(&[b"42[\"", event.as_bytes(), b"\",", payload.as_bytes(), b"]"])
        });
        std::hint::black_box(frame);
        true
    }

    fn abort(&self, _: &Transport) {}

    fn dismiss(&self, _: EventName) -> bool {
        true
    }

    fn shut_down(&self) {}
}

/// The server's layers below the transports, with the demo data.
struct Server {
    context: Arc<AppContext>,
    realtime: Arc<RealtimeState>,
}

impl Server {
    async fn open(folder: &Folder) -> Result<Self> {
        let data = folder.0.display().to_string();
        let url = format!("sqlite://{data}/mango.db");
        let settings = Settings::from_source(&|name| {
            let value = match name {
                "MANGO_ENV" => "test",
                "DATA_DIR" => &data,
                "DATABASE_URL" => &url,
                "PASSWORD_HASH" => "argon2id,m=64,t=1,p=1",
                "RATE_LIMIT" => "off",
                _ => return None,
            };
            Some(value.to_owned())
        })?;
        let settings = Arc::new(settings);
        let db = open_database(&settings).await?;
        let (bus, lanes) = Bus::new(1);
        let secret = "0".repeat(64);
        let context = AppContext::open(settings, Clock::system(), db, bus, &secret).await?;
        let publisher = Arc::new(Publisher::default());
        publisher.start(&context, lanes);
        demo::seed(&context).await?;
        let realtime = RealtimeState::new(context.clone(), publisher);
        Ok(Self { context, realtime })
    }

    /// Runs a command of the first demo user; fails unless it succeeds.
    async fn command(&self, event: &str, payload: &str) -> Result<()> {
        let actor = Actor { user_id: UserId(1), session_id: SessionId(1) };
        let (answer, answered) = oneshot::channel();
        let respond = Respond::new(move |result| drop(answer.send(result)));
        dispatch(&self.context, Caller::without_socket(actor), event, payload, respond).await;
        let reply: Value = serde_json::from_str(answered.await??.get())?;
        if reply["ok"] == true { Ok(()) } else { Err(format!("{event}: {reply}").into()) }
    }

    /// Connects the second demo user many times.
    async fn fill_room(&self) -> Result<Vec<Registration>> {
        let tx = self.context.db.begin().await?;
        let session = format!(
            "INSERT INTO sessions (id, user_id, created_at, last_used_at, expires_at) VALUES (1, 2, 0, 0, {})",
            i64::MAX
        );
        tx.conn().execute_unprepared(&session).await?;
        tx.commit_silently().await?;
        let actor = Actor { user_id: UserId(2), session_id: SessionId(1) };
        let mut members = Vec::with_capacity(MEMBERS);
        for _ in 0..MEMBERS {
            let permits = self.context.rates.admit(actor.user_id, None).await?;
            let transport = Arc::new(Transport::new(self.realtime.publisher.backlog_limit.clone()));
            let id = self.realtime.publisher.next_id();
            let connection = Arc::new(Connection::new(id, actor, None, i64::MAX, transport, permits));
            connection.open_queue(Box::new(Sink));
            members.push(Registration::new(&self.realtime, connection).await?);
        }
        Ok(members)
    }
}

//! `idle`: many websockets that do nothing, and how much of the server's memory each uses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::Result;
use crate::client::Client;
use crate::people::{self, Person};
use crate::process::Process;
use crate::report::Report;

/// How long the server's memory may settle before it is measured.
const SETTLE: Duration = Duration::from_secs(2);

/// Users in each group chat, which is also the number of chats of each user.
const CHAT_SIZE: usize = 4;

/// Options of `idle`.
#[derive(Args)]
pub struct Options {
    /// URL of the server.
    #[arg(long, default_value = "http://127.0.0.1:5000")]
    url: String,
    /// Websockets to open. The server and this program each need as many file descriptors (`ulimit -n`).
    #[arg(long, default_value_t = 2_000)]
    sockets: usize,
    /// Users that share them.
    #[arg(long, default_value_t = 20)]
    users: usize,
    /// Seconds to hold them; if longer than the ping interval (25 s), every socket answers a ping meanwhile.
    #[arg(long, default_value_t = 5)]
    hold: u64,
    /// Process id of the server.
    #[arg(long)]
    pid: u32,
    /// A name for this run in the output.
    #[arg(long)]
    label: Option<String>,
}

/// Runs the bench; returns whether every socket stayed connected to the end.
pub async fn run(options: Options) -> Result<bool> {
    let users = options.users.clamp(CHAT_SIZE, options.sockets.max(CHAT_SIZE));
    let server = Process::new(options.pid);
    let fresh = server.rss_kib()?;
    let people = people::register(&options.url, users).await?;
    open_chats(&options.url, &people).await?;
    sleep(SETTLE).await;
    let before = server.rss_kib()?;

    let sharing: Vec<Person> = people.iter().cycle().take(options.sockets).cloned().collect();
    let began = tokio::time::Instant::now();
    let clients = people::connect(&options.url, &sharing).await?;
    let connecting = began.elapsed().as_secs_f64();
    let (lost, leaving, leave) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
    let holding: Vec<_> = clients
        .into_iter()
        .map(|client| tokio::spawn(hold(client, lost.clone(), leaving.clone(), leave.clone())))
        .collect();
    sleep(SETTLE).await;
    let with_all = server.rss_kib()?;
    sleep(Duration::from_secs(options.hold)).await;
    let held = server.rss_kib()?;
    leaving.store(true, Ordering::Release);
    leave.notify_waiters();
    for task in holding {
        task.await?;
    }
    sleep(SETTLE).await;
    let after = server.rss_kib()?;

    let mut report = Report::new("idle", options.label.as_deref());
    let mb = |kib: u64| kib as f64 / 1_024.0;
    report.number("sockets", options.sockets as f64, &format!("idle websockets of {users} users"));
    report.number("fresh_rss_mb", mb(fresh), "MB of memory (RSS) of the server as found");
    report.number("before_rss_mb", mb(before), "MB before connecting, users and chats made");
    report.number("open_rss_mb", mb(with_all), "MB with all sockets open");
    report.number("held_rss_mb", mb(held), "MB at the end of the hold");
    report.number("after_rss_mb", mb(after), "MB after all were closed");
    let per_socket = (with_all as f64 - before as f64) / options.sockets.max(1) as f64;
    report.number("kb_per_socket", per_socket, "KB per socket: open less before, by their number");
    report.number(
        "connects_per_s",
        options.sockets as f64 / connecting,
        "sockets connected (up to ready) per second",
    );
    let lost = lost.load(Ordering::Acquire);
    report.number("lost", lost as f64, "should be 0: sockets that ended while held");
    Ok(report.finish(lost == 0))
}

/// Puts each user into `CHAT_SIZE` group chats with the users that follow.
async fn open_chats(url: &str, people: &[Person]) -> Result<()> {
    for (index, person) in people.iter().enumerate() {
        let members: Vec<i64> = (0..CHAT_SIZE).map(|step| people[(index + step) % people.len()].id).collect();
        let mut client = Client::connect(url, &person.token).await?;
        let wish =
            json!({"chat": {"name": format!("idle {index}"), "is_group": true, "members_array": members}});
        client.call("create_chat", &wish).await?;
        client.close().await;
    }
    Ok(())
}

/// Answers pings until the bench ends.
async fn hold(mut client: Client, lost: Arc<AtomicUsize>, leaving: Arc<AtomicBool>, leave: Arc<Notify>) {
    let time_to_go = leave.notified();
    tokio::pin!(time_to_go);
    time_to_go.as_mut().enable();
    while !leaving.load(Ordering::Acquire) {
        tokio::select! {
            () = &mut time_to_go => break,
            packet = client.next() => if let Err(error) = packet {
                if lost.fetch_add(1, Ordering::AcqRel) < 5 {
                    eprintln!("mango-bench: {error}");
                }
                return;
            },
        }
    }
    client.close().await;
}

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
use crate::process::Process;
use crate::report::Report;
use crate::users::{self, User};

/// How long to wait before each memory measurement, so that the server has finished its work.
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
    let user_count = options.users.clamp(CHAT_SIZE, options.sockets.max(CHAT_SIZE));
    let server = Process::new(options.pid);
    let fresh = server.rss_kib()?;
    let users = users::register(&options.url, user_count).await?;
    open_chats(&options.url, &users).await?;
    sleep(SETTLE).await;
    let before = server.rss_kib()?;

    let socket_users: Vec<User> = users.iter().cycle().take(options.sockets).cloned().collect();
    let began = tokio::time::Instant::now();
    let clients = users::connect(&options.url, &socket_users).await?;
    let connecting = began.elapsed().as_secs_f64();
    let (lost, done, wake) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|client| tokio::spawn(hold(client, lost.clone(), done.clone(), wake.clone())))
        .collect();
    sleep(SETTLE).await;
    let open = server.rss_kib()?;
    sleep(Duration::from_secs(options.hold)).await;
    let held = server.rss_kib()?;
    done.store(true, Ordering::Release);
    wake.notify_waiters();
    for task in tasks {
        task.await?;
    }
    sleep(SETTLE).await;
    let after = server.rss_kib()?;

    let mut report = Report::new("idle", options.label.as_deref());
    let mb = |kib: u64| kib as f64 / 1_024.0;
    report.number("sockets", options.sockets as f64, &format!("idle websockets of {user_count} users"));
    report.number("fresh_rss_mb", mb(fresh), "MB of memory (RSS) of the server before the run");
    report.number("before_rss_mb", mb(before), "MB before connecting, with users and chats created");
    report.number("open_rss_mb", mb(open), "MB with all sockets open");
    report.number("held_rss_mb", mb(held), "MB at the end of the hold");
    report.number("after_rss_mb", mb(after), "MB after all sockets were closed");
    let per_socket = (open as f64 - before as f64) / options.sockets.max(1) as f64;
    report.number("kb_per_socket", per_socket, "KB per socket: (open - before) / sockets");
    report.number(
        "connects_per_s",
        options.sockets as f64 / connecting,
        "sockets connected (until ready) per second",
    );
    let lost = lost.load(Ordering::Acquire);
    report.number("lost", lost as f64, "should be 0: sockets that disconnected during the hold");
    Ok(report.finish(lost == 0))
}

/// Creates one group chat per user, with the next users as members, so that each user is in `CHAT_SIZE` chats.
async fn open_chats(url: &str, users: &[User]) -> Result<()> {
    for (index, user) in users.iter().enumerate() {
        let members: Vec<i64> = (0..CHAT_SIZE).map(|step| users[(index + step) % users.len()].id).collect();
        let mut client = Client::connect(url, &user.token).await?;
        let request =
            json!({"chat": {"name": format!("idle {index}"), "is_group": true, "members_array": members}});
        client.call("create_chat", &request).await?;
        client.close().await;
    }
    Ok(())
}

/// Answers pings until the bench ends.
async fn hold(mut client: Client, lost: Arc<AtomicUsize>, done: Arc<AtomicBool>, wake: Arc<Notify>) {
    let woken = wake.notified();
    tokio::pin!(woken);
    woken.as_mut().enable();
    while !done.load(Ordering::Acquire) {
        tokio::select! {
            () = &mut woken => break,
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

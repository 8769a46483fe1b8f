//! `reconnect`: many clients that reconnect at once, each some messages behind; measures how long it takes until all
//! have caught up with `sync`.

use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::Result;
use crate::client::Client;
use crate::process::Process;
use crate::report::Report;
use crate::users::{self, User};

/// Options of `reconnect`.
#[derive(Args)]
pub struct Options {
    /// URL of the server.
    #[arg(long, default_value = "http://127.0.0.1:5000")]
    url: String,
    /// Clients that reconnect. The server and this program each need as many file descriptors (`ulimit -n`).
    #[arg(long, default_value_t = 5_000)]
    clients: usize,
    /// Users that share them.
    #[arg(long, default_value_t = 100)]
    users: usize,
    /// Messages that each client is behind.
    #[arg(long, default_value_t = 20)]
    behind: usize,
    /// Clients that connect at the same time.
    #[arg(long, default_value_t = 64)]
    at_once: usize,
    /// Process id of the server, for its CPU time.
    #[arg(long)]
    pid: Option<u32>,
    /// A name for this run in the output.
    #[arg(long)]
    label: Option<String>,
}

/// Runs the bench; returns whether every client received exactly what it had missed.
pub async fn run(options: Options) -> Result<bool> {
    let users = users::register(&options.url, options.users.max(2)).await?;
    let mut since = Vec::with_capacity(users.len());
    // Two users each share a group with messages that they have seen and messages that they have missed.
    for pair in users.chunks(2) {
        let mut client = Client::connect(&options.url, &pair[0].token).await?;
        let members: Vec<i64> = pair.iter().map(|user| user.id).collect();
        let request = json!({"chat": {"name": "away", "is_group": true, "members_array": members}});
        let reply = client.call("create_chat", &request).await?;
        let chat = reply["chat"]["id"].as_i64().unwrap_or_default();
        let seen = send_messages(&mut client, chat, 5).await?;
        send_messages(&mut client, chat, options.behind).await?;
        client.close().await;
        since.extend(pair.iter().map(|_| (chat, seen)));
    }
    let reconnecting: Vec<(User, i64, i64)> = users
        .iter()
        .zip(since)
        .cycle()
        .take(options.clients)
        .map(|(user, (chat, seen))| (user.clone(), chat, seen))
        .collect();
    let server = options.pid.map(Process::new);
    let cpu_before = server.as_ref().map(Process::cpu_seconds).transpose()?;
    let permits = Arc::new(Semaphore::new(options.at_once.max(1)));
    let began = Instant::now();
    let tasks = reconnecting.into_iter().map(|(user, chat, seen)| {
        let (url, permits, behind) = (options.url.clone(), permits.clone(), options.behind);
        tokio::spawn(async move {
            let _permit = permits.acquire().await.map_err(|error| error.to_string())?;
            reconnect(&url, &user, chat, seen, behind).await.map_err(|error| error.to_string())
        })
    });
    let mut micros = Vec::with_capacity(options.clients);
    let mut wrong = 0;
    let mut clients = Vec::with_capacity(options.clients);
    for result in join_all(tasks).await {
        match result? {
            Ok((client, duration)) => {
                micros.push(duration);
                clients.push(client);
            }
            Err(error) => {
                if wrong < 5 {
                    eprintln!("mango-bench: {error}");
                }
                wrong += 1;
            }
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let mut report = Report::new("reconnect", options.label.as_deref());
    let meaning = format!("clients that reconnected, each {} messages behind", options.behind);
    report.number("clients", options.clients as f64, &meaning);
    report.number("seconds", seconds, "from the first connection until all clients had caught up");
    report.number("clients_per_s", options.clients as f64 / seconds, "clients brought up to date per second");
    report.latency("catching_up", micros, "of one client: connect, ready, sync");
    if let (Some(server), Some(before)) = (server, cpu_before) {
        report.number("server_cpu_s", server.cpu_seconds()? - before, "CPU seconds of the server");
    }
    report.number(
        "wrong",
        f64::from(wrong),
        "should be 0: clients that did not receive exactly the messages they had missed",
    );
    for client in clients {
        client.close().await;
    }
    Ok(report.finish(wrong == 0))
}

/// Sends `count` messages; returns the `seq` of the last.
async fn send_messages(client: &mut Client, chat: i64, count: usize) -> Result<i64> {
    let mut last = 1;
    for number in 0..count {
        let content = format!("message {number}, about as long as a usual chat message");
        let request = json!({"message": {"chat_id": chat, "content": content, "message_type": "text"}});
        last = client.call("send_message", &request).await?["rev"].as_i64().unwrap_or_default();
    }
    Ok(last)
}

/// Connects and syncs; returns the connection and the duration in microseconds.
async fn reconnect(url: &str, user: &User, chat: i64, seen: i64, behind: usize) -> Result<(Client, u32)> {
    let began = Instant::now();
    let mut client = Client::connect(url, &user.token).await?;
    let mut since = json!({chat.to_string(): seen});
    let mut received = 0;
    loop {
        let reply: Value = client.call("sync", &json!({"since": since})).await?;
        received += reply["messages"].as_array().map_or(0, Vec::len);
        since = reply["revs"].clone();
        if reply["has_more"] != json!(true) {
            break;
        }
    }
    if received != behind {
        return Err(format!("user {} received {received} messages instead of {behind}", user.id).into());
    }
    let duration = u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX);
    Ok((client, duration))
}

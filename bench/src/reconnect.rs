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
use crate::people::{self, Person};
use crate::process::Process;
use crate::report::Report;

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
    let people = people::register(&options.url, options.users.max(2)).await?;
    let mut since = Vec::with_capacity(people.len());
    // Pairs: each user shares a group with the next. It has messages from before and after the clients disconnected.
    for pair in people.chunks(2) {
        let mut client = Client::connect(&options.url, &pair[0].token).await?;
        let members: Vec<i64> = pair.iter().map(|person| person.id).collect();
        let wish = json!({"chat": {"name": "away", "is_group": true, "members_array": members}});
        let made = client.call("create_chat", &wish).await?;
        let chat = made["chat"]["id"].as_i64().unwrap_or_default();
        let seen = say(&mut client, chat, 5).await?;
        say(&mut client, chat, options.behind).await?;
        client.close().await;
        since.extend(pair.iter().map(|_| (chat, seen)));
    }
    let crowd: Vec<(Person, i64, i64)> = people
        .iter()
        .zip(since)
        .cycle()
        .take(options.clients)
        .map(|(person, (chat, seen))| (person.clone(), chat, seen))
        .collect();
    let server = options.pid.map(Process::new);
    let cpu_before = server.as_ref().map(Process::cpu_seconds).transpose()?;
    let transport = Arc::new(Semaphore::new(options.at_once.max(1)));
    let began = Instant::now();
    let coming = crowd.into_iter().map(|(person, chat, seen)| {
        let (url, transport, behind) = (options.url.clone(), transport.clone(), options.behind);
        tokio::spawn(async move {
            let _turn = transport.acquire().await.map_err(|error| error.to_string())?;
            come_back(&url, &person, chat, seen, behind).await.map_err(|error| error.to_string())
        })
    });
    let mut micros = Vec::with_capacity(options.clients);
    let mut wrong = 0;
    let mut clients = Vec::with_capacity(options.clients);
    for came in join_all(coming).await {
        match came? {
            Ok((client, took)) => {
                micros.push(took);
                clients.push(client);
            }
            Err(problem) => {
                if wrong < 5 {
                    eprintln!("mango-bench: {problem}");
                }
                wrong += 1;
            }
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let mut report = Report::new("reconnect", options.label.as_deref());
    let meaning = format!("clients that came back, each {} messages behind", options.behind);
    report.number("clients", options.clients as f64, &meaning);
    report.number("seconds", seconds, "from the first to connect until all had caught up");
    report.number("clients_per_s", options.clients as f64 / seconds, "clients brought up to date per second");
    report.latency("catching_up", micros, "of one client: connect, ready, sync");
    if let (Some(server), Some(before)) = (server, cpu_before) {
        report.number("server_cpu_s", server.cpu_seconds()? - before, "CPU seconds of the server");
    }
    report.number(
        "wrong",
        f64::from(wrong),
        "should be 0: clients that did not get exactly what they missed",
    );
    for client in clients {
        client.close().await;
    }
    Ok(report.finish(wrong == 0))
}

/// Sends `count` messages; returns the `seq` of the last.
async fn say(client: &mut Client, chat: i64, count: usize) -> Result<i64> {
    let mut last = 1;
    for number in 0..count {
        let content = format!("message {number}, about as long as people write in a chat");
        let wish = json!({"message": {"chat_id": chat, "content": content, "message_type": "text"}});
        last = client.call("send_message", &wish).await?["rev"].as_i64().unwrap_or_default();
    }
    Ok(last)
}

/// Connects and syncs; returns the connection, and the duration in microseconds.
async fn come_back(url: &str, person: &Person, chat: i64, seen: i64, behind: usize) -> Result<(Client, u32)> {
    let began = Instant::now();
    let mut client = Client::connect(url, &person.token).await?;
    let mut since = json!({chat.to_string(): seen});
    let mut got = 0;
    loop {
        let reply: Value = client.call("sync", &json!({"since": since})).await?;
        got += reply["messages"].as_array().map_or(0, Vec::len);
        since = reply["revs"].clone();
        if reply["has_more"] != json!(true) {
            break;
        }
    }
    if got != behind {
        return Err(format!("user {} got {got} messages, missed {behind}", person.id).into());
    }
    let took = u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX);
    Ok((client, took))
}

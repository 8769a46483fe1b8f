//! `reads`: members who move their read marks again and again, as after every message of a busy chat.

use std::time::{Duration, Instant};

use clap::Args;
use futures_util::future::try_join_all;
use serde_json::json;

use crate::Result;
use crate::client::{Client, Packet};
use crate::process::Process;
use crate::report::Report;
use crate::users;

/// Messages of each chat. Every mark moves by one message, so no member can move more often than this.
const MESSAGES: usize = 2_000;

/// Options of `reads`.
#[derive(Args)]
pub struct Options {
    /// URL of the server.
    #[arg(long, default_value = "http://127.0.0.1:5000")]
    url: String,
    /// Users, each on one socket with one `mark_read` in flight.
    #[arg(long, default_value_t = 100)]
    readers: usize,
    /// Members of each chat.
    #[arg(long, default_value_t = 10)]
    members: usize,
    /// Measured seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Process id of the server, for its CPU time.
    #[arg(long)]
    pid: Option<u32>,
    /// A name for this run in the output.
    #[arg(long)]
    label: Option<String>,
}

/// Runs the bench; returns whether every mark moved to where its acknowledgement said.
pub async fn run(options: Options) -> Result<bool> {
    let users = users::register(&options.url, options.readers.max(1)).await?;
    let mut readers = Vec::with_capacity(users.len());
    for members in users.chunks(options.members.max(1)) {
        let mut owner = Client::connect(&options.url, &members[0].token).await?;
        let ids: Vec<i64> = members.iter().map(|user| user.id).collect();
        let request = json!({"chat": {"name": "read", "is_group": true, "members_array": ids}});
        let chat = owner.call("create_chat", &request).await?["chat"]["id"].as_i64().unwrap_or_default();
        send_messages(&mut owner, chat).await?;
        owner.close().await;
        for user in members {
            readers.push((Client::connect(&options.url, &user.token).await?, chat));
        }
    }
    let server = options.pid.map(Process::new);
    let before = server.as_ref().map(Process::cpu_seconds).transpose()?;
    let began = Instant::now();
    let until = began + Duration::from_secs(options.seconds.max(1));
    let reading = readers
        .into_iter()
        .map(|(client, chat)| async move { tokio::spawn(read(client, chat, until)).await? });
    let mut micros = Vec::new();
    let mut wrong = 0;
    for (durations, failures) in try_join_all(reading).await? {
        micros.extend(durations);
        wrong += failures;
    }
    let seconds = began.elapsed().as_secs_f64();
    let mut report = Report::new("reads", options.label.as_deref());
    report.number("readers", options.readers as f64, "users, each with one mark_read in flight");
    report.number("reads_per_s", micros.len() as f64 / seconds, "read marks moved per second");
    report.latency("read", micros, "from mark_read to ack");
    if let (Some(server), Some(before)) = (server, before) {
        report.number("server_cpu_s", server.cpu_seconds()? - before, "CPU seconds of the server");
    }
    report.number("wrong", f64::from(wrong), "should be 0: marks that did not move as acknowledged");
    Ok(report.finish(wrong == 0))
}

/// Fills a chat.
async fn send_messages(owner: &mut Client, chat: i64) -> Result<()> {
    let request =
        json!({"message": {"chat_id": chat, "content": "to be read", "message_type": "text"}}).to_string();
    for _ in 0..MESSAGES / 100 {
        for _ in 0..100 {
            owner.emit("send_message", &request).await?;
        }
        owner.flush().await?;
        let mut answered = 0;
        while answered < 100 {
            answered += usize::from(matches!(owner.next().await?, Packet::Ack(..)));
        }
    }
    Ok(())
}

/// Moves the mark by one message at a time. Returns the durations in microseconds and the number of wrong acks.
async fn read(mut client: Client, chat: i64, until: Instant) -> Result<(Vec<u32>, u32)> {
    let (mut micros, mut wrong) = (Vec::new(), 0);
    for seq in 2..=MESSAGES {
        let began = Instant::now();
        if began > until {
            break;
        }
        let sent = client.emit("mark_read", &json!({"chat": {"id": chat}, "seq": seq}).to_string()).await?;
        client.flush().await?;
        loop {
            if let Packet::Ack(id, body) = client.next().await?
                && id == sent
            {
                let is_right =
                    body.json().contains("\"ok\":true") && body.json().contains(&format!("\"seq\":{seq}}}"));
                wrong += u32::from(!is_right);
                break;
            }
        }
        micros.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    Ok((micros, wrong))
}

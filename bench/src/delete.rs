//! `delete`: deletes groups of several sizes while another user sends in another chat; measures how long each deletion
//! takes, and how long those sends wait meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use tokio::time::sleep;

use crate::Result;
use crate::client::Client;
use crate::report::Report;
use crate::users;

/// Options of `delete`.
#[derive(Args)]
pub struct Options {
    /// URL of the server.
    #[arg(long, default_value = "http://127.0.0.1:5000")]
    url: String,
    /// Members of each group, from the smallest to the largest.
    #[arg(long, value_delimiter = ',', default_values_t = [10, 100, 1_000, 10_000])]
    sizes: Vec<usize>,
    /// A name for this run in the output.
    #[arg(long)]
    label: Option<String>,
}

/// Runs the bench; returns whether every event was acknowledged with `ok`.
pub async fn run(options: Options) -> Result<bool> {
    let users = users::register(&options.url, 2).await?;
    let largest = options.sizes.iter().copied().max().unwrap_or(1);
    let members = users::register_without_login(&options.url, largest.saturating_sub(1)).await?;
    let mut owner = Client::connect(&options.url, &users[0].token).await?;
    let mut sender = Client::connect(&options.url, &users[1].token).await?;
    let other = group(&mut sender, &[]).await?;
    let mut report = Report::new("delete", options.label.as_deref());
    for size in options.sizes {
        let chat = group(&mut owner, &members[..size.saturating_sub(1).min(members.len())]).await?;
        let stop = Arc::new(AtomicBool::new(false));
        let sending = tokio::spawn(send_until(sender, other, stop.clone()));
        sleep(Duration::from_millis(100)).await;
        let began = Instant::now();
        owner.call("delete_chat", &json!({"chat": {"id": chat}})).await?;
        let elapsed = began.elapsed();
        sleep(Duration::from_millis(100)).await;
        stop.store(true, Ordering::Relaxed);
        let longest;
        (sender, longest) = sending.await??;
        let key = format!("delete_{size}_ms");
        report.number(&key, milliseconds(elapsed), &format!("to delete a group of {size}"));
        let key = format!("longest_send_{size}_ms");
        report.number(
            &key,
            milliseconds(longest),
            "longest wait for the ack of a send in another chat meanwhile",
        );
    }
    owner.close().await;
    sender.close().await;
    Ok(report.finish(true))
}

async fn group(owner: &mut Client, members: &[i64]) -> Result<i64> {
    let request = json!({"chat": {"name": "bench", "is_group": true, "members_array": members}});
    let reply = owner.call("create_chat", &request).await?;
    reply["chat"]["id"].as_i64().ok_or_else(|| "create_chat returned no id".into())
}

/// Sends messages one at a time until `stop` is set; returns the longest wait for an ack.
async fn send_until(mut sender: Client, chat: i64, stop: Arc<AtomicBool>) -> Result<(Client, Duration)> {
    let mut longest = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let request = json!({"message": {"chat_id": chat, "content": "meanwhile", "message_type": "text"}});
        let began = Instant::now();
        sender.call("send_message", &request).await?;
        longest = longest.max(began.elapsed());
    }
    Ok((sender, longest))
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

//! `search`: fills chats with messages, then searches them for frequent and for rare words.

use std::time::Instant;

use clap::Args;
use futures_util::future::try_join_all;
use serde_json::{Value, json};

use crate::client::{Client, Packet};
use crate::report::Report;
use crate::users::{self, User};
use crate::words::{Words, word};
use crate::{Error, Result};

/// Sends in flight while the chats are filled.
const IN_FLIGHT: usize = 200;

/// Options of `search`.
#[derive(Args)]
pub struct Options {
    /// URL of the server.
    #[arg(long, default_value = "http://127.0.0.1:5000")]
    url: String,
    /// Messages in all.
    #[arg(long, default_value_t = 1_000_000)]
    messages: usize,
    /// Chats, of the same size.
    #[arg(long, default_value_t = 50)]
    chats: usize,
    /// Searches of each kind.
    #[arg(long, default_value_t = 200)]
    searches: u64,
    /// Bytes of each message.
    #[arg(long, default_value_t = 100)]
    bytes: usize,
    /// A name for this run in the output.
    #[arg(long)]
    label: Option<String>,
}

/// Runs the bench; returns whether every search was answered.
pub async fn run(options: Options) -> Result<bool> {
    let chats = options.chats.max(1);
    let users = users::register(&options.url, chats + 2).await?;
    let (owners, searchers) = users.split_at(chats);
    let [everywhere, newcomer] = searchers else { return Err(Error::from("users are missing")) };
    let began = Instant::now();
    let filling = owners.iter().enumerate().map(|(number, owner)| {
        let members = if number == 0 { vec![everywhere.id, newcomer.id] } else { vec![everywhere.id] };
        let (url, token) = (options.url.clone(), owner.token.clone());
        let (messages, bytes) = (options.messages / chats, options.bytes);
        async move { tokio::spawn(fill(url, token, members, messages, bytes, number as u64)).await? }
    });
    let chats: Vec<i64> = try_join_all(filling).await?;
    let seconds = began.elapsed().as_secs_f64();
    let mut report = Report::new("search", options.label.as_deref());
    report.number("messages", options.messages as f64, "messages in all chats");
    report.number("sends_per_s", options.messages as f64 / seconds, "while the chats were filled");
    let http = reqwest::Client::new();
    let frequent = |n: u64| named(n % 3);
    let rare = |n: u64| named(10_000 + n * 37);
    let both = |n: u64| format!("{}+{}", named(n % 20), named(20 + n % 50));
    let mut failed = 0;
    for (name, user, path, query) in [
        ("rare", everywhere, "/search?q=", &rare as &dyn Fn(u64) -> String),
        ("frequent", everywhere, "/search?q=", &frequent),
        ("two_words", everywhere, "/search?q=", &both),
        ("by_date", everywhere, "/search?sort=date&q=", &frequent),
        ("beginning", everywhere, "/search?prefix=true&q=", &rare),
        ("in_chat", everywhere, &format!("/chat/{}/search?q=", chats[0]), &frequent),
        ("of_one_chat", newcomer, "/search?q=", &frequent),
    ] {
        let mut micros = Vec::new();
        for n in 0..options.searches {
            let began = Instant::now();
            let is_answered = search(&http, &options.url, user, path, &query(n)).await?;
            micros.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
            failed += u32::from(!is_answered);
        }
        report.latency(name, micros, "from request to the first 20 results");
    }
    report.number("failed", f64::from(failed), "should be 0: searches that were not answered");
    Ok(report.finish(failed == 0))
}

fn named(rank: u64) -> String {
    let mut text = String::new();
    word(rank, &mut text);
    text
}

async fn search(http: &reqwest::Client, url: &str, user: &User, path: &str, query: &str) -> Result<bool> {
    let request = http.get(format!("{url}{path}{query}")).bearer_auth(&user.token);
    let response = request.send().await?;
    let is_right = response.status().is_success();
    let found: Value = response.json().await?;
    Ok(is_right && found.is_array())
}

/// Creates a chat and fills it. Returns its id.
async fn fill(
    url: String,
    token: String,
    members: Vec<i64>,
    messages: usize,
    bytes: usize,
    seed: u64,
) -> Result<i64> {
    let mut owner = Client::connect(&url, &token).await?;
    let request = json!({"chat": {"name": "search", "is_group": true, "members_array": members}});
    let chat = owner.call("create_chat", &request).await?["chat"]["id"].as_i64().unwrap_or_default();
    let mut words = Words::new(seed);
    let (mut sent, mut answered) = (0, 0);
    while answered < messages {
        while sent < messages && sent - answered < IN_FLIGHT {
            let text = words.text(bytes);
            let message = json!({"chat_id": chat, "content": text, "message_type": "text"});
            owner.emit("send_message", &json!({ "message": message }).to_string()).await?;
            sent += 1;
        }
        owner.flush().await?;
        answered += usize::from(matches!(owner.next().await?, Packet::Ack(..)));
    }
    owner.close().await;
    Ok(chat)
}

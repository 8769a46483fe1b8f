//! `sends`: many senders in many group chats, each with a number of sends in flight.

use clap::Args;

use crate::Result;
use crate::report::Report;
use crate::room::{self, Plan};

/// Options of `sends`.
#[derive(Args)]
pub struct Options {
    /// URL of the server.
    #[arg(long, default_value = "http://127.0.0.1:5000")]
    url: String,
    /// Users who send, each on one socket and in one chat.
    #[arg(long, default_value_t = 100)]
    senders: usize,
    /// Group chats that the senders are spread over.
    #[arg(long, default_value_t = 50)]
    chats: usize,
    /// Further members of each chat, who only listen.
    #[arg(long, default_value_t = 0)]
    listeners: usize,
    /// Sends that each sender keeps in flight.
    #[arg(long, default_value_t = 1)]
    window: usize,
    /// Measured seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seconds before measuring begins.
    #[arg(long, default_value_t = 1)]
    warmup: u64,
    /// Bytes of padding in each content.
    #[arg(long, default_value_t = 64)]
    padding: usize,
    /// Gives every message a `client_id`, as clients that retry do.
    #[arg(long)]
    client_ids: bool,
    /// Process id of the server, for its CPU seconds and memory.
    #[arg(long)]
    pid: Option<u32>,
    /// A name for this run in the output.
    #[arg(long)]
    label: Option<String>,
}

/// Runs the bench; returns whether the promise was kept.
pub async fn run(options: Options) -> Result<bool> {
    let Options { url, senders, chats, listeners, window, padding, client_ids, pid, .. } = options;
    if chats == 0 || senders < chats || window == 0 {
        return Err("sends needs at least one chat, one sender per chat, and one send in flight".into());
    }
    let seconds = (options.warmup, options.seconds.max(1));
    let plan = Plan { url, chats, senders, listeners, window, seconds, padding, client_ids, pid };
    let mut totals = room::run(&plan).await?;
    let mut report = Report::new("sends", options.label.as_deref());
    report.number("senders", plan.senders as f64, "users sending, each on one socket");
    report.number("chats", plan.chats as f64, "group chats");
    report.number("window", plan.window as f64, "sends in flight per sender");
    let rate = |count: usize| count as f64 / plan.seconds.1 as f64;
    report.number("sends_per_s", rate(totals.ack_micros.len()), "sends persisted and acked per second");
    report.number(
        "deliveries_per_s",
        rate(totals.delivery_micros.len()),
        "new_message events received per second",
    );
    report.latency("ack", std::mem::take(&mut totals.ack_micros), "from send to ack");
    report.latency(
        "delivery",
        std::mem::take(&mut totals.delivery_micros),
        "from send to receipt by a member",
    );
    let kept = totals.add_to(&mut report);
    Ok(report.finish(kept))
}

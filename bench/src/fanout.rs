//! `fanout`: one sender in one big group; all other members listen.

use clap::Args;

use crate::Result;
use crate::report::Report;
use crate::room::{self, Plan};

/// Options of `fanout`.
#[derive(Args)]
pub struct Options {
    /// URL of the server.
    #[arg(long, default_value = "http://127.0.0.1:5000")]
    url: String,
    /// Members that listen, each on one socket.
    #[arg(long, default_value_t = 200)]
    members: usize,
    /// Sends that the one sender keeps in flight.
    #[arg(long, default_value_t = 8)]
    window: usize,
    /// Measured seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Process id of the server, for its CPU seconds and memory.
    #[arg(long)]
    pid: Option<u32>,
    /// A name for this run in the output.
    #[arg(long)]
    label: Option<String>,
}

/// Runs the bench; returns whether the promise was kept.
pub async fn run(options: Options) -> Result<bool> {
    let plan = Plan {
        url: options.url,
        chats: 1,
        senders: 1,
        listeners: options.members,
        window: options.window.max(1),
        seconds: (1, options.seconds.max(1)),
        padding: 64,
        client_ids: false,
        pid: options.pid,
    };
    let mut totals = room::run(&plan).await?;
    let mut report = Report::new("fanout", options.label.as_deref());
    let rate = |count: usize| count as f64 / plan.seconds.1 as f64;
    report.number("members", plan.listeners as f64, "members listening, each on one socket");
    report.number("window", plan.window as f64, "sends in flight of the one sender");
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

//! Puts load on chats: creates them, runs their members for a while, and collects the results. `sends` and `fanout` use
//! it with different plans.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep_until};

use crate::client::Client;
use crate::member::{self, Chat, Observed, Span, Task};
use crate::process::Process;
use crate::report::Report;
use crate::users::{self, User};
use crate::words::Words;
use crate::{Error, Result};

/// The time limit for the last acks and events after the last send.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The load of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// URL of the server, `http://host:port`.
    pub url: String,
    /// Group chats.
    pub chats: usize,
    /// Senders, spread over the chats.
    pub senders: usize,
    /// Members of each chat that only listen.
    pub listeners: usize,
    /// Sends that each sender keeps in flight.
    pub window: usize,
    /// Seconds before measuring begins, and measured seconds.
    pub seconds: (u64, u64),
    /// Bytes of padding in each content.
    pub padding: usize,
    /// Whether every message carries a `client_id`.
    pub client_ids: bool,
    /// The server's process, if it is on this machine.
    pub pid: Option<u32>,
}

/// The results of all members.
#[derive(Debug, Default)]
pub struct Totals {
    /// From send to ack, of all senders.
    pub ack_micros: Vec<u32>,
    /// From send to receipt, of all members.
    pub delivery_micros: Vec<u32>,
    acked: u64,
    rejected: u64,
    unanswered: u64,
    missing: u64,
    duplicates: u64,
    out_of_order: u64,
    broken: u64,
    unstored: u64,
    server_cpu: Option<f64>,
    own_cpu: f64,
    server_rss_kib: Option<u64>,
}

/// Runs the plan.
pub async fn run(plan: &Plan) -> Result<Totals> {
    let count = plan.senders + plan.chats * plan.listeners;
    let users = users::register(&plan.url, count).await?;
    let mut clients: Vec<Option<Client>> =
        users::connect(&plan.url, &users).await?.into_iter().map(Some).collect();
    let chats = open_chats(plan, &users, &mut clients).await?;

    let start = Instant::now() + Duration::from_millis(200);
    let from = start + Duration::from_secs(plan.seconds.0);
    let until = from + Duration::from_secs(plan.seconds.1);
    let span = Span { start, from, until, deadline: until + TIMEOUT };
    let mut words = Words::new(1);
    let padding: Arc<[String]> = (0..1_000).map(|_| words.text(plan.padding)).collect();
    let mut tasks = Vec::with_capacity(count);
    for (index, client) in clients.into_iter().flatten().enumerate() {
        let chat = chats[index % plan.chats].clone();
        let window = if index < plan.senders { plan.window } else { 0 };
        let task =
            Task { chat: chat.clone(), window, span, padding: padding.clone(), client_ids: plan.client_ids };
        tasks.push((chat, tokio::spawn(member::work(client, task))));
    }
    let mut totals = measure_cpu(plan, span).await?;
    for (chat, observed) in tasks {
        totals.add(observed.await?, chat.head.load(Ordering::Acquire));
    }
    let http = reqwest::Client::new();
    for (chat, owner) in chats.iter().zip(&users) {
        let stored = users::stored_last_seq(&http, &plan.url, owner, chat.id).await?;
        totals.unstored += stored.abs_diff(chat.head.load(Ordering::Acquire));
    }
    Ok(totals)
}

/// Creates the group chats: member `i` is in chat `i % chats`, whose first member owns it.
async fn open_chats(plan: &Plan, users: &[User], clients: &mut [Option<Client>]) -> Result<Vec<Arc<Chat>>> {
    let mut chats = Vec::with_capacity(plan.chats);
    for index in 0..plan.chats {
        let members: Vec<i64> = users.iter().skip(index).step_by(plan.chats).map(|user| user.id).collect();
        let request =
            json!({"chat": {"name": format!("bench {index}"), "is_group": true, "members_array": members}});
        let owner =
            clients.get_mut(index).and_then(Option::as_mut).ok_or("there are more chats than senders")?;
        let reply = owner.call("create_chat", &request).await?;
        let number =
            |key: &str| reply["chat"][key].as_i64().ok_or_else(|| format!("create_chat returned no {key}"));
        let (id, base) = (number("id")?, number("rev")?);
        let sending = (index..plan.senders).step_by(plan.chats).count();
        let (sending, head) = (AtomicUsize::new(sending), AtomicI64::new(base));
        chats.push(Arc::new(Chat { id, base, sending, head }));
    }
    Ok(chats)
}

/// Measures the CPU time of both processes between the start and the end of the measurement.
async fn measure_cpu(plan: &Plan, span: Span) -> Result<Totals> {
    let (server, own) = (plan.pid.map(Process::new), Process::own());
    let cpu = || Ok::<_, Error>((server.as_ref().map(Process::cpu_seconds).transpose()?, own.cpu_seconds()?));
    sleep_until(span.from).await;
    let before = cpu()?;
    sleep_until(span.until).await;
    let after = cpu()?;
    Ok(Totals {
        server_cpu: after.0.zip(before.0).map(|(after, before)| after - before),
        own_cpu: after.1 - before.1,
        server_rss_kib: server.as_ref().map(Process::rss_kib).transpose()?,
        ..Totals::default()
    })
}

impl Totals {
    fn add(&mut self, observed: Observed, head: i64) {
        if let Some(error_text) = observed.error_text.filter(|_| self.broken + self.rejected < 5) {
            eprintln!("mango-bench: {error_text}");
        }
        self.ack_micros.extend(observed.ack_micros);
        self.delivery_micros.extend(observed.delivery_micros);
        self.acked += observed.acked;
        self.rejected += observed.rejected;
        self.unanswered += observed.unanswered;
        self.missing += observed.ledger.missing(head);
        self.duplicates += observed.ledger.duplicates;
        self.out_of_order += observed.ledger.out_of_order;
        self.broken += u64::from(observed.broken);
    }

    /// Adds the numbers that all plans report: whether the server kept its promise, and the cost. Returns whether the
    /// promise was kept.
    pub fn add_to(&self, report: &mut Report) -> bool {
        let promise = [
            ("refused", self.rejected, "acks that were not ok"),
            ("unanswered", self.unanswered, "sends without an ack 10 s after the last one"),
            (
                "missing",
                self.missing,
                "messages that a member did not receive (ack or event), summed over members",
            ),
            ("doubled", self.duplicates, "messages that a connection received twice"),
            (
                "out_of_order",
                self.out_of_order,
                "messages (acks and events) that arrived after one with a higher seq",
            ),
            ("broken", self.broken, "connections that ended early"),
            (
                "unstored",
                self.unstored,
                "difference between acked and stored (REST last_seq), summed over chats",
            ),
        ];
        report.number(
            "acked",
            self.acked as f64,
            "messages acked ok in total, including warm-up and wind-down",
        );
        for (key, value, meaning) in promise {
            report.number(key, value as f64, &format!("should be 0: {meaning}"));
        }
        if let Some(cpu) = self.server_cpu {
            report.number("server_cpu_s", cpu, "CPU seconds of the server during the measurement");
        }
        report.number(
            "bench_cpu_s",
            self.own_cpu,
            "CPU seconds of this load generator during the measurement",
        );
        if let Some(rss) = self.server_rss_kib {
            report.number(
                "server_rss_mb",
                rss as f64 / 1_024.0,
                "MB of memory (RSS) of the server under load",
            );
        }
        promise.iter().all(|(_, value, _)| *value == 0)
    }
}

//! Chats under load: creates them, lets their members work for a while, and collects the results. `sends` and `fanout`
//! use it with different plans.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep_until};

use crate::client::Client;
use crate::member::{self, Chat, Seen, Span, Task};
use crate::people::{self, Person};
use crate::process::Process;
use crate::report::Report;
use crate::{Error, Result};

/// The time limit for the last acks and events after the last send.
const PATIENCE: Duration = Duration::from_secs(10);

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
    /// Of all senders, in microseconds.
    pub ack_micros: Vec<u32>,
    /// Of all members, in microseconds.
    pub delivery_micros: Vec<u32>,
    acked: u64,
    refused: u64,
    unanswered: u64,
    missing: u64,
    doubled: u64,
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
    let people = people::register(&plan.url, count).await?;
    let mut clients: Vec<Option<Client>> =
        people::connect(&plan.url, &people).await?.into_iter().map(Some).collect();
    let chats = open_chats(plan, &people, &mut clients).await?;

    let start = Instant::now() + Duration::from_millis(200);
    let from = start + Duration::from_secs(plan.seconds.0);
    let until = from + Duration::from_secs(plan.seconds.1);
    let span = Span { start, from, until, give_up: until + PATIENCE };
    let padding: Arc<str> = "x".repeat(plan.padding).into();
    let mut work = Vec::with_capacity(count);
    for (index, client) in clients.into_iter().flatten().enumerate() {
        let chat = chats[index % plan.chats].clone();
        let window = if index < plan.senders { plan.window } else { 0 };
        let task =
            Task { chat: chat.clone(), window, span, padding: padding.clone(), client_ids: plan.client_ids };
        work.push((chat, tokio::spawn(member::work(client, task))));
    }
    let mut totals = watch(plan, span).await?;
    for (chat, seen) in work {
        totals.add(seen.await?, chat.head.load(Ordering::Acquire));
    }
    let http = reqwest::Client::new();
    for (chat, owner) in chats.iter().zip(&people) {
        let stored = people::stored_last_seq(&http, &plan.url, owner, chat.id).await?;
        totals.unstored += stored.abs_diff(chat.head.load(Ordering::Acquire));
    }
    Ok(totals)
}

/// Creates the group chats: member `i` is in chat `i % chats`, whose first member owns it.
async fn open_chats(
    plan: &Plan,
    people: &[Person],
    clients: &mut [Option<Client>],
) -> Result<Vec<Arc<Chat>>> {
    let mut chats = Vec::with_capacity(plan.chats);
    for index in 0..plan.chats {
        let members: Vec<i64> = people.iter().skip(index).step_by(plan.chats).map(|it| it.id).collect();
        let wish =
            json!({"chat": {"name": format!("bench {index}"), "is_group": true, "members_array": members}});
        let owner =
            clients.get_mut(index).and_then(Option::as_mut).ok_or("there are more chats than senders")?;
        let made = owner.call("create_chat", &wish).await?;
        let number =
            |key: &str| made["chat"][key].as_i64().ok_or_else(|| format!("a chat came without {key}"));
        let (id, base) = (number("id")?, number("rev")?);
        let sending = (index..plan.senders).step_by(plan.chats).count();
        let (sending, head) = (AtomicUsize::new(sending), AtomicI64::new(base));
        chats.push(Arc::new(Chat { id, base, sending, head }));
    }
    Ok(chats)
}

/// Reads the CPU times of both processes when measuring begins and when it ends.
async fn watch(plan: &Plan, span: Span) -> Result<Totals> {
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
    fn add(&mut self, seen: Seen, head: i64) {
        if let Some(complaint) = seen.complaint.filter(|_| self.broken + self.refused < 5) {
            eprintln!("mango-bench: {complaint}");
        }
        self.ack_micros.extend(seen.ack_micros);
        self.delivery_micros.extend(seen.delivery_micros);
        self.acked += seen.acked;
        self.refused += seen.refused;
        self.unanswered += seen.unanswered;
        self.missing += seen.ledger.missing(head);
        self.doubled += seen.ledger.doubled;
        self.out_of_order += seen.ledger.out_of_order;
        self.broken += u64::from(seen.broken);
    }

    /// Prints what all plans have in common: the promise, and the cost. Returns whether the promise was kept.
    pub fn tell(&self, report: &mut Report) -> bool {
        let promise = [
            ("refused", self.refused, "acks that were not ok"),
            ("unanswered", self.unanswered, "sends without an ack 10 s after the last one"),
            (
                "missing",
                self.missing,
                "messages that a member was not given (ack or event), summed over members",
            ),
            ("doubled", self.doubled, "messages that a connection was given twice"),
            (
                "out_of_order",
                self.out_of_order,
                "messages that came after one with a higher seq, acks in their place",
            ),
            ("broken", self.broken, "connections that ended early"),
            (
                "unstored",
                self.unstored,
                "difference between acked and stored (REST last_seq), summed over chats",
            ),
        ];
        report.number("acked", self.acked as f64, "messages acked ok in all, with warm-up and the last ones");
        for (key, value, meaning) in promise {
            report.number(key, value as f64, &format!("should be 0: {meaning}"));
        }
        if let Some(cpu) = self.server_cpu {
            report.number("server_cpu_s", cpu, "CPU seconds of the server while counting");
        }
        report.number("bench_cpu_s", self.own_cpu, "CPU seconds of this load generator while counting");
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

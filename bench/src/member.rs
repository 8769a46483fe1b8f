//! One member of one chat: keeps a number of sends in flight and records everything it receives.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::Result;
use crate::client::{Body, Client, Packet};
use crate::ledger::Ledger;

/// How long a member keeps listening after it has received everything, to notice unexpected events.
const LINGER: Duration = Duration::from_millis(500);

/// How often a member checks whether the other senders have finished.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A chat of the bench.
#[derive(Debug)]
pub struct Chat {
    /// The chat's id.
    pub id: i64,
    /// The chat's counter before the first message.
    pub base: i64,
    /// Senders that have not received all their acks yet.
    pub sending: AtomicUsize,
    /// The highest `seq` in any ack so far.
    pub head: AtomicI64,
}

/// The times of a run.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// When sending begins; times in messages count from here.
    pub start: Instant,
    /// When measuring begins.
    pub from: Instant,
    /// When measuring and sending end.
    pub until: Instant,
    /// When messages that have not arrived count as missing.
    pub deadline: Instant,
}

/// The work of a member.
#[derive(Clone, Debug)]
pub struct Task {
    /// The chat.
    pub chat: Arc<Chat>,
    /// Sends in flight; a member with 0 only listens.
    pub window: usize,
    /// The times of the run.
    pub span: Span,
    /// Texts at the end of the contents, to reach the planned size.
    pub padding: Arc<[String]>,
    /// Whether every message carries a `client_id`.
    pub client_ids: bool,
}

/// The observations of a member.
#[derive(Debug, Default)]
pub struct Observed {
    /// Microseconds from send to ack, of acks within the span.
    pub ack_micros: Vec<u32>,
    /// Microseconds from send to receipt by this member, of events within the span.
    pub delivery_micros: Vec<u32>,
    /// Messages acknowledged with `ok: true`, in total.
    pub acked: u64,
    /// Acks that were not `ok`.
    pub rejected: u64,
    /// Sends that were never answered.
    pub unanswered: u64,
    /// The `seq` numbers from acks and events in the order of arrival, which must be ascending.
    pub ledger: Ledger,
    /// Why the connection ended early, or the first rejection.
    pub error_text: Option<String>,
    /// Whether the connection ended early.
    pub broken: bool,
}

#[derive(Deserialize)]
struct Ack {
    ok: bool,
    message: Option<AckedMessage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct AckedMessage {
    seq: i64,
}

#[derive(Deserialize)]
struct NewMessage<'a> {
    seq: i64,
    chat: i64,
    content: &'a str,
}

struct Member {
    client: Client,
    task: Task,
    observed: Observed,
    in_flight: Vec<(u64, Instant)>,
    sent: u64,
}

/// Sends and listens until everything has arrived or the deadline has passed. Never fails: errors are in the result.
pub async fn work(client: Client, task: Task) -> Observed {
    let observed = Observed { ledger: Ledger::new(task.chat.base), ..Observed::default() };
    let in_flight = Vec::with_capacity(task.window);
    let mut member = Member { client, task, observed, in_flight, sent: 0 };
    let outcome = member.run().await;
    member.observed.unanswered = member.in_flight.len() as u64;
    if let Err(error) = outcome {
        member.observed.broken = true;
        member.observed.error_text = Some(error.to_string());
    }
    member.client.close().await;
    member.observed
}

impl Member {
    async fn run(&mut self) -> Result<()> {
        let span = self.task.span;
        tokio::time::sleep_until(span.start).await;
        for _ in 0..self.task.window {
            self.send().await?;
        }
        self.client.flush().await?;
        let mut sending = self.task.window > 0;
        let mut complete_since = None;
        loop {
            if sending && self.in_flight.is_empty() {
                sending = false;
                self.task.chat.sending.fetch_sub(1, Ordering::AcqRel);
            }
            let now = Instant::now();
            let complete = now >= span.until
                && self.task.chat.sending.load(Ordering::Acquire) == 0
                && self.observed.ledger.last() >= self.task.chat.head.load(Ordering::Acquire);
            if complete && now >= *complete_since.get_or_insert(now) + LINGER || now >= span.deadline {
                return Ok(());
            }
            let wake_at = if now < span.until { span.until } else { now + POLL_INTERVAL };
            if let Ok(packet) = timeout_at(wake_at, self.client.next()).await {
                self.handle(packet?).await?;
                while let Some(packet) = self.client.try_next() {
                    self.handle(packet?).await?;
                }
                self.client.flush().await?;
            }
        }
    }

    async fn send(&mut self) -> Result<()> {
        let now = Instant::now();
        let micros = now.duration_since(self.task.span.start).as_micros();
        let client_id = if self.task.client_ids {
            format!(r#","client_id":"{micros}-{}""#, self.sent)
        } else {
            String::new()
        };
        let (chat, padding) =
            (self.task.chat.id, &self.task.padding[self.sent as usize % self.task.padding.len()]);
        let payload = format!(
            r#"{{"message":{{"chat_id":{chat},"content":"{micros} {padding}","message_type":"text"{client_id}}}}}"#
        );
        let id = self.client.emit("send_message", &payload).await?;
        self.sent += 1;
        self.in_flight.push((id, now));
        Ok(())
    }

    async fn handle(&mut self, packet: Packet) -> Result<()> {
        match packet {
            Packet::Ack(id, body) => self.handle_ack(id, &body).await,
            Packet::Event(body) => self.handle_event(&body),
        }
    }

    async fn handle_ack(&mut self, id: u64, body: &Body) -> Result<()> {
        let index = self.in_flight.iter().position(|(sent, _)| *sent == id);
        let (_, sent) = self.in_flight.swap_remove(index.ok_or("received an ack for an unknown send")?);
        let (ack,): (Ack,) = serde_json::from_str(body.json())?;
        if let (true, Some(AckedMessage { seq })) = (ack.ok, ack.message) {
            self.observed.acked += 1;
            self.observed.ledger.record(seq);
            self.task.chat.head.fetch_max(seq, Ordering::AcqRel);
        } else {
            self.observed.rejected += 1;
            self.observed.error_text.get_or_insert_with(|| format!("rejected: {:?}", ack.error));
        }
        let now = Instant::now();
        if self.is_measured(now) {
            self.observed.ack_micros.push(micros(now.duration_since(sent)));
        }
        if now < self.task.span.until { self.send().await } else { Ok(()) }
    }

    fn handle_event(&mut self, body: &Body) -> Result<()> {
        if !body.json().starts_with(r#"["new_message","#) {
            return Ok(());
        }
        let (_, message): (&str, NewMessage<'_>) = serde_json::from_str(body.json())?;
        if message.chat != self.task.chat.id {
            return Err("received a message of another chat".into());
        }
        self.observed.ledger.record(message.seq);
        let now = Instant::now();
        if self.is_measured(now) {
            let sent = message.content.split(' ').next().unwrap_or_default().parse()?;
            let since = now.duration_since(self.task.span.start + Duration::from_micros(sent));
            self.observed.delivery_micros.push(micros(since));
        }
        Ok(())
    }

    fn is_measured(&self, now: Instant) -> bool {
        now >= self.task.span.from && now < self.task.span.until
    }
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

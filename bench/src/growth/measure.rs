//! Measures one size: medians of requests that are sent one after the other.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::axis::{self, Axis, Metric};
use super::plant::Plan;
use super::site::{self, Site};
use crate::Result;
use crate::client::{Client, Packet};
use crate::process::Process;
use crate::users::{self, User};

/// The time limit of one request.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A series ends early after this time.
const SERIES: Duration = Duration::from_secs(10);

/// Fewer samples than this are not enough for a median, however long they take.
const FEWEST: usize = 5;

/// How long the server may finish its work before its memory is read.
const SETTLE: Duration = Duration::from_secs(1);

/// Messages that a client of `BEHIND` misses.
const MISSED: u64 = 10;

/// Messages of a page, the default of the server.
const PAGE: usize = 50;

/// The content of a sent message.
const CONTENT: &str = "a message, about as long as a usual chat message";

/// Repetitions of a request.
#[derive(Clone, Copy, Debug)]
pub struct Samples {
    /// Before measuring.
    warm_up: usize,
    /// Measured.
    measured: usize,
}

impl Samples {
    /// Returns the numbers of a run.
    pub fn new(quick: bool) -> Self {
        if quick { Self { warm_up: 5, measured: 40 } } else { Self { warm_up: 20, measured: 200 } }
    }

    /// Repeats a request; returns the median of its durations in milliseconds.
    async fn median_ms(self, request: impl AsyncFnMut() -> Result<()>) -> Result<f64> {
        Ok(quantile(&self.times_ms(request).await?, 0.5))
    }

    /// Repeats a request; returns its durations in milliseconds, in ascending order.
    async fn times_ms(self, mut request: impl AsyncFnMut() -> Result<()>) -> Result<Vec<f64>> {
        let began = Instant::now();
        let mut times = Vec::with_capacity(self.measured);
        for number in 0..self.warm_up + self.measured {
            let sent = Instant::now();
            timeout(TIMEOUT, request()).await.map_err(|_| "a request took longer than 30 s")??;
            if number >= self.warm_up {
                times.push(sent.elapsed().as_secs_f64() * 1_000.0);
            }
            if times.len() >= FEWEST && began.elapsed() > SERIES {
                break;
            }
        }
        times.sort_unstable_by(f64::total_cmp);
        Ok(times)
    }
}

/// Returns the value below which this share of the sorted values is.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    sorted.get((share * sorted.len() as f64) as usize).copied().unwrap_or_default()
}

/// User 1 in the first chat, with what the measurements need.
struct Bench {
    url: String,
    me: User,
    client: Client,
    http: reqwest::Client,
    samples: Samples,
    last_seq: u64,
    chats: u64,
    sent: u64,
}

/// Measures everything of an axis at one size.
pub async fn values(
    planted: &Site,
    axis: Axis,
    size: u64,
    samples: Samples,
) -> Result<Vec<(&'static Metric, f64)>> {
    let (url, plan) = (planted.url()?, axis.plan(size));
    let me = site::user(1);
    let mut background = JoinSet::new();
    let (mut before, mut rate) = (None, None);
    if axis == Axis::Connections {
        sleep(SETTLE).await;
        before = Some(Process::new(planted.pid()?).rss_kib()?);
        let idle: Vec<User> = (3..3 + size as i64).map(site::user).collect();
        let began = Instant::now();
        let clients = users::connect(&url, &idle).await?;
        rate = Some(size as f64 / began.elapsed().as_secs_f64());
        for client in clients {
            hold(&mut background, client);
        }
        sleep(SETTLE).await;
    }
    // Without another connection of the user: in `Bench`, one stays open.
    let ready = if axis == Axis::Chats {
        let connect = async || {
            Client::connect(&url, &me.token).await?.close().await;
            Ok(())
        };
        Some(samples.median_ms(connect).await?)
    } else {
        None
    };
    let memory = match before {
        Some(before) => {
            let added = Process::new(planted.pid()?).rss_kib()? as f64 - before as f64;
            Some(added * 1.024 / size as f64)
        }
        None => None,
    };
    hold(&mut background, Client::connect(&url, &site::user(2).token).await?);
    let client = Client::connect(&url, &me.token).await?;
    let http = reqwest::Client::new();
    let Plan { chats, .. } = plan;
    let mut bench = Bench { url, me, client, http, samples, last_seq: plan.last_seq(), chats, sent: 0 };
    let mut values = Vec::new();
    for metric in axis.metrics().iter().copied() {
        let value = match metric {
            metric if *metric == axis::SEND || *metric == axis::SEND_FAST => continue,
            metric if *metric == axis::READY => ready.ok_or("not measured")?,
            metric if *metric == axis::CONNECTS => rate.ok_or("not measured")?,
            metric if *metric == axis::MEMORY => memory.ok_or("not measured")?,
            _ => bench.measure(metric).await?,
        };
        values.push((metric, value));
    }
    // Last, because sends change what the other requests return.
    let times = bench.send().await?;
    values.extend([(&axis::SEND, quantile(&times, 0.5)), (&axis::SEND_FAST, quantile(&times, 0.1))]);
    bench.check_stored().await?;
    bench.client.close().await;
    while let Some(ended) = background.try_join_next() {
        ended??;
    }
    Ok(values)
}

/// Answers the pings of a connection that does nothing else, until the set is dropped.
fn hold(set: &mut JoinSet<Result<()>>, mut client: Client) {
    set.spawn(async move {
        loop {
            client.next().await?;
        }
    });
}

impl Bench {
    async fn measure(&mut self, metric: &Metric) -> Result<f64> {
        let middle = 2 + (self.last_seq - 1) / 2;
        let samples = self.samples;
        if *metric == axis::LIST {
            return samples.median_ms(async || self.list().await).await;
        }
        let (event, request, count) = if *metric == axis::NEWEST {
            ("history", json!({"chat": {"id": 1}}), Some(PAGE))
        } else if *metric == axis::MIDDLE {
            ("history", json!({"chat": {"id": 1}, "before": middle}), Some(PAGE))
        } else if *metric == axis::BEHIND {
            let since = json!({"1": self.last_seq - MISSED});
            ("sync", json!({"since": since, "user_rev": 0}), Some(MISSED as usize))
        } else if *metric == axis::NOTHING {
            let since: serde_json::Map<String, Value> =
                (1..=self.chats).map(|chat| (chat.to_string(), json!(self.last_seq))).collect();
            ("sync", json!({"since": since, "user_rev": 0}), Some(0))
        } else {
            return Err(format!("{} is not measured here", metric.name).into());
        };
        // The answer must be what the request is meant to measure.
        let answer = self.client.call(event, &request).await?;
        let found = answer["messages"].as_array().map(Vec::len);
        let chats = answer["chats"].as_array().map_or(0, Vec::len);
        if found != count || *metric == axis::NOTHING && chats > 0 {
            return Err(format!("{}: {found:?} messages and {chats} chats", metric.name).into());
        }
        let text = request.to_string();
        samples.median_ms(async || self.ask(event, &text).await).await
    }

    /// Sends messages; returns the sorted durations in milliseconds.
    async fn send(&mut self) -> Result<Vec<f64>> {
        let request =
            json!({"message": {"chat_id": 1, "content": CONTENT, "message_type": "text"}}).to_string();
        let samples = self.samples;
        let send = async || {
            self.ask("send_message", &request).await?;
            self.sent += 1;
            Ok(())
        };
        samples.times_ms(send).await
    }

    /// Emits an event and waits for its acknowledgement, which must be `ok`. It is not decoded.
    async fn ask(&mut self, event: &str, payload: &str) -> Result<()> {
        let sent = self.client.emit(event, payload).await?;
        self.client.flush().await?;
        loop {
            if let Packet::Ack(id, body) = self.client.next().await?
                && id == sent
            {
                let refused = || format!("{event}: {}", body.json().chars().take(300).collect::<String>());
                return if body.json().contains(r#""ok":true"#) { Ok(()) } else { Err(refused().into()) };
            }
        }
    }

    async fn list(&self) -> Result<()> {
        let request = self.http.get(format!("{}/chat", self.url)).bearer_auth(&self.me.token);
        let body = request.send().await?.error_for_status()?.bytes().await?;
        if body.len() < 10 { Err("the list of chats is empty".into()) } else { Ok(()) }
    }

    /// Fails if an acknowledged message is not stored.
    async fn check_stored(&self) -> Result<()> {
        let stored = users::stored_last_seq(&self.http, &self.url, &self.me, 1).await?;
        let expected = (self.last_seq + self.sent) as i64;
        if stored == expected {
            return Ok(());
        }
        Err(format!("the newest message has seq {stored} instead of {expected}").into())
    }
}

//! A checker after Jepsen's shape: clients that send and listen through both doors while the server is
//! killed and connections are cut, frozen and half-closed; then the verdict. The tests run it short,
//! `mango-bench` long. It shares no code with the server.

pub mod client;
pub mod disk;
pub mod judge;
pub mod node;
pub mod postgres;
pub mod proxy;
pub mod random;
pub mod wire;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use tokio::time::{Instant, sleep};

use client::{Client, Part, Seen, Stage};
use judge::{Verdict, judge};
use node::Node;
use proxy::Proxy;
use random::Random;

/// What the checker itself fails with, in words.
pub type Result<T> = std::result::Result<T, String>;

/// What to do to whom.
pub struct Plan {
    /// The server's program.
    pub binary: PathBuf,
    /// Where it runs.
    pub folder: PathBuf,
    /// A database of its own.
    pub database_url: String,
    /// Faults at least.
    pub faults: u64,
    /// Acked sends at least.
    pub acked: u64,
    /// Clients that send; half of them wait for each ack, half keep eight under way.
    pub senders: usize,
    /// Clients that only listen.
    pub listeners: usize,
    /// Groups.
    pub chats: usize,
    /// Between two sends of one sender.
    pub pace: Duration,
    /// Between two faults at most.
    pub calm: Duration,
    /// What chance is made from.
    pub seed: u64,
}

/// Who takes part.
pub struct Cast {
    /// Chats, each with the token of a member.
    pub chats: Vec<(i64, String)>,
    /// Clients with what can be seen of them.
    pub clients: Vec<(Part, Arc<Mutex<Seen>>)>,
}

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What was found.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Connections that clients made.
    pub connections: u64,
    /// How long it took.
    pub seconds: f64,
    /// For doing it again.
    pub seed: u64,
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// How long what is under way may take to arrive everywhere.
const SETTLING: Duration = Duration::from_secs(20);

/// Kinds of faults, dealt like cards.
const DECK: [&str; 10] = [
    "kill -9",
    "cut some",
    "freeze",
    "half-close",
    "pause readers",
    "kill -9",
    "cut one",
    "freeze",
    "kill -9",
    "cut all",
];

/// Runs it.
pub async fn run(plan: &Plan) -> Result<Report> {
    let started = Instant::now();
    let mut random = Random::new(plan.seed);
    let mut node = Node::new(&plan.binary, &plan.folder, &plan.database_url)?;
    node.start().await?;
    let proxy = Proxy::start(node.host()).await?;
    let stage = Arc::new(Stage::default());
    let cast = set_up(plan, &node, &proxy, &stage, &mut random).await?;
    let faults = torment(plan, &mut node, &proxy, &stage, &cast, &mut random).await?;
    stage.closing.store(true, Ordering::Relaxed);
    let deadline = Instant::now() + Duration::from_mins(1);
    while !cast.clients.iter().all(|(_, seen)| see(seen).idle) {
        if Instant::now() > deadline {
            let stuck = cast.clients.iter().filter(|(_, seen)| !see(seen).idle).map(|(part, _)| &part.name);
            return Err(format!("these were never done: {:?}", stuck.collect::<Vec<_>>()));
        }
        sleep(Duration::from_millis(50)).await;
    }
    let verdict = judge(&format!("http://{}", node.host()), &cast, SETTLING).await?;
    let connections = cast.clients.iter().map(|(_, seen)| see(seen).connections).sum();
    Ok(Report { verdict, faults, connections, seconds: started.elapsed().as_secs_f64(), seed: plan.seed })
}

fn see(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn set_up(
    plan: &Plan,
    node: &Node,
    proxy: &Proxy,
    stage: &Arc<Stage>,
    random: &mut Random,
) -> Result<Cast> {
    let http = reqwest::Client::builder().no_proxy().build().map_err(|error| error.to_string())?;
    // A database may have seen an earlier run.
    let run = random.below(u64::from(u32::MAX));
    let mut people = Vec::new();
    for number in 0..=plan.senders + plan.listeners {
        people.push(node.person(&http, &format!("f{run:08x}_{number}")).await?);
    }
    let visitor = people.pop().ok_or("nobody visits")?;
    let owner = people.first().ok_or("nobody sends")?.clone();
    let mut chats = Vec::new();
    let mut of_person: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for number in 0..plan.chats {
        // Everybody is in about half of the chats, the owner in all.
        let members: Vec<i64> = people
            .iter()
            .enumerate()
            .filter(|(place, _)| *place == 0 || (place + number).is_multiple_of(2) || plan.chats == 1)
            .map(|(_, person)| person.id)
            .collect();
        let wish =
            json!({"chat": {"name": format!("chat {number}"), "is_group": true, "members_array": members}});
        let made = node.post(&http, "/events/create_chat", Some(&owner.token), &wish).await?;
        let chat = made["chat"]["id"].as_i64().ok_or("no chat")?;
        chats.push((chat, owner.token.clone()));
        for member in members {
            of_person.entry(member).or_default().push(chat);
        }
    }
    let mut clients = Vec::new();
    for (number, person) in people.into_iter().chain([visitor.clone()]).enumerate() {
        let sends = number < plan.senders;
        let part = Part {
            name: format!("s{run:08x}-{number}"),
            chats: if sends { of_person.remove(&person.id).unwrap_or_default() } else { Vec::new() },
            window: if number % 2 == 0 { 1 } else { 8 },
            pace: plan.pace,
            visitor: (number == 0).then_some(visitor.id),
            person,
        };
        let seen = Client::start(proxy.host.clone(), part.clone(), stage.clone(), random.split());
        clients.push((part, seen));
    }
    Ok(Cast { chats, clients })
}

/// Faults, one after another, until there were enough of them and of acks.
async fn torment(
    plan: &Plan,
    node: &mut Node,
    proxy: &Proxy,
    stage: &Stage,
    cast: &Cast,
    random: &mut Random,
) -> Result<BTreeMap<&'static str, u64>> {
    let mut faults: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut deck: Vec<&'static str> = Vec::new();
    let calm = plan.calm.as_millis() as u64;
    while faults.values().sum::<u64>() < plan.faults || stage.acked.load(Ordering::Relaxed) < plan.acked {
        sleep(Duration::from_millis(100 + random.below(calm))).await;
        if deck.is_empty() {
            deck.extend(DECK);
        }
        let kind = deck.swap_remove(random.below(deck.len() as u64) as usize);
        match kind {
            "kill -9" => {
                node.kill();
                sleep(Duration::from_millis(random.below(500))).await;
                node.start().await?;
            }
            "cut one" => proxy.cut(random, 0),
            "cut some" => proxy.cut(random, 40),
            "cut all" => proxy.cut(random, 100),
            "half-close" => proxy.half_close(random),
            "freeze" => {
                let time = Duration::from_millis(300 + random.below(6_000));
                proxy.freeze(random, time);
            }
            _ => {
                for (_, seen) in &cast.clients {
                    if random.percent(40) {
                        let pause = Duration::from_millis(500 + random.below(3_000));
                        see(seen).paused_until = Some(Instant::now() + pause);
                    }
                }
            }
        }
        *faults.entry(kind).or_default() += 1;
    }
    Ok(faults)
}

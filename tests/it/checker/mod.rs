//! A checker in the style of Jepsen. Clients send and listen over both transports while the server is
//! killed, connections are cut, frozen and half-closed, and the database fails; then the verdict follows. The tests run
//! it briefly, `mango-bench` for hours. It shares no code with the server.

pub mod client;
pub mod database;
pub mod disk;
pub mod framing;
pub mod node;
pub mod postgres;
pub mod proxy;
pub mod random;
pub mod verdict;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use tokio::time::{Instant, sleep};

use client::{Client, Part, Seen, Stage};
use database::{Database, DatabaseFault, Store};
use node::Node;
use proxy::Proxy;
use random::Random;
use verdict::{Verdict, verdict};

/// A result whose error describes a failure of the checker itself.
pub type Result<T> = std::result::Result<T, String>;

/// The configuration of a run.
pub struct Plan {
    /// The path of the server's binary.
    pub binary: PathBuf,
    /// The folder that the server runs in.
    pub folder: PathBuf,
    /// The database.
    pub store: Store,
    /// The minimum number of faults.
    pub faults: u64,
    /// The minimum number of acked sends.
    pub acked: u64,
    /// The number of clients that send; half of them wait for each ack, half keep eight sends pending.
    pub senders: usize,
    /// The number of clients that only listen.
    pub listeners: usize,
    /// The number of groups.
    pub chats: usize,
    /// The pause between two sends of one sender.
    pub pace: Duration,
    /// The longest pause between two faults.
    pub calm: Duration,
    /// How long the first stop of a database lasts; later stops last at most a quarter of it.
    pub longest_stop: Duration,
    /// The seed of the random numbers.
    pub seed: u64,
}

/// The participants of a run.
pub struct Cast {
    /// Chats, each with the token of a member.
    pub chats: Vec<(i64, String)>,
    /// The clients and their observable state.
    pub clients: Vec<(Part, Arc<Mutex<Seen>>)>,
}

/// The report of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The number of faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// The number of connections that clients made.
    pub connections: u64,
    /// The longest wait of a send in another chat while a chat's row was locked, in milliseconds. `None` without locks.
    /// On SQLite, which locks the whole database, about as long as the lock was held.
    pub longest_wait_of_others_ms: Option<u64>,
    /// The duration of the run.
    pub seconds: f64,
    /// The seed, to repeat the run.
    pub seed: u64,
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// How long pending events may take to arrive at all clients.
const SETTLING: Duration = Duration::from_secs(20);

/// One fault.
#[derive(Clone, Copy)]
enum Fault {
    /// `kill -9` of the server.
    Kill,
    /// Cuts the connections of this percentage of the clients, but at least one.
    Cut(u64, &'static str),
    Freeze,
    HalfClose,
    /// Clients read nothing for a while.
    Pause,
    Database(DatabaseFault),
}

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill -9",
            Self::Cut(_, name) => name,
            Self::Freeze => "freeze",
            Self::HalfClose => "half-close",
            Self::Pause => "pause readers",
            Self::Database(fault) => fault.name(),
        }
    }
}

/// The kinds of faults, drawn like cards from a deck.
const DECK: [Fault; 10] = [
    Fault::Kill,
    Fault::Cut(40, "cut some"),
    Fault::Freeze,
    Fault::HalfClose,
    Fault::Pause,
    Fault::Kill,
    Fault::Cut(0, "cut one"),
    Fault::Freeze,
    Fault::Kill,
    Fault::Cut(100, "cut all"),
];

/// The faults that were injected.
#[derive(Default)]
struct Done {
    faults: BTreeMap<&'static str, u64>,
    /// From when to when a chat's row was locked.
    locked: Vec<(Instant, Instant)>,
}

impl Done {
    /// Returns the longest time that a send of the bystander waited while a row was locked.
    fn longest_wait(&self, bystander: &Seen) -> Option<Duration> {
        let waits = self.locked.iter().flat_map(|(from, until)| {
            let meanwhile =
                bystander.waits.iter().filter(move |(since, acked)| since < until && acked > from);
            meanwhile.map(move |(since, acked)| *acked - *since.max(from))
        });
        waits.max()
    }
}

/// Runs the checker.
pub async fn run(plan: &Plan) -> Result<Report> {
    let started = Instant::now();
    let mut random = Random::new(plan.seed);
    let mut database = Database::make(&plan.store, &plan.folder)?;
    let mut node = database.node(&plan.binary, &plan.folder)?;
    node.start().await?;
    let proxy = Proxy::start(node.host()).await?;
    let stage = Arc::new(Stage::default());
    let cast = set_up(plan, &node, &proxy, &stage, &mut random).await?;
    let done = torment(plan, &mut database, &mut node, &proxy, &stage, &cast, &mut random).await?;
    stage.closing.store(true, Ordering::Relaxed);
    let deadline = Instant::now() + Duration::from_mins(1);
    while !cast.clients.iter().all(|(_, seen)| see(seen).idle) {
        if Instant::now() > deadline {
            let stuck = cast.clients.iter().filter(|(_, seen)| !see(seen).idle).map(|(part, _)| &part.name);
            return Err(format!("these were never done: {:?}", stuck.collect::<Vec<_>>()));
        }
        sleep(Duration::from_millis(50)).await;
    }
    let verdict = verdict(&format!("http://{}", node.host()), &cast, SETTLING).await?;
    let connections = cast.clients.iter().map(|(_, seen)| see(seen).connections).sum();
    let longest = cast.clients.last().and_then(|(_, seen)| done.longest_wait(&see(seen)));
    Ok(Report {
        verdict,
        faults: done.faults,
        connections,
        longest_wait_of_others_ms: longest.map(|it| it.as_millis() as u64),
        seconds: started.elapsed().as_secs_f64(),
        seed: plan.seed,
    })
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
    // The database may contain data of an earlier run.
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
        // Each user is a member of about half of the chats, the owner of all.
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
    clients.push(bystander(plan, node, stage, &http, run, random.split(), &mut chats).await?);
    Ok(Cast { chats, clients })
}

/// Starts a client in its own chat, whose row is never locked, that bypasses the proxy.
async fn bystander(
    plan: &Plan,
    node: &Node,
    stage: &Arc<Stage>,
    http: &reqwest::Client,
    run: u64,
    random: Random,
    chats: &mut Vec<(i64, String)>,
) -> Result<(Part, Arc<Mutex<Seen>>)> {
    let person = node.person(http, &format!("f{run:08x}_bystander")).await?;
    let wish = json!({"chat": {"name": "beside", "is_group": true, "members_array": []}});
    let made = node.post(http, "/events/create_chat", Some(&person.token), &wish).await?;
    let chat = made["chat"]["id"].as_i64().ok_or("no chat")?;
    chats.push((chat, person.token.clone()));
    let name = format!("s{run:08x}-bystander");
    let part = Part { name, chats: vec![chat], window: 1, pace: plan.pace, visitor: None, person };
    let seen = Client::start(node.host(), part.clone(), stage.clone(), random);
    Ok((part, seen))
}

/// Injects faults one after another until there are enough faults and acks.
async fn torment(
    plan: &Plan,
    database: &mut Database,
    node: &mut Node,
    proxy: &Proxy,
    stage: &Stage,
    cast: &Cast,
    random: &mut Random,
) -> Result<Done> {
    let mut done = Done::default();
    let mut deck: Vec<Fault> = Vec::new();
    let calm = plan.calm.as_millis() as u64;
    while done.faults.values().sum::<u64>() < plan.faults || stage.acked.load(Ordering::Relaxed) < plan.acked
    {
        sleep(Duration::from_millis(100 + random.below(calm))).await;
        if deck.is_empty() {
            deck.extend(DECK);
            deck.extend(database.faults().iter().copied().map(Fault::Database));
        }
        let fault = deck.swap_remove(random.below(deck.len() as u64) as usize);
        match fault {
            Fault::Kill => {
                node.kill();
                sleep(Duration::from_millis(random.below(500))).await;
                node.start().await?;
            }
            Fault::Cut(percent, _) => proxy.cut(random, percent),
            Fault::HalfClose => proxy.half_close(random),
            Fault::Freeze => {
                let time = Duration::from_millis(300 + random.below(6_000));
                proxy.freeze(random, time);
            }
            Fault::Pause => {
                // The bystander, who comes last, is only observed.
                for (_, seen) in cast.clients.iter().rev().skip(1) {
                    if random.percent(40) {
                        let pause = Duration::from_millis(500 + random.below(3_000));
                        see(seen).paused_until = Some(Instant::now() + pause);
                    }
                }
            }
            Fault::Database(fault) => {
                let longest = plan.longest_stop;
                let again = done.faults.contains_key(fault.name());
                let stop = if again { longest.mul_f64(random.below(100) as f64 / 400.0) } else { longest };
                let locked = cast.chats.first().ok_or("no chat")?.0;
                if fault == DatabaseFault::Lock {
                    // Delays from an earlier fault must not count as delays from the lock.
                    until_bystander_sends(cast).await?;
                }
                let since = Instant::now();
                database.suffer(fault, locked, stop, random).await?;
                if fault == DatabaseFault::Lock {
                    done.locked.push((since, Instant::now()));
                }
            }
        }
        *done.faults.entry(fault.name()).or_default() += 1;
    }
    Ok(done)
}

/// Waits until another send of the bystander, who comes last, is acked.
async fn until_bystander_sends(cast: &Cast) -> Result<()> {
    let (_, seen) = cast.clients.last().ok_or("no bystander")?;
    let before = see(seen).waits.len();
    let deadline = Instant::now() + Duration::from_mins(1);
    while see(seen).waits.len() == before {
        if Instant::now() > deadline {
            return Err("the bystander sends no more".into());
        }
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

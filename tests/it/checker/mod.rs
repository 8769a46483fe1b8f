//! A checker in the style of Jepsen: every acknowledged message is stored once and in order, and every client's state
//! equals the server's, even if the server is killed, connections break and the database fails. Clients send and listen
//! over both transports during the faults, and the verdict compares the results.
//!
//! The tests run it briefly, `mango-bench` for hours. It shares no code with the server.

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

use client::{Client, ClientConfig, ClientState, RunState};
use database::{Database, DatabaseFault, Store};
use node::Node;
use proxy::Proxy;
use random::Random;
use verdict::{Verdict, verdict};

/// A result whose error describes a failure of the checker itself.
pub type Result<T> = std::result::Result<T, String>;

/// The configuration of one run.
pub struct RunConfig {
    /// The path of the server's binary.
    pub binary: PathBuf,
    /// The folder that the server runs in.
    pub folder: PathBuf,
    /// The database.
    pub store: Store,
    /// The minimum number of faults.
    pub min_faults: u64,
    /// The minimum number of acked sends.
    pub min_acked: u64,
    /// The number of clients that send; half of them wait for each ack, half keep eight sends pending.
    pub senders: usize,
    /// The number of clients that only listen.
    pub listeners: usize,
    /// The number of groups.
    pub chats: usize,
    /// The pause between two sends of one sender.
    pub send_interval: Duration,
    /// The longest pause between two faults.
    pub max_pause: Duration,
    /// How long the first stop of a database lasts; later stops last at most a quarter of it.
    pub max_outage: Duration,
    /// The seed of the random numbers.
    pub seed: u64,
}

/// The participants of a run.
pub struct Participants {
    /// Chats, each with the token of a member.
    pub chats: Vec<(i64, String)>,
    /// The clients and their observable state.
    pub clients: Vec<(ClientConfig, Arc<Mutex<ClientState>>)>,
}

/// The report of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The number of faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// The number of connections that clients opened.
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
const SETTLE_TIMEOUT: Duration = Duration::from_secs(20);

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

/// The faults of one round, which are injected in random order before the next round begins.
const ROUND: [Fault; 10] = [
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
struct InjectedFaults {
    faults: BTreeMap<&'static str, u64>,
    /// The times from and until which a chat's row was locked.
    locks: Vec<(Instant, Instant)>,
}

impl InjectedFaults {
    /// Returns the longest time that a send of the control client waited while a row was locked.
    fn longest_wait(&self, control: &ClientState) -> Option<Duration> {
        let waits = self.locks.iter().flat_map(|(from, until)| {
            let meanwhile =
                control.send_times.iter().filter(move |(since, acked)| since < until && acked > from);
            meanwhile.map(move |(since, acked)| *acked - *since.max(from))
        });
        waits.max()
    }
}

/// Runs the checker.
pub async fn run(config: &RunConfig) -> Result<Report> {
    let started = Instant::now();
    let mut random = Random::new(config.seed);
    let mut database = Database::make(&config.store, &config.folder)?;
    let mut node = database.node(&config.binary, &config.folder)?;
    node.start().await?;
    let proxy = Proxy::start(node.host()).await?;
    let run_state = Arc::new(RunState::default());
    let participants = set_up(config, &node, &proxy, &run_state, &mut random).await?;
    let injected =
        inject_faults(config, &mut database, &mut node, &proxy, &run_state, &participants, &mut random)
            .await?;
    run_state.closing.store(true, Ordering::Relaxed);

    let deadline = Instant::now() + Duration::from_mins(1);
    while !participants.clients.iter().all(|(_, state)| lock(state).idle) {
        if Instant::now() > deadline {
            let stuck = participants
                .clients
                .iter()
                .filter(|(_, state)| !lock(state).idle)
                .map(|(client_config, _)| &client_config.name);
            return Err(format!("these clients still wait for acks: {:?}", stuck.collect::<Vec<_>>()));
        }
        sleep(Duration::from_millis(50)).await;
    }

    let verdict = verdict(&format!("http://{}", node.host()), &participants, SETTLE_TIMEOUT).await?;
    let connections = participants.clients.iter().map(|(_, state)| lock(state).connections).sum();
    let longest_wait = participants.clients.last().and_then(|(_, state)| injected.longest_wait(&lock(state)));
    Ok(Report {
        verdict,
        faults: injected.faults,
        connections,
        longest_wait_of_others_ms: longest_wait.map(|it| it.as_millis() as u64),
        seconds: started.elapsed().as_secs_f64(),
        seed: config.seed,
    })
}

fn lock(state: &Mutex<ClientState>) -> std::sync::MutexGuard<'_, ClientState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn set_up(
    config: &RunConfig,
    node: &Node,
    proxy: &Proxy,
    run_state: &Arc<RunState>,
    random: &mut Random,
) -> Result<Participants> {
    let http = reqwest::Client::builder().no_proxy().build().map_err(|error| error.to_string())?;
    // The database may contain data of an earlier run.
    let run = random.below(u64::from(u32::MAX));
    let mut users = Vec::new();
    for number in 0..=config.senders + config.listeners {
        users.push(node.person(&http, &format!("f{run:08x}_{number}")).await?);
    }
    let temporary_member = users.pop().ok_or("no temporary member")?;
    let owner = users.first().ok_or("no sender")?.clone();
    let mut chats = Vec::new();
    let mut chats_of_user: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for number in 0..config.chats {
        // Each user is a member of about half of the chats, the owner of all.
        let members: Vec<i64> = users
            .iter()
            .enumerate()
            .filter(|(index, _)| *index == 0 || (index + number).is_multiple_of(2) || config.chats == 1)
            .map(|(_, user)| user.id)
            .collect();
        let request =
            json!({"chat": {"name": format!("chat {number}"), "is_group": true, "members_array": members}});
        let created = node.post(&http, "/events/create_chat", Some(&owner.token), &request).await?;
        let chat = created["chat"]["id"].as_i64().ok_or("no chat")?;
        chats.push((chat, owner.token.clone()));
        for member in members {
            chats_of_user.entry(member).or_default().push(chat);
        }
    }
    let mut clients = Vec::new();
    for (number, user) in users.into_iter().chain([temporary_member.clone()]).enumerate() {
        let sends = number < config.senders;
        let client_config = ClientConfig {
            name: format!("s{run:08x}-{number}"),
            chats: if sends { chats_of_user.remove(&user.id).unwrap_or_default() } else { Vec::new() },
            max_unacked: if number % 2 == 0 { 1 } else { 8 },
            send_interval: config.send_interval,
            temporary_member: (number == 0).then_some(temporary_member.id),
            user,
        };
        let state =
            Client::start(proxy.host.clone(), client_config.clone(), run_state.clone(), random.split());
        clients.push((client_config, state));
    }
    clients
        .push(start_control_client(config, node, run_state, &http, run, random.split(), &mut chats).await?);
    Ok(Participants { chats, clients })
}

/// Starts a client that bypasses the proxy and sends in its own chat, whose row is never locked.
async fn start_control_client(
    config: &RunConfig,
    node: &Node,
    run_state: &Arc<RunState>,
    http: &reqwest::Client,
    run: u64,
    random: Random,
    chats: &mut Vec<(i64, String)>,
) -> Result<(ClientConfig, Arc<Mutex<ClientState>>)> {
    let user = node.person(http, &format!("f{run:08x}_control")).await?;
    let request = json!({"chat": {"name": "control", "is_group": true, "members_array": []}});
    let created = node.post(http, "/events/create_chat", Some(&user.token), &request).await?;
    let chat = created["chat"]["id"].as_i64().ok_or("no chat")?;
    chats.push((chat, user.token.clone()));
    let name = format!("s{run:08x}-control");
    let client_config = ClientConfig {
        name,
        chats: vec![chat],
        max_unacked: 1,
        send_interval: config.send_interval,
        temporary_member: None,
        user,
    };
    let state = Client::start(node.host(), client_config.clone(), run_state.clone(), random);
    Ok((client_config, state))
}

/// Injects faults one after another until there are enough faults and acks.
async fn inject_faults(
    config: &RunConfig,
    database: &mut Database,
    node: &mut Node,
    proxy: &Proxy,
    run_state: &RunState,
    participants: &Participants,
    random: &mut Random,
) -> Result<InjectedFaults> {
    let mut injected = InjectedFaults::default();
    let mut remaining: Vec<Fault> = Vec::new();
    let max_pause = config.max_pause.as_millis() as u64;
    while injected.faults.values().sum::<u64>() < config.min_faults
        || run_state.acked.load(Ordering::Relaxed) < config.min_acked
    {
        sleep(Duration::from_millis(100 + random.below(max_pause))).await;
        if remaining.is_empty() {
            remaining.extend(ROUND);
            remaining.extend(database.faults().iter().copied().map(Fault::Database));
        }
        let fault = remaining.swap_remove(random.below(remaining.len() as u64) as usize);
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
                // The control client, the last one, is not paused.
                for (_, state) in participants.clients.iter().rev().skip(1) {
                    if random.percent(40) {
                        let pause = Duration::from_millis(500 + random.below(3_000));
                        lock(state).paused_until = Some(Instant::now() + pause);
                    }
                }
            }
            Fault::Database(fault) => {
                let max_outage = config.max_outage;
                let is_repeated = injected.faults.contains_key(fault.name());
                let outage = if is_repeated {
                    max_outage.mul_f64(random.below(100) as f64 / 400.0)
                } else {
                    max_outage
                };
                let chat = participants.chats.first().ok_or("no chat")?.0;
                if fault == DatabaseFault::Lock {
                    // Delays from an earlier fault must not count as delays from the lock.
                    wait_for_control_ack(participants).await?;
                }
                let locked_at = Instant::now();
                database.inject(fault, chat, outage, random).await?;
                if fault == DatabaseFault::Lock {
                    injected.locks.push((locked_at, Instant::now()));
                }
            }
        }
        *injected.faults.entry(fault.name()).or_default() += 1;
    }
    Ok(injected)
}

/// Waits until another send of the control client, the last one, is acked.
async fn wait_for_control_ack(participants: &Participants) -> Result<()> {
    let (_, state) = participants.clients.last().ok_or("no control client")?;
    let before = lock(state).send_times.len();
    let deadline = Instant::now() + Duration::from_mins(1);
    while lock(state).send_times.len() == before {
        if Instant::now() > deadline {
            return Err("no send of the control client was acked".into());
        }
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

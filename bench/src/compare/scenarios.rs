//! What is measured of each server.

use std::time::Duration;

use super::accounts::{HUNDRED, PAIRS, USERS, World};
use super::faults::Faults;
use super::photo;
use super::server::{Environment, Server};
use super::swarm::Swarm;
use super::traffic::Tally;
use super::usage;
use crate::Result;

/// Connections of `connect`, and how many of them are opened at the same time.
const CONNECTIONS: usize = 2_000;
const PARALLEL: usize = 100;

/// Connections of `idle`.
const IDLE: usize = 5_000;

/// Sends in flight of the one sender of `fanout`: so many that the wait for a commit does not limit the rate.
const FANOUT_WINDOW: usize = 64;

/// Sends in flight of each sender of `sends`, besides 1.
const WINDOW: usize = 8;

/// Deliveries per second of `fixed`.
const FIXED_RATE: u64 = 20_000;

/// A scenario, as `--scenarios` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Scenario {
    /// 2,000 connections with authentication and rooms, 100 at the same time.
    Connect,
    /// Memory of 5,000 connections.
    Idle,
    /// Connecting and disconnecting.
    Churn,
    /// One sender with 64 messages in flight, in chats of 100 and of 1,000 members.
    Fanout,
    /// 20,000 deliveries per second in the same chats.
    Fixed,
    /// 100 chats of two members, 1 and 8 messages in flight in each.
    Sends,
    /// A 12-megapixel JPEG as squares of 400, 100 and 50 pixels.
    Photo,
}

/// What one measurement of one server gave.
pub struct Outcome {
    /// The beginning of the keys of its values, such as `fanout100`.
    pub name: String,
    /// Keys of `metrics::METRICS` and values.
    pub values: Vec<(String, f64)>,
    /// What went wrong.
    pub faults: Faults,
}

/// One server and what its measurements need.
pub struct Bench<'a> {
    /// The server.
    pub server: &'a Server,
    /// Everything around it.
    pub environment: &'a Environment,
    /// Seconds of a measurement.
    pub seconds: u64,
}

/// The scenarios that run with the same connections, in the order in which they run.
pub const STEPS: [&[Scenario]; 6] = [
    &[Scenario::Connect, Scenario::Idle],
    &[Scenario::Churn],
    &[Scenario::Fanout, Scenario::Fixed],
    &[Scenario::Fanout, Scenario::Fixed],
    &[Scenario::Sends],
    &[Scenario::Photo],
];

impl Bench<'_> {
    /// Runs those of the scenarios of a step that are wanted.
    pub fn run(&self, step: usize, wanted: &[Scenario]) -> Result<Vec<Outcome>> {
        let world = self.server.world()?;
        match step {
            0 => self.connect(wanted),
            1 => self.churn(),
            2 => self.crowd(HUNDRED, world.hundred, wanted),
            3 => self.crowd(USERS, world.thousand, wanted),
            4 => self.sends(world),
            _ => self.photo(),
        }
    }

    /// First the memory, while the server is fresh; the connections for that also warm it up for the rate.
    fn connect(&self, wanted: &[Scenario]) -> Result<Vec<Outcome>> {
        let accounts = |count: usize| (0..USERS).cycle().take(count);
        let mut outcomes = Vec::new();
        let mut swarm = self.swarm()?;
        if wanted.contains(&Scenario::Idle) {
            let before = usage::rss_kib(self.server.pid()?)?;
            swarm.connect(accounts(IDLE), PARALLEL)?;
            self.calm(&mut swarm)?;
            let kib = usage::rss_kib(self.server.pid()?)?.saturating_sub(before);
            let kb = kib as f64 * 1.024 / IDLE as f64;
            outcomes.push(Outcome::new("idle", vec![("kb", kb)], Faults::default()));
        } else {
            swarm.connect(accounts(USERS), PARALLEL)?;
        }
        drop(swarm);
        if wanted.contains(&Scenario::Connect) {
            let time = self.swarm()?.connect(accounts(CONNECTIONS), PARALLEL)?;
            let rate = CONNECTIONS as f64 / time.as_secs_f64();
            outcomes.push(Outcome::new("connect", vec![("per_s", rate)], Faults::default()));
        }
        Ok(outcomes)
    }

    fn churn(&self) -> Result<Vec<Outcome>> {
        let mut swarm = self.swarm()?;
        let rate = swarm.churn(USERS, PARALLEL, self.half())?;
        Ok(vec![Outcome::new("churn", vec![("per_s", rate)], Faults::default())])
    }

    /// A chat with one sender: as fast as possible, then at a fixed rate.
    fn crowd(&self, members: usize, chat: i64, wanted: &[Scenario]) -> Result<Vec<Outcome>> {
        let mut swarm = self.swarm()?;
        swarm.connect(0..members, PARALLEL)?;
        swarm.add_chat(chat, 0, 1..members)?;
        let mut outcomes = Vec::new();
        if wanted.contains(&Scenario::Fanout) {
            self.calm(&mut swarm)?;
            swarm.start(FANOUT_WINDOW)?;
            let (tally, cpu) = self.measure(&mut swarm, self.half())?;
            let faults = swarm.stop()?;
            let rate = tally.deliveries as f64 / self.half().as_secs_f64();
            let values = vec![
                ("per_s", rate),
                ("cpu", per(1e6, cpu.server, tally.deliveries)),
                ("bench_cpu", per(1e6, cpu.own, tally.deliveries)),
            ];
            outcomes.push(Outcome::new(&format!("fanout{members}"), values, faults));
        }
        if wanted.contains(&Scenario::Fixed) {
            self.calm(&mut swarm)?;
            let interval = Duration::from_secs((members - 1) as u64) / FIXED_RATE as u32;
            swarm.start_pace(interval);
            let (tally, cpu) = self.measure(&mut swarm, Duration::from_secs(self.seconds))?;
            let faults = swarm.stop()?;
            let rate = tally.deliveries as f64 / self.seconds as f64;
            let mut values = vec![("per_s", rate), ("cpu", per(1e6, cpu.server, tally.deliveries))];
            latencies(&mut values, &tally.delivery);
            outcomes.push(Outcome::new(&format!("fixed{members}"), values, faults));
        }
        Ok(outcomes)
    }

    fn sends(&self, world: &World) -> Result<Vec<Outcome>> {
        let mut swarm = self.swarm()?;
        swarm.connect(0..2 * PAIRS, PARALLEL)?;
        for (index, chat) in world.pairs.iter().enumerate() {
            swarm.add_chat(*chat, 2 * index, [2 * index + 1])?;
        }
        let mut outcomes = Vec::new();
        for window in [1, WINDOW] {
            self.calm(&mut swarm)?;
            swarm.start(window)?;
            let (tally, cpu) = self.measure(&mut swarm, Duration::from_secs(self.seconds))?;
            let faults = swarm.stop()?;
            let rate = tally.acks as f64 / self.seconds as f64;
            let mut values = vec![("per_s", rate), ("cpu", per(1e5, cpu.server + cpu.database, tally.acks))];
            latencies(&mut values, &tally.ack);
            outcomes.push(Outcome::new(&format!("sends{window}"), values, faults));
        }
        Ok(outcomes)
    }

    fn photo(&self) -> Result<Vec<Outcome>> {
        if !self.server.renders_photos() {
            return Ok(Vec::new());
        }
        let (ms, mb) = photo::measure(self.server)?;
        Ok(vec![Outcome::new("photo", vec![("ms", ms), ("mb", mb)], Faults::default())])
    }

    /// Creates a swarm for the server, which is idle before.
    fn swarm(&self) -> Result<Swarm> {
        let mut swarm = Swarm::new(self.server.endpoint()?)?;
        self.calm(&mut swarm)?;
        Ok(swarm)
    }

    /// Waits until the server has nothing left to do, for instance with the connections of the measurement before.
    fn calm(&self, swarm: &mut Swarm) -> Result<()> {
        let mut before = self.cpu()?.server;
        for _ in 0..30 {
            swarm.run(Duration::from_millis(100))?;
            let now = self.cpu()?.server;
            // One tick is the smallest difference.
            if now - before < 0.015 {
                break;
            }
            before = now;
        }
        Ok(())
    }

    /// Lets the swarm run, after a short time to warm up, and returns what it counted and what it cost.
    fn measure(&self, swarm: &mut Swarm, time: Duration) -> Result<(Tally, Cpu)> {
        swarm.run(Duration::from_millis(300))?;
        let before = self.cpu()?;
        swarm.begin();
        swarm.run(time)?;
        let tally = swarm.end();
        let after = self.cpu()?;
        let cpu = Cpu {
            server: after.server - before.server,
            database: after.database - before.database,
            own: after.own - before.own,
        };
        Ok((tally, cpu))
    }

    fn cpu(&self) -> Result<Cpu> {
        let postgres = self.environment.postgres.pid();
        Ok(Cpu {
            server: usage::cpu_seconds(self.server.pid()?)?,
            database: if self.server.uses_postgres() { usage::cpu_seconds(postgres)? } else { 0.0 },
            own: crate::process::Process::own().cpu_seconds()?,
        })
    }

    fn half(&self) -> Duration {
        Duration::from_millis(self.seconds * 500)
    }
}

/// CPU seconds.
struct Cpu {
    server: f64,
    database: f64,
    own: f64,
}

impl Outcome {
    fn new(name: &str, values: Vec<(&str, f64)>, faults: Faults) -> Self {
        let values = values.into_iter().map(|(key, value)| (format!("{name}_{key}"), value)).collect();
        Self { name: name.into(), values, faults }
    }
}

fn per(unit: f64, cpu: f64, count: u64) -> f64 {
    if count == 0 { f64::NAN } else { cpu * unit / count as f64 }
}

fn latencies(values: &mut Vec<(&str, f64)>, histogram: &super::histogram::Histogram) {
    for (key, share) in [("p50", 0.5), ("p99", 0.99)] {
        values.extend(histogram.quantile_ms(share).map(|value| (key, value)));
    }
}

//! `compare`: Mango Chat beside what people would choose instead, and beside servers that do less. All servers do the
//! same work under the same load in the same minutes, because a machine's speed varies from hour to hour: the ratios
//! within one run are what counts.

mod accounts;
mod connection;
mod dialect;
mod faults;
mod frame;
mod histogram;
mod marker;
mod metrics;
mod peers;
mod photo;
pub mod plot;
pub mod postgres;
pub mod program;
mod receive;
pub mod report;
pub mod results;
mod scenarios;
pub mod server;
mod swarm;
mod traffic;
mod usage;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde_json::json;

use self::dialect::Dialect;
use self::peers::Peers;
use self::postgres::Postgres;
use self::results::Results;
use self::scenarios::{Bench, STEPS, Scenario};
use self::server::{Environment, Kind, Server};
use crate::Result;

/// Options of `compare`.
#[derive(Args)]
pub struct Options {
    /// The server's program, or NAME=PATH; may be repeated to compare builds. By default the one next to this program.
    #[arg(long)]
    server: Vec<String>,
    /// The servers to measure: node, bun, python, bare, floor, and for each build NAME (by default `ours`) or one of
    /// NAME-sqlite, NAME-postgres, NAME-plain. By default all.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The scenarios to run. By default all.
    #[arg(long, value_enum, value_delimiter = ',')]
    scenarios: Vec<Scenario>,
    /// Rounds; the results are medians.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of a measurement; `churn` and `fanout` take half.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Do not write bench/RESULTS.md and bench/compare.svg.
    #[arg(long)]
    dry: bool,
}

/// Runs the comparison; returns whether our servers lost, doubled and reordered nothing.
pub async fn run(options: Options) -> Result<bool> {
    rlimit::increase_nofile_limit(rlimit::INFINITY)?;
    let program = std::env::current_exe()?;
    let programs = program.parent().ok_or("this program is in no folder")?.to_owned();
    let target = programs.parent().ok_or("the programs are in no folder")?.to_owned();
    let mut servers = servers(&options, &programs)?;
    let scenarios = if options.scenarios.is_empty() { STEPS.concat() } else { options.scenarios.clone() };
    let temp = Temporary::new("mango-compare")?;
    let peers = Peers::new(target.join("bench-peers"))?;
    let postgres = Postgres::start(&temp.0)?;
    let environment = Environment { temp: temp.0.clone(), programs, peers, postgres };

    let columns = servers.iter().map(|server| (server.id.clone(), server.title.clone())).collect();
    let mut results = Results::new(columns);
    let mut log = fs::File::create(target.join("bench-compare.jsonl"))?;
    let began = Instant::now();
    for round in 0..options.rounds.max(1) {
        for server in &mut servers {
            server.start(&environment).await?;
        }
        for (step, _) in
            STEPS.iter().enumerate().filter(|(_, step)| step.iter().any(|it| scenarios.contains(it)))
        {
            // Each round begins with another server, so that none always follows the same one.
            for turn in 0..servers.len() {
                let index = (turn + round) % servers.len();
                let server = &servers[index];
                let bench = Bench { server, environment: &environment, seconds: options.seconds.max(1) };
                let outcomes = match bench.run(step, &scenarios) {
                    Ok(outcomes) => outcomes,
                    Err(error) => {
                        eprintln!("{}: {error}", server.id);
                        results.add_failure(
                            index,
                            ["connect", "churn", "fanout100", "fanout1000", "sends1", "photo"][step],
                        );
                        continue;
                    }
                };
                for outcome in outcomes {
                    let faults = outcome.faults.describe();
                    let values: serde_json::Map<_, _> =
                        outcome.values.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
                    let line =
                        json!({"round": round + 1, "server": server.id, "faults": faults, "values": values});
                    writeln!(log, "{line}")?;
                    outcome.print(&server.id, began.elapsed());
                    results.add(index, &outcome);
                }
            }
        }
        servers.iter_mut().for_each(Server::stop);
    }
    let table = results.table();
    println!("\n{table}");
    if !options.dry {
        report::write(&environment, &results, &table)?;
    }
    let ours: Vec<usize> =
        servers.iter().enumerate().filter(|(_, server)| server.is_ours()).map(|(index, _)| index).collect();
    Ok(results.is_clean(&ours))
}

/// Lists the columns of the table, in order.
fn servers(options: &Options, programs: &Path) -> Result<Vec<Server>> {
    let mut servers = vec![
        Server::new("node", "node socket.io", Kind::Node),
        Server::new("bun", "Bun socket.io", Kind::Bun),
        Server::new("python", "python-socketio", Kind::Python),
        Server::new("bare", "socketioxide, no auth, no DB", Kind::Bare),
        Server::new("floor", "floor: plain WebSocket, no auth, no DB", Kind::Floor),
    ];
    let beside = format!("ours={}", programs.join("mango-chat").display());
    let builds = if options.server.is_empty() { vec![beside] } else { options.server.clone() };
    for build in &builds {
        let (name, path) = build.split_once('=').unwrap_or(("ours", build));
        let program = fs::canonicalize(path).map_err(|error| format!("{path}: {error}"))?;
        let ours = |postgres, dialect| Kind::Ours { program: program.clone(), postgres, dialect };
        servers.extend([
            Server::new(
                &format!("{name}-sqlite"),
                &format!("{name}, SQLite"),
                ours(false, Dialect::SocketIo),
            ),
            Server::new(
                &format!("{name}-postgres"),
                &format!("{name}, PostgreSQL"),
                ours(true, Dialect::SocketIo),
            ),
            Server::new(
                &format!("{name}-plain"),
                &format!("{name}, SQLite, plain WebSocket"),
                ours(false, Dialect::Plain),
            ),
        ]);
    }
    let matches = |server: &Server, name: &String| {
        server.id == *name || server.id.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('-'))
    };
    if let Some(name) = options.only.iter().find(|name| !servers.iter().any(|server| matches(server, name))) {
        return Err(format!("--only: there is no server {name}").into());
    }
    servers.retain(|server| options.only.is_empty() || options.only.iter().any(|name| matches(server, name)));
    Ok(servers)
}

/// A folder that is removed at the end.
pub struct Temporary(pub PathBuf);

impl Temporary {
    /// Creates it below the system's folder for temporary files; its name ends with the id of this process.
    pub fn new(name: &str) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("{name}.{}", std::process::id()));
        fs::create_dir(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What stays is below the system's folder for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

//! `faults`: the checker of the tests as a command, for long runs. It starts the server and its database itself, kills
//! both, cuts, freezes and half-closes connections, fills the disk and holds locks. At the end it reports what was
//! lost, duplicated, out of order or wrong. The last line is JSON; the exit status is 1 if a promise was broken.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what a command line tool is for")]

#[path = "../../../tests/it/checker/mod.rs"]
#[expect(dead_code, reason = "the other tests use the rest")]
mod checker;

/// The modules that the checker shares with the other tests.
#[path = "../../../tests/it/support"]
mod support {
    pub mod fetch;
    pub mod model;
}

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use checker::database::Store;
use checker::{Result, RunConfig, run};

/// Kills, cuts and freezes, then checks whether anything was lost, duplicated or reordered.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Minimum number of faults.
    #[arg(long, default_value_t = 200)]
    faults: u64,
    /// Minimum number of acknowledged sends.
    #[arg(long, default_value_t = 100_000)]
    acked: u64,
    /// A disposable database, which suffers no faults itself; by default the command starts its own.
    #[arg(long)]
    database_url: Option<String>,
    /// The kind of database that the command starts.
    #[arg(long, value_enum, default_value_t = Kind::Sqlite)]
    database: Kind,
    /// Locks SQLite's database instead of filling its disk. Both at once is impossible: only the server sees that disk,
    /// so no other process can lock a file on it.
    #[arg(long)]
    lock_sqlite: bool,
    /// Path of the server's program; by default the one next to this program.
    #[arg(long)]
    server: Option<PathBuf>,
    /// Clients that send; half of them wait for each ack, half keep eight sends in flight.
    #[arg(long, default_value_t = 10)]
    senders: usize,
    /// Clients that only listen.
    #[arg(long, default_value_t = 6)]
    listeners: usize,
    /// Number of groups.
    #[arg(long, default_value_t = 8)]
    chats: usize,
    /// Milliseconds between two sends of one sender.
    #[arg(long, default_value_t = 8)]
    pace_ms: u64,
    /// Maximum milliseconds between two faults.
    #[arg(long, default_value_t = 3_000)]
    calm_ms: u64,
    /// Seconds that PostgreSQL stays stopped the first time.
    #[arg(long, default_value_t = 20)]
    longest_stop: u64,
    /// Seed of the random numbers; by default a new one for every run.
    #[arg(long)]
    seed: Option<u64>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Kind {
    Sqlite,
    Postgres,
}

#[tokio::main]
async fn main() -> ExitCode {
    match started(Cli::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("faults: {error}");
            ExitCode::from(2)
        }
    }
}

async fn started(cli: Cli) -> Result<bool> {
    let text = |error: std::io::Error| error.to_string();
    let seed = cli.seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
    let folder = std::env::temp_dir().join(format!("mango-faults-{seed:016x}"));
    std::fs::create_dir_all(&folder).map_err(text)?;
    let beside = std::env::current_exe().map_err(text)?.with_file_name("mango-chat");
    let store = match (cli.database_url, cli.database) {
        (Some(url), _) => Store::Given(url),
        (None, Kind::Sqlite) => Store::Sqlite { disk: !cli.lock_sqlite },
        (None, Kind::Postgres) => Store::Postgres,
    };
    let config = RunConfig {
        binary: cli.server.unwrap_or(beside),
        folder: folder.clone(),
        store,
        min_faults: cli.faults,
        min_acked: cli.acked,
        senders: cli.senders,
        listeners: cli.listeners,
        chats: cli.chats,
        send_interval: Duration::from_millis(cli.pace_ms),
        max_pause: Duration::from_millis(cli.calm_ms),
        max_outage: Duration::from_secs(cli.longest_stop),
        seed,
    };
    println!("seed {seed}, in {}", folder.display());
    let report = run(&config).await?;
    let good = report.verdict.is_good();
    for example in &report.verdict.examples {
        println!("{example}");
    }
    println!("{}", serde_json::to_string(&report).map_err(|error| error.to_string())?);
    if good {
        // A failed run keeps its folder for inspection.
        std::fs::remove_dir_all(&folder).map_err(text)?;
    }
    Ok(good)
}

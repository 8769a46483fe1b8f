//! `growth`: how the cost of a send and of a page grows with the messages of a chat, its members, the chats
//! of a user and the idle connections. The data is written into the database by SQL before the server starts,
//! because sending a million messages would take longer than measuring.

mod axis;
mod measure;
mod plant;
mod plot;
mod report;
mod series;
mod site;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueEnum};

use self::axis::Axis;
use self::series::Outcome;
use self::site::Site;
use crate::Result;
use crate::compare::Temporary;
use crate::compare::postgres::Postgres;

/// Open files of each process, more than the most connections need.
const OPEN_FILES: u64 = 65_536;

/// Open files that are not idle connections.
const SPARE_FILES: u64 = 500;

/// Where the server stores its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Database {
    /// A file.
    Sqlite,
    /// A PostgreSQL that this program starts.
    Postgres,
}

impl Database {
    /// Returns the name for tables and plots.
    pub fn title(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// Options of `growth`.
#[derive(Args)]
pub struct Options {
    /// The server's program. By default the one next to this program.
    #[arg(long)]
    server: Option<PathBuf>,
    /// The databases to measure. By default both.
    #[arg(long, value_enum, value_delimiter = ',')]
    database: Vec<Database>,
    /// What is enlarged. By default everything.
    #[arg(long, value_enum, value_delimiter = ',')]
    axes: Vec<Axis>,
    /// Small sizes and few repetitions: checks that everything runs.
    #[arg(long)]
    quick: bool,
    /// The folder of the results, `GROWTH.md` and `growth.svg`. By default `bench`.
    #[arg(long)]
    output: Option<PathBuf>,
}

/// Runs the measurements; returns whether none failed and everything that was acknowledged is stored.
pub async fn run(options: Options) -> Result<bool> {
    raise_open_files()?;
    let beside = || Some(std::env::current_exe().ok()?.with_file_name("mango-chat"));
    let program = options.server.clone().or_else(beside).ok_or("there is no server's program")?;
    let program = fs::canonicalize(&program).map_err(|error| format!("{}: {error}", program.display()))?;
    let databases = if options.database.is_empty() {
        Database::value_variants().to_vec()
    } else {
        options.database.clone()
    };
    let axes = if options.axes.is_empty() { Axis::value_variants().to_vec() } else { options.axes.clone() };
    let temp = Temporary::new("mango-growth")?;
    let postgres = databases.contains(&Database::Postgres).then(|| Postgres::start(&temp.0)).transpose()?;
    let samples = measure::Samples::new(options.quick);
    let began = Instant::now();
    let (mut outcomes, mut failures) = (Vec::new(), Vec::new());
    for axis in axes {
        for size in sizes(axis, options.quick)? {
            for database in &databases {
                let cluster = postgres.as_ref().filter(|_| *database == Database::Postgres);
                let name = format!("{} {}, {}", series::thousands(size), axis.title(), database.title());
                match point(&temp.0, &program, cluster, axis, size, samples).await {
                    Ok(values) => {
                        let text: Vec<String> = values
                            .iter()
                            .map(|(metric, value)| format!("{} {}", metric.name, series::format(*value)))
                            .collect();
                        println!("{:>4} s  {name}: {}", began.elapsed().as_secs(), text.join("; "));
                        outcomes.push(Outcome { axis, database: *database, size, values });
                    }
                    Err(error) => {
                        eprintln!("mango-bench: {name}: {error}");
                        failures.push(format!("{name}: {error}"));
                    }
                }
            }
        }
    }
    let output = options.output.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).to_owned());
    let version = postgres.as_ref().map(|it| it.version.clone());
    report::write(&output, &outcomes, &failures, version.as_deref())?;
    println!("\n{}", report::tables(&outcomes));
    Ok(failures.is_empty())
}

/// Returns the sizes of an axis. The connections are fewer if the limit of open files does not allow as many.
fn sizes(axis: Axis, quick: bool) -> Result<Vec<u64>> {
    let files = rlimit::getrlimit(rlimit::Resource::NOFILE)?.0;
    let most = files.saturating_sub(SPARE_FILES) / 1_000 * 1_000;
    let fit = |size: &u64| if axis == Axis::Connections && files < size + SPARE_FILES { most } else { *size };
    let mut sizes: Vec<u64> = axis.sizes(quick).iter().map(fit).filter(|size| *size > 0).collect();
    sizes.dedup();
    Ok(sizes)
}

/// Measures one size on one database, with a new server whose data is removed at the end.
async fn point(
    temp: &Path,
    program: &Path,
    postgres: Option<&Postgres>,
    axis: Axis,
    size: u64,
    samples: measure::Samples,
) -> Result<Vec<(&'static axis::Metric, f64)>> {
    let mut planted = Site::create(temp, program, postgres).await?;
    let result = async {
        planted.start()?;
        planted.stop();
        plant::fill(&planted, &axis.plan(size)).await?;
        planted.start()?;
        measure::values(&planted, axis, size, samples).await
    }
    .await;
    planted.stop();
    planted.remove(postgres).await?;
    result
}

/// Allows many open files, also for the servers, which inherit the limit.
fn raise_open_files() -> Result<()> {
    // Only root may raise the hard limit; other users get as much as they may have.
    if rlimit::setrlimit(rlimit::Resource::NOFILE, OPEN_FILES, OPEN_FILES).is_err() {
        rlimit::increase_nofile_limit(rlimit::INFINITY)?;
    }
    Ok(())
}

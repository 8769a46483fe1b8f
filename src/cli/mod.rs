//! The command line: reads arguments and settings, then runs one command.

mod admin;
mod healthcheck;
mod import;

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Settings, load_env_files};
use crate::domain::demo;
use crate::error::{Error, Result};
use crate::platform::db::{Db, explain_migrate, file_of};
use crate::platform::log;
use crate::{app, backup, protocol, transport};

/// A chat backend in one binary.
#[derive(Parser)]
#[command(version, about)]
struct Line {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the server (default).
    Serve,
    /// Applies, reverts or lists migrations of the database.
    Migrate {
        #[command(subcommand)]
        direction: Direction,
    },
    /// Adds demo users and chats to an empty database.
    Seed,
    /// Prints the OpenAPI document.
    Openapi,
    /// Prints the AsyncAPI document.
    Asyncapi,
    /// Manages admins and the epoch of the database.
    Admin {
        #[command(subcommand)]
        command: admin::Command,
    },
    /// Imports the data of another service into this database.
    Import {
        #[command(subcommand)]
        from: import::Source,
    },
    /// Copies the database and the files to a folder. The server may be running.
    Backup {
        /// Must not exist, or be empty.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Replaces the database and the files by those of a backup, and keeps the previous ones. The server must be stopped.
    Restore {
        /// A folder that `backup` created.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Checks that the server on this machine is ready; for containers.
    Healthcheck,
}

#[derive(Clone, Copy, Subcommand)]
enum Direction {
    /// Applies all pending migrations.
    Up,
    /// Reverts the latest migration.
    Down,
    /// Lists migrations.
    Status,
}

/// Runs the command that the arguments of the process ask for.
///
/// The exit code is 0 if it succeeded and 2 if it failed. `import` returns 1 if it was incomplete, and `healthcheck` if
/// the server is not ready.
pub fn main() -> ExitCode {
    let help = settings_help();
    let command =
        Line::command().after_long_help(help.clone()).mut_subcommand("serve", |it| it.after_help(help));
    let line = match Line::from_arg_matches(&command.get_matches()) {
        Ok(line) => line,
        Err(error) => error.exit(),
    };
    let settings = match read_settings() {
        Ok(settings) => settings,
        Err(problem) => return refuse(&problem),
    };
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return refuse("TLS could not be set up");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&format!("the runtime could not start: {error}")),
    };
    let done = runtime.block_on(run(line.command.unwrap_or(Command::Serve), settings));
    // Password hashes and images that are still in progress have lost their caller.
    runtime.shutdown_timeout(Duration::from_millis(500));
    match done {
        Ok(code) => code,
        Err(error) => refuse(&if error.source.is_some() { error.chain() } else { error.message }),
    }
}

#[expect(clippy::print_stderr, reason = "logging may not have started")]
fn refuse(problem: &str) -> ExitCode {
    eprintln!("mango-chat: {problem}");
    ExitCode::from(2)
}

fn read_settings() -> std::result::Result<Settings, String> {
    static FILES: OnceLock<HashMap<String, String>> = OnceLock::new();
    let real = |name: &str| std::env::var(name).ok();
    let here = std::env::current_dir().map_err(|error| error.to_string())?;
    let files = load_env_files(&here, &real).map_err(|error| error.to_string())?;
    let files = FILES.get_or_init(|| files);
    Settings::from_source(&|name| real(name).or_else(|| files.get(name).cloned()))
        .map_err(|error| error.to_string())
}

fn settings_help() -> String {
    let lines = Settings::describe().into_iter().map(|setting| {
        let default =
            if setting.default.is_empty() { String::new() } else { format!(" [{}]", setting.default) };
        format!("  {:<24} {}{default}", setting.name, setting.meaning)
    });
    let head = "Settings (environment, .env.$MANGO_ENV, .env):".to_owned();
    [head].into_iter().chain(lines).collect::<Vec<_>>().join("\n")
}

#[expect(clippy::print_stdout, reason = "the output of these commands")]
async fn run(command: Command, settings: Settings) -> Result<ExitCode> {
    match command {
        Command::Serve => return serve(settings).await,
        Command::Openapi => {
            println!("{}", transport::rest::openapi().to_pretty_json().map_err(Error::internal)?);
        }
        Command::Asyncapi => {
            let text =
                serde_json::to_string_pretty(&protocol::asyncapi::document()).map_err(Error::internal)?;
            println!("{text}");
        }
        Command::Healthcheck => return Ok(healthcheck::run(&settings).await),
        Command::Backup { folder } => {
            if let Some(file) = file_of(&settings.database.url).filter(|file| !file.exists()) {
                return Err(Error::unavailable(format!("DATABASE_URL: there is no {}", file.display())));
            }
            let db = app::connect(&settings).await?;
            backup::create(&settings, &db, &folder).await?.iter().for_each(|line| println!("{line}"));
        }
        Command::Restore { folder } => {
            backup::restore(&settings, &folder).await?.iter().for_each(|line| println!("{line}"));
        }
        Command::Seed => {
            let context = app::open_context(settings).await?;
            let people = demo::seed(&context).await?;
            println!("demo users {} with the password {}", people.join(", "), demo::PASSWORD);
        }
        Command::Admin { command } => admin::run(command, settings).await?,
        Command::Import { from } => return import::run(from, settings).await,
        Command::Migrate { direction } => {
            let db = app::connect(&settings).await?;
            let done = migrate(&db, direction).await;
            if let Err(error) = done {
                return Err(explain_migrate(&settings.database.url, &db, error).await);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "the output of these commands")]
async fn migrate(db: &Db, direction: Direction) -> Result<()> {
    match direction {
        Direction::Up => db.migrate_up().await?,
        Direction::Down => db.migrate_down().await?,
        Direction::Status => {}
    }
    for (name, applied) in db.migration_status().await? {
        println!("{} {name}", if applied { "applied" } else { "pending" });
    }
    Ok(())
}

async fn serve(settings: Settings) -> Result<ExitCode> {
    let _log = log::start(&settings.log.dir, settings.log.format, &settings.log.filter);
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::internal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::internal)?;
    let server = app::start_alone(settings).await?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    server.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

//! The binary: reads the command line and the settings, starts logging, runs one command.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use mango_chat::config::{Settings, load_env_files};
use mango_chat::domain::moderation::{self, Appointment};
use mango_chat::domain::{demo, epoch, import};
use mango_chat::error::{Error, Result};
use mango_chat::platform::db::{Db, explain_migrate, file_of};

use mango_chat::platform::log;
use mango_chat::platform::progress::Progress;
use mango_chat::{app, backup, protocol, random, transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::signal::unix::{SignalKind, signal};

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
    /// Brings the database up to date, takes one step back, or shows where it stands.
    Migrate {
        #[command(subcommand)]
        direction: Direction,
    },
    /// Plants demo users and chats in an empty database.
    Seed,
    /// Prints the OpenAPI document.
    Openapi,
    /// Prints the AsyncAPI document.
    Asyncapi,
    /// For operators.
    Admin {
        #[command(subcommand)]
        act: Admin,
    },
    /// Imports the data of another service into this database.
    Import {
        #[command(subcommand)]
        from: Import,
    },
    /// Copies the database, the files and their description into a folder. The server may be running.
    Backup {
        /// Must not exist, or be empty.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Puts a backup in the place of the database and the files, which are kept aside. The server must not run.
    Restore {
        /// A folder that `backup` made.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Asks the server on this machine whether it is ready; for containers.
    Healthcheck,
}

#[derive(Subcommand)]
enum Import {
    /// Users, chats, messages, likes, pins and photos of a Mango. It may be run again: it goes on where it
    /// stopped, and takes what is new. Exit code 0: everything came over; 1: some of it did not, see the
    /// report; 2: it failed.
    Mango {
        /// Mango's database, postgres://USER@HOST:PORT/DATABASE; the password may come from PGPASSWORD.
        #[arg(long, value_name = "URL")]
        from: String,
        /// Mango's `static` folder; without it everybody has a default avatar.
        #[arg(long, value_name = "FOLDER")]
        photos: Option<PathBuf>,
        /// Tries everything and keeps nothing. The database is locked for writing meanwhile.
        #[arg(long)]
        dry_run: bool,
        /// Rows of one transaction, 1 to 10000.
        #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        batch: u16,
        /// Remembers this Mango under a name; a second one needs another.
        #[arg(long, value_name = "NAME", default_value = import::DEFAULT_NAME)]
        source: String,
        /// Adds every problem to a file, as lines of JSON.
        #[arg(long, value_name = "FILE")]
        report: Option<PathBuf>,
    },
}

#[derive(Clone, Subcommand)]
enum Admin {
    /// Renews the database's epoch, after a backup was restored: clients drop what they hold and fetch anew.
    NewEpoch,
    /// Makes an admin: a new account, or with --promote one that exists. Servers may be running.
    Create {
        /// Login name.
        #[arg(long)]
        username: String,
        /// E-mail address of the new account; taken as confirmed.
        #[arg(long, conflicts_with = "promote")]
        email: Option<String>,
        /// Reads the password from standard input (one line); without it one is made up and printed.
        #[arg(long, conflicts_with = "promote")]
        password_stdin: bool,
        /// Takes the account of this name that exists; its password stays.
        #[arg(long)]
        promote: bool,
    },
    /// Lists moderators and admins.
    List,
}

#[derive(Clone, Copy, Subcommand)]
enum Direction {
    /// Applies all pending migrations.
    Up,
    /// Takes the latest migration back.
    Down,
    /// Lists migrations.
    Status,
}

fn main() -> ExitCode {
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
    // A password or a picture that is still being worked on is nobody's any more.
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    match done {
        Ok(code) => code,
        Err(error) => refuse(&if error.source.is_some() { error.chain() } else { error.message }),
    }
}

#[expect(clippy::print_stderr, reason = "a refusal is for the terminal, logging may not have started")]
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

#[expect(clippy::print_stdout, reason = "these commands are asked to print")]
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
        Command::Healthcheck => return healthcheck(&settings).await,
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
        Command::Admin { act } => administer(act, settings).await?,
        Command::Import { from: Import::Mango { from, photos, dry_run, batch, source, report } } => {
            let batch = usize::from(batch);
            let options = import::Options { from, photos, dry_run, batch, name: source, report };
            return bring_over(settings, options).await;
        }
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

#[expect(clippy::print_stdout, reason = "these commands are asked to print")]
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

#[expect(clippy::print_stdout, reason = "these commands are asked to print")]
async fn administer(act: Admin, settings: Settings) -> Result<()> {
    match act {
        Admin::NewEpoch => {
            let context = app::open_context(settings).await?;
            println!("the epoch is {} now; start the servers again", epoch::renew(&context).await?);
        }
        Admin::Create { username, email, password_stdin, promote } => {
            let made_up = !promote && !password_stdin;
            let password = match (promote, password_stdin) {
                (true, _) => None,
                (false, true) => Some(read_password()?),
                (false, false) => Some(random::hex(12)?),
            };
            let context = app::open_context(settings).await?;
            let shown = password.clone().filter(|_| made_up);
            let request = Appointment { username: username.clone(), email, password };
            let id = moderation::appoint(&context, request).await?;
            println!("{username} is an admin now (user {id})");
            if let Some(password) = shown {
                println!("password: {password}");
            }
        }
        Admin::List => {
            let context = app::open_context(settings).await?;
            for (id, username, role) in moderation::list_moderators(&context).await? {
                println!("{role} {} (user {id})", username.unwrap_or_else(|| "-".into()));
            }
        }
    }
    Ok(())
}

/// One line of standard input, without its end.
fn read_password() -> Result<String> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(Error::internal)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

#[expect(clippy::print_stdout, reason = "the report is what the command is for")]
async fn bring_over(settings: Settings, options: import::Options) -> Result<ExitCode> {
    let context = app::open_context(settings).await?;
    let progress = Progress::for_terminal();
    let report = import::run(&context, &options, &progress).await;
    progress.end();
    let report = report?;
    println!("{}", report.to_text());
    if options.dry_run {
        println!("nothing was kept: this was a dry run");
    }
    Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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

/// Asks `/health/ready` over plain HTTP; no client library for one line.
async fn healthcheck(settings: &Settings) -> Result<ExitCode> {
    let mut address = settings.bind;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let asked = async {
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        let request = format!("GET /health/ready HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = tokio::time::timeout(std::time::Duration::from_secs(5), asked)
        .await
        .map_err(|_| Error::unavailable("no answer within 5 seconds"))?
        .map_err(|error| Error::unavailable(format!("{address}: {error}")))?;
    let ready = answer.starts_with("HTTP/1.1 200");
    Ok(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

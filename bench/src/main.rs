//! `mango-bench`: puts load on a running server and measures what it stores, delivers and uses. It observes the server
//! only from outside, through REST, Socket.IO and `/proc`, and shares no code with it, because a mistake in a shared type
//! would go unnoticed.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what a command line tool is for")]

mod client;
mod compare;
mod delete;
mod fanout;
mod floor;
mod growth;
mod idle;
mod ledger;
mod logins;
mod member;
mod photo;
mod process;
mod reads;
mod reconnect;
mod report;
mod room;
mod search;
mod sends;
mod table;
mod users;
mod words;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Any error that ends a bench before it has a result.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The result of most functions here.
pub type Result<T> = std::result::Result<T, Error>;

/// Load generator for Mango Chat. Every subcommand prints its numbers with their meaning, then one line of JSON for
/// scripts. The exit status is 1 if the server broke a promise.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// Closed-loop senders in many group chats: stored sends per second, ack latency, nothing lost.
    Sends(sends::Options),
    /// One INSERT per transaction into a scratch table: the speed of the database without batches.
    Floor(floor::Options),
    /// Idle websockets: memory per socket.
    Idle(idle::Options),
    /// One sender, one big group: deliveries per second and their latency.
    Fanout(fanout::Options),
    /// A large photo: milliseconds until all its sizes are stored.
    Photo(photo::Options),
    /// Users who log in at the same time: logins per second, and memory meanwhile.
    Logins(logins::Options),
    /// Members who move their read marks: marks per second.
    Reads(reads::Options),
    /// Many clients that reconnect at once, each some messages behind: time until all have caught up.
    Reconnect(reconnect::Options),
    /// Searches over many messages: time until the first results.
    Search(search::Options),
    /// Deleting groups of several sizes: milliseconds, and how long a send in another chat waits meanwhile.
    Delete(delete::Options),
    /// Other servers beside Mango Chat, all doing the same work under the same load: a table and a plot.
    Compare(compare::Options),
    /// How the cost of a send and of a page grows with messages, members, chats and connections: tables and plots.
    Growth(growth::Options),
    /// Reads the JSON lines of other runs from stdin and prints them as a Markdown table.
    Table,
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Cli::parse().bench {
        Bench::Sends(options) => sends::run(options).await,
        Bench::Floor(options) => floor::run(options).await,
        Bench::Idle(options) => idle::run(options).await,
        Bench::Fanout(options) => fanout::run(options).await,
        Bench::Photo(options) => photo::run(options).await,
        Bench::Logins(options) => logins::run(options).await,
        Bench::Reads(options) => reads::run(options).await,
        Bench::Reconnect(options) => reconnect::run(options).await,
        Bench::Search(options) => search::run(options).await,
        Bench::Delete(options) => delete::run(options).await,
        Bench::Compare(options) => compare::run(options).await,
        Bench::Growth(options) => growth::run(options).await,
        Bench::Table => table::run(),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mango-bench: {error}");
            ExitCode::from(2)
        }
    }
}

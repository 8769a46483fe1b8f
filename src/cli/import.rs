//! `mango-chat import`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use crate::app;
use crate::config::Settings;
use crate::domain::import::{self, Options};
use crate::error::Result;
use crate::platform::progress::Progress;

#[derive(Subcommand)]
pub enum Source {
    /// Imports users, chats, messages, likes, pins and photos of a Mango API. Run it again to continue after an
    /// interruption, or to import what is new. Exit code 0: everything was imported; 1: some rows were not, see
    /// the report; 2: the import failed.
    Mango {
        /// Mango's database, postgres://USER@HOST:PORT/DATABASE; the password may come from PGPASSWORD.
        #[arg(long, value_name = "URL")]
        from: String,
        /// Mango's `static` folder. Without it all users get a default avatar.
        #[arg(long, value_name = "FOLDER")]
        photos: Option<PathBuf>,
        /// Imports everything, then rolls back. The database is locked for writing meanwhile.
        #[arg(long)]
        dry_run: bool,
        /// Rows per transaction, 1 to 10000.
        #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        batch: u16,
        /// Name of this source. A second source requires another name.
        #[arg(long, value_name = "NAME", default_value = import::DEFAULT_NAME)]
        source: String,
        /// Appends every problem to a file, as lines of JSON.
        #[arg(long, value_name = "FILE")]
        report: Option<PathBuf>,
    },
}

#[expect(clippy::print_stdout, reason = "the output of the command")]
pub async fn run(source: Source, settings: Settings) -> Result<ExitCode> {
    let Source::Mango { from, photos, dry_run, batch, source, report } = source;
    let options = Options { from, photos, dry_run, batch: batch.into(), name: source, report };
    let context = app::open_context(settings).await?;
    let progress = Progress::for_terminal();
    let report = import::run(&context, &options, &progress).await;
    progress.end();
    let report = report?;
    println!("{}", report.to_text());
    if options.dry_run {
        println!("dry run: nothing was stored");
    }
    Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

//! Imports a Mango database: users, chats with their members and pins, messages with their likes, and photos.
//!
//! The source is read in one snapshot and written in batches. Each transaction contains a batch and the note that
//! it was imported (table `imports`). An import can therefore be interrupted at any point and run again without
//! duplicating or losing anything. Rows that were imported once are skipped.
//!
//! No events are published. A server that runs at the same time finds new messages in known chats by comparing
//! heads, as it does with messages of other nodes.

mod chats;
mod marks;
mod messages;
mod people;
mod photos;
pub mod report;
mod target;

use std::path::PathBuf;

use crate::domain::AppContext;
use crate::domain::audit::{self, Act};
use crate::domain::chats::lobby;
use crate::error::{Error, Result};
use crate::platform::progress::Progress;
use crate::platform::tokens::hash;
use import::Source;
use report::{Kind, Report};
use target::Target;

/// The name under which a source is remembered by default.
pub const DEFAULT_NAME: &str = "mango";

/// What to import, and how.
pub struct Options {
    /// `postgres://…`
    pub from: String,
    /// Mango's `static` folder; without it all new users have a default avatar.
    pub photos: Option<PathBuf>,
    /// Whether to run the whole import without keeping anything.
    pub dry_run: bool,
    /// Rows per transaction.
    pub batch: usize,
    /// The name under which this source is remembered; each Mango database needs its own.
    pub name: String,
    /// A file that gets each problem as a line of JSON.
    pub report: Option<PathBuf>,
}

/// Runs the import; returns its report.
pub async fn run(context: &AppContext, options: &Options, progress: &Progress) -> Result<Report> {
    if options.name.is_empty() || options.name.len() > 64 {
        return Err(Error::invalid("--source", "must have 1 to 64 characters"));
    }
    if let Some(folder) = options.photos.as_deref().filter(|folder| !folder.is_dir()) {
        return Err(Error::invalid("--photos", format!("{} is not a folder", folder.display())));
    }
    let source = Source::open(&options.from, options.batch.clamp(1, 10_000)).await?;
    let mut report = Report::open(options.report.as_deref(), &options.name, context.clock.now())?;
    let mut target = Target::open(context, &options.name, options.dry_run).await?;
    if let Some(mark) = source.mark().await? {
        target.require_mark(&hash(&mark)).await?;
    }
    for missing in source.schema.missing_tables() {
        report.note(format!("the source has no table for {missing}: none are imported"));
    }
    people::bring(&source, &mut target, &mut report, progress).await?;
    chats::bring(&source, &mut target, &mut report, progress).await?;
    target.count_rows().await?;
    messages::bring(&source, &mut target, &mut report, progress).await?;
    match &options.photos {
        Some(folder) => photos::bring(context, folder, &source, &mut target, &mut report, progress).await?,
        None => {
            report.note("photos were not requested (--photos): new users get a default avatar".into());
        }
    }
    target.close().await?;
    source.close().await?;
    if !options.dry_run {
        // Imported users become members of the lobby too.
        lobby::prepare(context).await?;
        note(context, options, &report).await?;
    }
    report.finish()?;
    Ok(report)
}

/// Records an import in the audit log, unless it imported nothing. It has no actor: the operator of the command
/// line has all rights.
async fn note(context: &AppContext, options: &Options, report: &Report) -> Result<()> {
    let taken = |kind| report.count(kind).taken;
    let all = [Kind::User, Kind::Chat, Kind::Message, Kind::Photo];
    if all.into_iter().all(|kind| taken(kind) == 0) {
        return Ok(());
    }
    let details = serde_json::json!({
        "source": options.name,
        "users": taken(Kind::User),
        "chats": taken(Kind::Chat),
        "messages": taken(Kind::Message),
        "complete": report.is_complete(),
    });
    let act =
        Act { actor: None, action: "server.import", target: audit::Target::Server, details, address: None };
    let tx = context.db.begin().await?;
    audit::record(context, &tx, act).await?;
    context.publish(tx.commit(()).await?).await;
    Ok(())
}

impl From<import::Error> for Error {
    fn from(error: import::Error) -> Self {
        match error {
            import::Error::Invalid(problem) => Self::invalid("--from", problem),
            import::Error::Failed(problem) => Self::internal(format!("--from: {problem}")),
        }
    }
}

/// Starts the progress bar of a phase.
fn begin(progress: &Progress, kind: Kind, total: u64) {
    progress.begin(kind.plural(), total);
}

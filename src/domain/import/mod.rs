//! Bringing a Mango database over: users, chats with their members and pins, messages with their likes,
//! photos.
//!
//! Everything is read in one snapshot of the source and written in batches. What a batch brings over and the
//! note that it did so (table `imports`) are one transaction, so an import can break off anywhere, be run
//! again, and neither double nor lose anything. Whatever was brought over once is not looked at again.
//!
//! Nothing is announced: there is nobody yet who could hear it. A server that runs beside it finds new
//! messages in known chats by comparing heads, as it does with those of other nodes.

mod chats;
mod marks;
mod messages;
mod people;
mod photos;
pub mod report;
mod schema;
mod source;
mod target;
mod times;

use std::path::PathBuf;

use crate::domain::AppContext;
use crate::domain::audit::{self, Act};
use crate::domain::chats::lobby;
use crate::error::{Error, Result};
use crate::platform::progress::Progress;
use report::{Kind, Report};
use source::Source;
use target::Target;

/// The name under which a source is remembered if it is given none.
pub const DEFAULT_NAME: &str = "mango";

/// What to import, and how.
pub struct Options {
    /// `postgres://…`
    pub from: String,
    /// Mango's `static` folder; without it everybody has a default avatar.
    pub photos: Option<PathBuf>,
    /// Everything is tried, nothing is kept.
    pub dry_run: bool,
    /// Rows of one transaction.
    pub batch: usize,
    /// The name under which this source is remembered; another Mango needs another one.
    pub name: String,
    /// A file that each problem is written to as a line of JSON.
    pub report: Option<PathBuf>,
}

/// Brings everything over; answers what became of it.
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
        target.require_mark(&mark).await?;
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
        // Who came over is a member of what everybody is a member of.
        lobby::prepare(context).await?;
        note(context, options, &report).await?;
    }
    report.finish()?;
    Ok(report)
}

/// Whoever can run this acts with all rights.
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

/// Puts a bar over a phase.
fn begin(progress: &Progress, kind: Kind, total: u64) {
    progress.begin(kind.plural(), total);
}

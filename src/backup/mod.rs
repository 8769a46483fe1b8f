//! Backups: a folder with a copy of the SQLite database, the files of local storage, and a description of both.
//! PostgreSQL and S3 have means of their own; a backup then says what it leaves out.

mod files;
mod restore;

pub use restore::{refuse_half_restored, restore};

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Timestamp};
use crate::config::{Settings, StorageKind};
use crate::domain::epoch;
use crate::error::{Error, Result};
use crate::platform::db::Db;
use crate::random;
use files::{beside, copy_tree, sync};

/// The description, written last.
const DESCRIPTION: &str = "backup.json";

/// The copy of the database.
const DATABASE: &str = "mango.db";

/// Files of local storage, here and in the data folder.
const STORAGE: &str = "storage";

/// How backups are laid out; a change that older versions cannot read is another number.
const FORMAT: u32 = 1;

/// What a backup says about itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct Description {
    format: u32,
    /// Of the mango-chat that made it.
    version: String,
    /// RFC 3339.
    created_at: String,
    /// None where the database is not in it.
    database: Option<DatabaseDescription>,
    /// Files of local storage; none where they are not in it.
    files: Option<usize>,
}

/// What a backup says about its database.
#[derive(Debug, Serialize, Deserialize)]
struct DatabaseDescription {
    /// The epoch that it had.
    epoch: String,
    migrations: Vec<String>,
}

/// What a command has to say about what it did, one line each.
pub type Report = Vec<String>;

/// Makes a backup in `folder`, which must not exist or be empty. Servers may be running. Nothing is there under that
/// name before all of it is.
pub async fn create(settings: &Settings, db: &Db, folder: &Path) -> Result<Report> {
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Error::unavailable(format!(
            "{}: is not empty, and a backup overwrites nothing",
            folder.display()
        )));
    }
    let draft = beside(folder, &format!(".partial-{}", random::hex(4)?))?;
    let made = fill(settings, db, &draft).await.and_then(|report| {
        files::rename(&draft, folder)?;
        Ok(report)
    });
    if made.is_err() {
        // The failure is what counts; what is left of the draft is named after it.
        drop(fs::remove_dir_all(&draft));
    }
    let mut report = made?;
    report.insert(0, format!("the backup is in {}", folder.display()));
    Ok(report)
}

async fn fill(settings: &Settings, db: &Db, folder: &Path) -> Result<Report> {
    files::make(folder)?;
    let mut report = Report::new();
    let storage = match settings.storage {
        StorageKind::Local => Some(settings.data_dir.join(STORAGE)),
        StorageKind::S3(_) => {
            report.push(
                "STORAGE=s3: the backup does not contain the files; back the bucket up with its own tools"
                    .into(),
            );
            None
        }
    };
    let copy_storage = || storage.as_deref().map(|from| copy_tree(from, &folder.join(STORAGE))).transpose();
    // Before the database, for files that go meanwhile; after it, for files that come.
    copy_storage()?;
    let database = if db.file().is_some() {
        let copy = folder.join(DATABASE);
        db.copy_into(&copy).await?;
        files::close_to_others(&copy)?;
        sync(&copy)?;
        let migrations = db.migration_status().await?.into_iter().filter(|(_, applied)| *applied);
        Some(DatabaseDescription {
            epoch: epoch::recorded(db).await?.unwrap_or_default(),
            migrations: migrations.map(|(name, _)| name).collect(),
        })
    } else {
        report.push(
            "DATABASE_URL: the backup does not contain the PostgreSQL database; back it up with pg_dump"
                .into(),
        );
        None
    };
    let files = copy_storage()?;
    let description = Description {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").into(),
        created_at: Timestamp(Clock::system().now()).to_rfc3339(),
        database,
        files,
    };
    let text = serde_json::to_string_pretty(&description).map_err(Error::internal)?;
    files::write(&folder.join(DESCRIPTION), text.as_bytes())?;
    sync(folder)?;
    Ok(report)
}

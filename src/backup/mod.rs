//! Backups: a folder with a copy of the SQLite database, the files of local storage, and a description of both.
//! PostgreSQL and S3 have their own backup tools; the report then says what the backup does not contain.

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

/// Version of the backup layout. It is incremented by changes that older versions cannot read.
const FORMAT: u32 = 1;

/// The description of a backup.
#[derive(Debug, Serialize, Deserialize)]
pub struct Description {
    format: u32,
    /// Version of mango-chat that made it.
    version: String,
    /// Time of creation, RFC 3339.
    created_at: String,
    /// The database; `None` if the backup does not contain it.
    database: Option<DatabaseDescription>,
    /// Number of files of local storage; `None` if the backup does not contain them.
    files: Option<usize>,
}

/// The description of the database in a backup.
#[derive(Debug, Serialize, Deserialize)]
struct DatabaseDescription {
    /// The epoch of the database.
    epoch: String,
    migrations: Vec<String>,
}

/// What a command reports about its work, one line each.
pub type Report = Vec<String>;

/// Makes a backup in `folder`, which must be missing or empty. Servers may be running. The folder only gets its name
/// when the backup is complete.
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
        // Report the original error; the name of a leftover draft shows what it is.
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
    // Copy once before the database, for files that are deleted meanwhile, and once after it, for files that are added.
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

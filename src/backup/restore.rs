//! Restores a backup. Nothing is replaced until the new database and files are complete beside the old ones. The old
//! ones are kept. If a restore is interrupted while it replaces them, the server refuses to start until it is repeated.

use std::fs;
use std::path::{Path, PathBuf};

use super::files::{self, beside, copy, copy_tree, count, failed};
use super::{DATABASE, DESCRIPTION, Description, FORMAT, Report, STORAGE};
use crate::clock::{Clock, Timestamp};
use crate::config::{Settings, StorageKind, sqlite_url};
use crate::domain::epoch;
use crate::error::{Error, Result};
use crate::platform::db::{Db, ServingLock, file_of, known_migrations};

/// Replaces the database and the files of these settings with the backup in `folder`. No server may be running.
pub async fn restore(settings: &Settings, folder: &Path) -> Result<Report> {
    let description = read(folder)?;
    let target = target(settings, &description)?;
    let now = Clock::system().now();
    let _lock = match &target {
        Some(_) => Some(ServingLock::take(&settings.database.url, now)?),
        None => None,
    };
    let stamp = Timestamp(now).to_rfc3339().replace([':', '.'], "-");
    let swaps = Swaps { aside: format!(".before-restore-{stamp}"), fresh: format!(".restoring-{stamp}") };
    let storage = settings.data_dir.join(STORAGE);
    let local = matches!(settings.storage, StorageKind::Local);
    let with_files = description.files.is_some() && local;
    let prepared = async {
        if let Some(target) = &target {
            if let Some(parent) = target.parent().filter(|it| !it.as_os_str().is_empty()) {
                files::make(parent)?;
            }
            prepare_database(settings, &folder.join(DATABASE), &beside(target, &swaps.fresh)?).await?;
        }
        if with_files {
            files::make(&settings.data_dir)?;
            copy_tree(&folder.join(STORAGE), &beside(&storage, &swaps.fresh)?)?;
        }
        Ok(())
    };
    let prepared: Result<()> = prepared.await;
    if let Err(error) = prepared {
        swaps.discard(target.as_deref());
        swaps.discard(Some(&storage));
        return Err(error);
    }
    let mut report = Report::new();
    let marker = target.as_deref().map(marker).transpose()?;
    if let Some(marker) = marker.as_deref().filter(|it| !it.exists()) {
        files::write(marker, folder.display().to_string().as_bytes())?;
    }
    if with_files {
        report.extend(swaps.swap(&storage)?);
    }
    if let Some(target) = &target {
        report.extend(swaps.swap_database(target)?);
    }
    if let Some(marker) = marker {
        fs::remove_file(&marker).map_err(failed(&marker))?;
    }
    report.insert(0, format!("the backup of {} is restored", description.created_at));
    if target.is_some() {
        report.push("the epoch is renewed: clients drop their data and fetch it again".into());
    }
    if description.files.is_some() && !local {
        report.push("STORAGE=s3: the files of the backup were not restored".into());
    }
    Ok(report)
}

/// Returns an error if a restore of the database was interrupted.
pub fn refuse_half_restored(settings: &Settings) -> Result<()> {
    let Some(file) = file_of(&settings.database.url) else { return Ok(()) };
    match fs::read_to_string(marker(&file)?) {
        Ok(folder) => Err(Error::unavailable(format!(
            "{}: a restore was interrupted; run `mango-chat restore {folder}` again",
            file.display()
        ))),
        Err(_) => Ok(()),
    }
}

fn marker(target: &Path) -> Result<PathBuf> {
    beside(target, "-restoring")
}

fn read(folder: &Path) -> Result<Description> {
    let path = folder.join(DESCRIPTION);
    let text = fs::read_to_string(&path)
        .map_err(|error| Error::unavailable(format!("{}: is not a backup: {error}", path.display())))?;
    let no_backup = |error| Error::unavailable(format!("{}: is not a backup: {error}", path.display()));
    let description: Description = serde_json::from_str(&text).map_err(no_backup)?;
    let known = known_migrations();
    let newer = description
        .database
        .as_ref()
        .is_some_and(|it| it.migrations.iter().any(|name| !known.contains(name)));
    if description.format > FORMAT || newer {
        return Err(Error::unavailable(format!(
            "{}: the backup was made by version {}, which is newer; restore it with that version",
            folder.display(),
            description.version
        )));
    }
    if let Some(files) = description.files {
        let there = if files == 0 { 0 } else { count(&folder.join(STORAGE))? };
        if there < files {
            return Err(Error::unavailable(format!(
                "{}: holds {there} files, but its manifest lists {files}",
                folder.join(STORAGE).display()
            )));
        }
    }
    Ok(description)
}

/// Returns where the backup's database belongs, if the backup contains one.
fn target(settings: &Settings, description: &Description) -> Result<Option<PathBuf>> {
    match (&description.database, file_of(&settings.database.url)) {
        (None, _) => Ok(None),
        (Some(_), Some(file)) => Ok(Some(file)),
        (Some(_), None) => Err(Error::unavailable(
            "DATABASE_URL: the backup contains a SQLite database, which can only be restored to a SQLite file".to_owned(),
        )),
    }
}

/// Copies the backup's database, checks the copy and gives it a new epoch.
async fn prepare_database(settings: &Settings, backup: &Path, fresh: &Path) -> Result<()> {
    if !copy(backup, fresh)? {
        return Err(Error::unavailable(format!("{}: is missing", backup.display())));
    }
    let damaged = |what: &str| Error::unavailable(format!("{}: is damaged: {what}", backup.display()));
    let checked = async {
        let db = Db::connect(&sqlite_url(fresh), &settings.database.limits).await?;
        let fault = db.damage_in_depth().await?;
        if fault.is_none() {
            epoch::write_new(&db).await?;
        }
        db.close().await?;
        Ok(fault)
    };
    let checked: Result<Option<String>> = checked.await;
    match checked {
        Ok(None) => files::sync(fresh),
        Ok(Some(fault)) => Err(damaged(&fault)),
        Err(error) if error.source.is_some() => Err(damaged(&error.chain())),
        Err(error) => Err(error),
    }
}

/// The file name endings of old and new data.
struct Swaps {
    aside: String,
    fresh: String,
}

impl Swaps {
    /// Moves the new data into place and keeps the old data aside. Returns a line that says where.
    fn swap(&self, place: &Path) -> Result<Option<String>> {
        let aside = beside(place, &self.aside)?;
        let was_there = place.exists();
        if was_there {
            files::rename(place, &aside)?;
        }
        files::rename(&beside(place, &self.fresh)?, place)?;
        Ok(was_there.then(|| format!("the previous data is kept in {}", aside.display())))
    }

    /// Does the same for a database and its write-ahead log, which SQLite would otherwise replay onto the new database.
    fn swap_database(&self, place: &Path) -> Result<Option<String>> {
        for ending in ["-wal", "-shm"] {
            let log = beside(place, ending)?;
            if log.exists() {
                files::rename(&log, &beside(place, &format!("{}{ending}", self.aside))?)?;
            }
        }
        self.swap(place)
    }

    fn discard(&self, place: Option<&Path>) {
        let Some(fresh) = place.and_then(|place| beside(place, &self.fresh).ok()) else { return };
        for ending in ["", "-wal", "-shm"] {
            // Any of these files may be missing.
            drop(beside(&fresh, ending).map(fs::remove_file));
        }
        drop(fs::remove_dir_all(&fresh));
    }
}

//! Explains to an operator why the database cannot be opened: which setting or file is at fault, and what to do. The
//! file is only opened for this after something has failed, because closing it would release SQLite's locks.

use std::fs::OpenOptions;
use std::io::Read;
use std::path::Path;

use migration::{Migrator, MigratorTrait};

use super::{Db, known_migrations, sqlite};
use crate::error::{Code, Error, Result};

/// The first bytes of every SQLite file (its file format, section 1.3.1).
const SQLITE_HEADER: &[u8; 16] = b"SQLite format 3\0";

/// Size of the smallest SQLite database in bytes (its file format, section 1.3.2).
const SMALLEST: u64 = 512;

/// Refuses a file with other content that SQLite would take for a new database and overwrite.
pub fn check_before(url: &str) -> Result<()> {
    let Some(path) = sqlite::file_of(url) else { return Ok(()) };
    let in_use = path.metadata().is_ok_and(|it| it.is_file() && (1..SMALLEST).contains(&it.len()));
    if in_use { Err(refusal(&format!("{} {NO_DATABASE}", path.display()))) } else { Ok(()) }
}

const NO_DATABASE: &str = "is not a SQLite database: name another file, or move this one away";

/// Explains why the database of this URL could not be opened.
pub fn explain_open(url: &str, error: Error) -> Error {
    let Some(path) = sqlite::file_of(url) else { return error };
    let problem = what_is_wrong(&path).unwrap_or_else(|| {
        // SQLite says no more than this about a file that the user may not write.
        let told = if error.source.is_some() { error.chain() } else { error.message.clone() };
        if told.contains("readonly") {
            "cannot be written: give this user the right to write it and its folder".to_owned()
        } else {
            format!("cannot be used: {told}")
        }
    });
    refusal(&format!("{} {problem}", path.display()))
}

/// Explains why the database could not be migrated.
pub async fn explain_migrate(url: &str, db: &Db, error: Error) -> Error {
    let known = known_migrations();
    let applied = Migrator::get_migration_models(db.read()).await.unwrap_or_default();
    match applied.iter().find(|row| !known.contains(&row.version)) {
        Some(newer) => refusal(&format!(
            "the database is of a newer mango-chat: it has the migration {}, which this version does not know. \
             Start that version, or restore a backup from before it",
            newer.version
        )),
        None => explain_open(url, error),
    }
}

fn refusal(problem: &str) -> Error {
    Error::new(Code::Unavailable, format!("DATABASE_URL: {problem}"))
}

/// Returns what is wrong with a file that should be a SQLite database, if that can be seen from outside.
fn what_is_wrong(path: &Path) -> Option<String> {
    if path.is_dir() {
        return Some(format!("is a folder: name a file in it, as sqlite://{}/mango.db", path.display()));
    }
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|it| !it.is_dir()) {
        return Some(format!(
            "cannot be made: {} is not a folder, or may not be looked into",
            folder.display()
        ));
    }
    if !path.exists() {
        return Some("cannot be made: give this user the right to write its folder".to_owned());
    }
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) => {
            return Some(format!(
                "cannot be opened ({error}): give this user the right to read and write it"
            ));
        }
    };
    let mut start = [0; SQLITE_HEADER.len()];
    let is_sqlite = file.read_exact(&mut start).is_ok() && start == *SQLITE_HEADER;
    let is_empty = file.metadata().is_ok_and(|it| it.len() == 0);
    (!is_sqlite && !is_empty).then(|| NO_DATABASE.to_owned())
}

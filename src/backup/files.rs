//! File operations of backups: each step is durable before the next, and errors name the path.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Returns an error that names the path.
pub fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    move |error| Error::unavailable(format!("{}: {error}", path.display()))
}

/// Returns the path with `ending` appended to its name.
pub fn beside(path: &Path, ending: &str) -> Result<PathBuf> {
    // `backups/today/` is the folder `backups/today`.
    let plain: PathBuf = path.components().collect();
    let mut name =
        plain.file_name().ok_or_else(|| failed(path)(ErrorKind::InvalidFilename.into()))?.to_owned();
    name.push(ending);
    Ok(plain.with_file_name(name))
}

/// Creates a folder and its parents, accessible by the owner only.
pub fn make(folder: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed(folder))
}

/// Creates a file, accessible by the owner only.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed(path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed(path))
}

/// Makes a file accessible by its owner only.
pub fn close_to_others(path: &Path) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed(path))
}

/// Waits until a file, or the entries of a folder, are on the disk.
pub fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|it| it.sync_all()).map_err(failed(path))
}

/// Renames a file or folder durably, replacing an empty folder of the new name.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    let to: PathBuf = to.components().collect();
    fs::rename(from, &to).map_err(failed(&to))?;
    match to.parent() {
        Some(folder) if folder.as_os_str().is_empty() => sync(Path::new(".")),
        Some(folder) => sync(folder),
        None => Ok(()),
    }
}

/// Copies one file, accessible by the owner only. Returns false if the source no longer exists.
pub fn copy(from: &Path, to: &Path) -> Result<bool> {
    match fs::copy(from, to) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound && !from.exists() => return Ok(false),
        Err(error) => return Err(failed(from)(error)),
    }
    close_to_others(to)?;
    sync(to)?;
    Ok(true)
}

/// Copies the files below `from` that `to` does not have yet, and returns how many files `to` has then. Files whose
/// names begin with a dot are still being written and are skipped.
pub fn copy_tree(from: &Path, to: &Path) -> Result<usize> {
    make(to)?;
    let entries = match fs::read_dir(from) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return count(to),
        Err(error) => return Err(failed(from)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(failed(from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if source.is_dir() {
            copy_tree(&source, &target)?;
        } else if !target.exists() {
            copy(&source, &target)?;
        }
    }
    sync(to)?;
    count(to)
}

/// Counts the files below a folder.
pub fn count(folder: &Path) -> Result<usize> {
    let mut files = 0;
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let path = entry.map_err(failed(folder))?.path();
        files += if path.is_dir() { count(&path)? } else { 1 };
    }
    Ok(files)
}

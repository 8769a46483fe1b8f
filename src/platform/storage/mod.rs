//! Storage for photos and attachments: a folder or an S3-compatible store, with the same interface. The server builds keys from
//! validated parts; a key that could escape its folder is refused here as well.

mod local;
mod s3;
mod upload;

pub use upload::Upload;

use std::time::Duration;

use bytes::Bytes;

use crate::config::{Settings, StorageKind};
use crate::error::{Error, Result};

/// How a client gets a file.
pub enum Download {
    /// From this file.
    File(tokio::fs::File),
    /// From this URL.
    Link(String),
}

/// Files by key.
#[derive(Clone)]
pub enum Storage {
    /// Below a folder.
    Local(local::LocalStorage),
    /// In a bucket.
    S3(s3::S3Storage),
}

impl Storage {
    /// Opens the storage that the settings configure.
    pub fn open(settings: &Settings) -> Result<Self> {
        match &settings.storage {
            StorageKind::Local => {
                Ok(Self::Local(local::LocalStorage::open(&settings.data_dir.join("storage"))?))
            }
            StorageKind::S3(config) => Ok(Self::S3(s3::S3Storage::open(config))),
        }
    }

    /// Stores a file, either completely or not at all.
    pub async fn put(&self, key: &str, bytes: Bytes, content_type: &str) -> Result<()> {
        check_key(key)?;
        match self {
            Self::Local(storage) => storage.put(key, bytes).await,
            Self::S3(storage) => storage.put(key, bytes, content_type).await,
        }
    }

    /// Returns the file, or `None` if it does not exist.
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        check_key(key)?;
        match self {
            Self::Local(storage) => storage.get(key).await,
            Self::S3(storage) => storage.get(key).await,
        }
    }

    /// Begins an upload of a file that need not fit into memory.
    pub async fn begin(&self, key: &str, content_type: &str) -> Result<Upload> {
        check_key(key)?;
        match self {
            Self::Local(storage) => storage.begin(key).await.map(Upload::Local),
            Self::S3(storage) => Ok(Upload::S3(Box::new(storage.begin(key, content_type)))),
        }
    }

    /// Returns how a client gets a file: the open file, or a URL of the store that is valid for this time. `None` if there is
    /// no such file; of a store this is not checked.
    pub async fn download(
        &self,
        key: &str,
        content_type: &str,
        disposition: &str,
        valid: Duration,
    ) -> Result<Option<Download>> {
        check_key(key)?;
        match self {
            Self::Local(storage) => Ok(storage.file(key).await?.map(Download::File)),
            Self::S3(storage) => {
                let link = storage.link(key, content_type, disposition, valid).await?;
                Ok(Some(Download::Link(link)))
            }
        }
    }

    /// Removes a file. Succeeds if it does not exist.
    pub async fn delete(&self, key: &str) -> Result<()> {
        check_key(key)?;
        match self {
            Self::Local(storage) => storage.delete(key).await,
            Self::S3(storage) => storage.delete(key).await,
        }
    }

    /// Checks whether files can be stored now.
    pub async fn ready(&self) -> Result<()> {
        match self {
            Self::Local(storage) => storage.ready().await,
            Self::S3(storage) => storage.ready().await,
        }
    }
}

/// Checks a key: parts of letters, digits, `-`, `_` and inner dots, joined by `/`.
fn check_key(key: &str) -> Result<()> {
    let part_fits = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    if key.len() <= 512 && key.split('/').all(part_fits) {
        Ok(())
    } else {
        Err(Error::internal(format!("not a storage key: {key:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::check_key;

    #[test]
    fn keys_cannot_climb() {
        for fine in ["photos/a1/original.jpeg", "x"] {
            assert!(check_key(fine).is_ok(), "{fine}");
        }
        for bad in ["", "/etc/passwd", "a//b", "../x", "a/../b", "a/.hidden", "a\\b", "a b", "a/\0", "ü"] {
            assert!(check_key(bad).is_err(), "{bad}");
        }
    }
}

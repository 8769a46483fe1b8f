//! Files below one folder. A file is written to a draft in the same folder, made durable, then renamed, so that readers
//! never see a partial file.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::fs;
use tokio::io::AsyncWriteExt;

use super::upload::LocalUpload;
use crate::error::{Error, Result};
use crate::random;

/// A folder of files.
#[derive(Clone)]
pub struct LocalStorage {
    root: PathBuf,
}

impl LocalStorage {
    /// Opens the folder, and creates it if it is missing.
    pub fn open(root: &Path) -> Result<Self> {
        std::fs::create_dir_all(root).map_err(Error::internal)?;
        Ok(Self { root: root.to_owned() })
    }

    pub(super) async fn put(&self, key: &str, bytes: Bytes) -> Result<()> {
        let path = self.root.join(key);
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).await.map_err(Error::internal)?;
        let draft = folder.join(format!(".{}", random::hex(8)?));
        let written = async {
            let mut file = fs::File::create_new(&draft).await?;
            file.write_all(&bytes).await?;
            file.sync_all().await?;
            fs::rename(&draft, &path).await
        };
        if let Err(error) = written.await {
            // The draft may not exist; nothing more can be done about it.
            drop(fs::remove_file(&draft).await);
            return Err(Error::internal(error));
        }
        Ok(())
    }

    /// Begins an upload.
    pub(super) async fn begin(&self, key: &str) -> Result<LocalUpload> {
        let path = self.root.join(key);
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).await.map_err(Error::internal)?;
        LocalUpload::begin(folder.join(format!(".{}", random::hex(8)?)), path.clone()).await
    }

    /// Opens a file for reading, or returns `None` if it does not exist.
    pub(super) async fn file(&self, key: &str) -> Result<Option<fs::File>> {
        match fs::File::open(self.root.join(key)).await {
            Ok(file) => Ok(Some(file)),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(Error::internal(error)),
        }
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        match fs::read(self.root.join(key)).await {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(Error::internal(error)),
        }
    }

    pub(super) async fn delete(&self, key: &str) -> Result<()> {
        let path = self.root.join(key);
        match fs::remove_file(&path).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::internal(error)),
        }
        if let Some(folder) = path.parent().filter(|it| *it != self.root) {
            // Only an empty folder is removed; for others this fails, as intended.
            drop(fs::remove_dir(folder).await);
        }
        Ok(())
    }

    pub(super) async fn ready(&self) -> Result<()> {
        let probe = format!(".ready-{}", random::hex(4)?);
        self.put(&probe, Bytes::from_static(b"ready")).await?;
        self.delete(&probe).await
    }
}

//! Uploads of files that are too large for memory: written part by part, and there as a whole or not at all.

use std::path::PathBuf;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use tokio::fs;
use tokio::io::AsyncWriteExt;

use super::s3::unavailable;
use crate::error::{Error, Result};

/// Bytes of a part in S3; only the last one may be smaller.
const PART: usize = 5 << 20;

/// An upload that has begun. Dropping it removes what was written.
pub enum Upload {
    /// Into a folder.
    Local(LocalUpload),
    /// Into a bucket.
    S3(Box<S3Upload>),
}

impl Upload {
    /// Writes more bytes.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        match self {
            Self::Local(upload) => upload.file.write_all(&bytes).await.map_err(Error::internal),
            Self::S3(upload) => upload.write(&bytes).await,
        }
    }

    /// Makes the file visible.
    pub async fn finish(self) -> Result<()> {
        match self {
            Self::Local(upload) => upload.finish().await,
            Self::S3(upload) => upload.finish().await,
        }
    }
}

/// A draft beside the final file.
pub struct LocalUpload {
    file: fs::File,
    /// Removed when dropped.
    draft: Draft,
    path: PathBuf,
}

struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        // After a rename there is nothing to remove.
        drop(std::fs::remove_file(&self.0));
        // Each upload has a folder of its own, which is empty unless the file is there.
        if let Some(folder) = self.0.parent() {
            drop(std::fs::remove_dir(folder));
        }
    }
}

impl LocalUpload {
    /// Creates the draft.
    pub(super) async fn begin(draft: PathBuf, path: PathBuf) -> Result<Self> {
        let file = fs::File::create_new(&draft).await.map_err(Error::internal)?;
        Ok(Self { file, draft: Draft(draft), path })
    }

    async fn finish(mut self) -> Result<()> {
        let written = async {
            self.file.flush().await?;
            self.file.sync_all().await?;
            fs::rename(&self.draft.0, &self.path).await
        };
        written.await.map_err(Error::internal)
    }
}

/// A multipart upload, which begins when there is more than one part.
pub struct S3Upload {
    pub(super) client: Client,
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) content_type: String,
    pub(super) buffer: BytesMut,
    pub(super) id: Option<String>,
    pub(super) parts: Vec<CompletedPart>,
    pub(super) is_finished: bool,
}

impl S3Upload {
    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        while self.buffer.len() > PART {
            let part = self.buffer.split_to(PART).freeze();
            self.send_part(part).await?;
        }
        Ok(())
    }

    async fn send_part(&mut self, bytes: Bytes) -> Result<()> {
        let id = if let Some(id) = &self.id {
            id.clone()
        } else {
            let begun = self.client.create_multipart_upload().bucket(&self.bucket).key(&self.key);
            let begun = begun.content_type(&self.content_type).send().await;
            let begun = begun.map_err(|error| unavailable(&error))?;
            let id = begun.upload_id.ok_or_else(|| Error::internal("an upload without an id"))?;
            self.id.insert(id).clone()
        };
        let number = self.parts.len() as i32 + 1;
        let part = self.client.upload_part().bucket(&self.bucket).key(&self.key);
        let part = part.upload_id(id).part_number(number).body(ByteStream::from(bytes)).send().await;
        let tag = part.map_err(|error| unavailable(&error))?.e_tag;
        self.parts.push(CompletedPart::builder().part_number(number).set_e_tag(tag).build());
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<()> {
        let rest = self.buffer.split().freeze();
        if self.id.is_none() {
            let put = self.client.put_object().bucket(&self.bucket).key(&self.key);
            let put = put.content_type(&self.content_type).body(ByteStream::from(rest)).send().await;
            put.map_err(|error| unavailable(&error))?;
        } else {
            if !rest.is_empty() {
                self.send_part(rest).await?;
            }
            let parts = std::mem::take(&mut self.parts);
            let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
            let done = self.client.complete_multipart_upload().bucket(&self.bucket).key(&self.key);
            let done = done.set_upload_id(self.id.clone()).multipart_upload(parts).send().await;
            done.map_err(|error| unavailable(&error))?;
        }
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for S3Upload {
    fn drop(&mut self) {
        let Some(id) = self.id.take().filter(|_| !self.is_finished) else { return };
        let abort = self.client.abort_multipart_upload().bucket(&self.bucket).key(&self.key).upload_id(id);
        // Outside of a runtime, nothing can be sent; the bucket's own rule for unfinished uploads removes it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = abort.send().await {
                    tracing::warn!(%error, "an unfinished upload could not be removed from the bucket");
                }
            });
        }
    }
}

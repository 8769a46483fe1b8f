//! The export of all data that is stored about a user, as JSON lines. Pages are read while the client downloads, so
//! an account of any size needs the memory of one page. The last line has the number of lines; an export without it
//! is incomplete.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::records::{self, Kind};
use crate::domain::{Actor, AppContext, sessions};
use crate::error::{Error, Result};
use crate::ids::UserId;
use tracing::Instrument;

/// Size in bytes at which a chunk is sent; its last record may exceed it.
const CHUNK: usize = 256 * 1_024;

/// How long the client may take to read a chunk before the export is aborted.
const READ_WITHIN: Duration = Duration::from_mins(1);

/// Maximum number of exports at the same time.
const MOST: usize = 16;

/// The running exports: at most one per user, and a limited number in total.
#[derive(Default)]
pub struct Running(Mutex<HashSet<UserId>>);

/// The entry of one running export; dropping it removes the entry.
struct RunningExport {
    running: Arc<Running>,
    id: UserId,
}

impl Drop for RunningExport {
    fn drop(&mut self) {
        self.running.0.lock().remove(&self.id);
    }
}

impl Running {
    fn enter(self: &Arc<Self>, id: UserId) -> Result<RunningExport> {
        let mut users = self.0.lock();
        if users.contains(&id) {
            return Err(Error::rate_limited("an export is already running", 5_000));
        }
        if users.len() >= MOST {
            return Err(Error::unavailable("too many exports at once, try again in a moment"));
        }
        users.insert(id);
        Ok(RunningExport { running: self.clone(), id })
    }
}

/// A record as a line of the export.
#[derive(Serialize)]
struct Line {
    kind: &'static str,
    #[serde(flatten)]
    record: Value,
}

/// An export in progress.
pub struct Export(mpsc::Receiver<Result<Bytes>>);

impl Export {
    /// Returns the next lines; an error if the export was interrupted, `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        self.0.recv().await
    }
}

/// Starts the export of the caller's data. It is aborted when their session ends.
pub fn export(context: &Arc<AppContext>, running: &Arc<Running>, actor: Actor) -> Result<Export> {
    let permit = running.enter(actor.user_id)?;
    // One chunk is buffered while the next one is prepared.
    let (lines, reader) = mpsc::channel(1);
    let context = context.clone();
    let work = async move {
        let _permit = permit;
        if let Err(error) = write(&context, actor, &lines).await {
            tracing::warn!(user = actor.user_id.0, %error, "an export was interrupted");
            // If the client has stopped reading, the error cannot be delivered.
            drop(timeout(READ_WITHIN, lines.send(Err(error))).await);
        }
    };
    tokio::spawn(work.in_current_span());
    Ok(Export(reader))
}

async fn write(context: &AppContext, actor: Actor, lines: &mpsc::Sender<Result<Bytes>>) -> Result<()> {
    let mut chunk = Vec::new();
    let mut count: u64 = 0;
    for kind in Kind::ALL {
        let mut after = 0;
        loop {
            let (records, next) = records::page(context.db.read(), kind, actor.user_id, after).await?;
            for record in records {
                count += 1;
                let line = Line { kind: kind.as_str(), record };
                serde_json::to_writer(&mut chunk, &line).map_err(Error::internal)?;
                chunk.push(b'\n');
                if chunk.len() >= CHUNK {
                    hand_on(context, actor, lines, &mut chunk).await?;
                }
            }
            match next {
                Some(next) => after = next,
                None => break,
            }
        }
    }
    let end = json!({"kind": "end", "lines": count});
    serde_json::to_writer(&mut chunk, &end).map_err(Error::internal)?;
    chunk.push(b'\n');
    hand_on(context, actor, lines, &mut chunk).await
}

async fn hand_on(
    context: &AppContext,
    actor: Actor,
    lines: &mpsc::Sender<Result<Bytes>>,
    chunk: &mut Vec<u8>,
) -> Result<()> {
    // Reading may take a minute per chunk, and the session can end meanwhile.
    sessions::require_live(context, actor).await?;
    let sent = timeout(READ_WITHIN, lines.send(Ok(std::mem::take(chunk).into()))).await;
    match sent {
        Ok(Ok(())) => Ok(()),
        _ => Err(Error::unavailable("the reader of the export has gone")),
    }
}

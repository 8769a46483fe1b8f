//! The export of everything that is held on a user: JSON lines, made page by page while they are read, so
//! that an account of any size takes the memory of a page. The last line says how many there were; an
//! export without it broke off.

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

/// Bytes that are handed on at a time, and a record more.
const CHUNK: usize = 256 * 1_024;

/// What reading a chunk may take; whoever is slower starts again.
const READ_WITHIN: Duration = Duration::from_mins(1);

/// Exports that may run at the same time.
const MOST: usize = 16;

/// The exports that are running: one for each user, and not too many in all.
#[derive(Default)]
pub struct Running(Mutex<HashSet<UserId>>);

/// The place of one export among those that are running.
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

/// A record as a line.
#[derive(Serialize)]
struct Line {
    kind: &'static str,
    #[serde(flatten)]
    record: Value,
}

/// An export that is being made.
pub struct Export(mpsc::Receiver<Result<Bytes>>);

impl Export {
    /// The next lines; an error where it broke off, none at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        self.0.recv().await
    }
}

/// Begins the export of who asks. It ends with their session.
pub fn export(context: &Arc<AppContext>, running: &Arc<Running>, actor: Actor) -> Result<Export> {
    let permit = running.enter(actor.user_id)?;
    // One chunk waits while the next is made.
    let (lines, reader) = mpsc::channel(1);
    let context = context.clone();
    let work = async move {
        let _permit = permit;
        if let Err(error) = write(&context, actor, &lines).await {
            tracing::warn!(user = actor.user_id.0, %error, "an export was interrupted");
            // Where nobody reads any more nobody is told.
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
    // A reader may take a minute for each.
    sessions::require_live(context, actor).await?;
    let sent = timeout(READ_WITHIN, lines.send(Ok(std::mem::take(chunk).into()))).await;
    match sent {
        Ok(Ok(())) => Ok(()),
        _ => Err(Error::unavailable("the reader of the export has gone")),
    }
}

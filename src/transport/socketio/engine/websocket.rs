//! A session over a WebSocket: reads its packets, pings it, and closes it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{sleep_until, timeout};

use super::Engine;
use super::packets::{PING, PROBED, engine};
use super::polling::Upgrade;
use super::session::Session;
use crate::realtime::heartbeat::{Due, Heartbeat};
use crate::transport::http::frame_reader::{FrameReader, Received};
use crate::transport::http::frames::{close_answer, close_frame};

/// How long an upgrade may take.
const UPGRADE_WITHIN: Duration = Duration::from_secs(10);

/// How long a client has to read a close frame before the connection ends.
const CLOSING: Duration = Duration::from_secs(1);

/// The session ended as the client asked.
const NORMAL: u16 = 1000;

/// Serves a session until it ends.
pub async fn run(engine: Arc<Engine>, session: Arc<Session>, mut reader: FrameReader, heartbeat: Heartbeat) {
    let _ending = Ending { engine, session: session.clone() };
    let farewell = serve(&session, &mut reader, heartbeat).await;
    session.leave_all();
    if let Some(farewell) = farewell {
        reader.writes().close_after(farewell);
        // Boxed, because an open connection should not need memory for it.
        drop(Box::pin(timeout(CLOSING, reader.discard())).await);
    }
}

/// Ends the session when it is dropped, even after a panic.
struct Ending {
    engine: Arc<Engine>,
    session: Arc<Session>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.engine.end(&self.session);
    }
}

/// Serves a session. Returns the close frame that remains to be sent, if any.
async fn serve(session: &Arc<Session>, reader: &mut FrameReader, mut heartbeat: Heartbeat) -> Option<Bytes> {
    let timer = sleep_until(heartbeat.next());
    tokio::pin!(timer);
    loop {
        tokio::select! {
            biased;
            received = reader.next() => {
                if heartbeat.heard() {
                    timer.as_mut().reset(heartbeat.next());
                }
                let handled = match received? {
                    Ok(Received::Text(packet)) => session.receive(&packet),
                    Ok(Received::Binary(bytes)) => session.receive_attachment(bytes),
                    Ok(Received::Alive) => Ok(()),
                    Ok(Received::Close(payload)) => return Some(close_answer(&payload)),
                    Err(broken) => return Some(close_frame(broken.code())),
                };
                if handled.is_err() {
                    return Some(close_frame(NORMAL));
                }
            }
            () = &mut timer => {
                match heartbeat.due(session.has_joined()) {
                    Some(Due::Ping) => session.push(engine(PING)),
                    Some(Due::End) => return Some(close_frame(NORMAL)),
                    None => {}
                }
                timer.as_mut().reset(heartbeat.next());
            }
        }
    }
}

/// Upgrades a session that polls: the client sends a ping over the WebSocket, stops polling after the answer, and then
/// asks for the change. Until then it may give up, and goes on polling.
pub async fn upgrade(owner: Arc<Engine>, upgrade: Upgrade, mut reader: FrameReader) {
    let session = upgrade.0.clone();
    let Some(polling) = session.polling() else { return };
    let changing = async {
        let expects = async |reader: &mut FrameReader, expected: &str| matches!(reader.next().await, Some(Ok(Received::Text(packet))) if packet.as_str() == expected);
        if !expects(&mut reader, "2probe").await {
            return false;
        }
        reader.writes().push(engine(PROBED));
        polling.probed();
        expects(&mut reader, "5").await
    };
    if timeout(UPGRADE_WITHIN, changing).await != Ok(true) {
        return;
    }
    let writes = reader.writes().clone();
    writes.backpressure().lift_read_limit();
    session.become_websocket(&writes);
    drop(upgrade);
    let heartbeat = polling.heartbeat();
    tokio::spawn(run(owner, session, reader, heartbeat));
}

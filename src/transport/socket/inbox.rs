//! The inbox of one socket: its events take effect in the order they were sent, however many there are.
//!
//! The engine hands events over on the socket's reader task, in order. They wait in a queue that one task
//! at a time works off; the task exists only while there is work, so an idle socket costs nothing. Reading
//! stops while too many are in flight (see `listener`).

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::value::{RawValue, to_raw_value};
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::AckSender;
use socketioxide::handler::{FromMessageParts, MessageHandler};
use socketioxide::socket::Socket;
use socketioxide_core::Value;

use super::underway::{Underway, Underways};
use crate::domain::dispatch::{Respond, dispatch, is_pipelined};
use crate::domain::{Caller, Core};
use crate::error::{Error, Result};
use crate::protocol::events::{ErrorObject, Exception};
use crate::transport::connection::Connection;
use crate::transport::listener::InFlight;

/// Events that may wait. Only polling can get there, where nothing stops the reading.
const CAPACITY: usize = 4_096;

/// One event as it came.
struct Incoming {
    packet: Value,
    ack: Option<AckSender>,
    /// Kept until the event is answered.
    unanswered: Unanswered,
}

/// Holds the gate and the shutdown until an event is answered.
struct Unanswered {
    _in_flight: Option<InFlight>,
    _underway: Underways,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Incoming>,
    /// A task works on it, or it has not been started.
    busy: bool,
}

/// See the file.
pub struct Inbox {
    connection: Arc<Connection>,
    core: Arc<Core>,
    queue: Mutex<Queue>,
    /// Pipelined events that are with the writer.
    pipelined: Arc<Underway>,
    /// Events of all sockets that were received and not yet answered.
    unanswered: Arc<Underway>,
}

impl Inbox {
    /// An inbox that gathers until it is started.
    pub fn new(connection: Arc<Connection>, core: Arc<Core>, unanswered: Arc<Underway>) -> Arc<Self> {
        let queue = Mutex::new(Queue { waiting: VecDeque::new(), busy: true });
        Arc::new(Self { connection, core, queue, pipelined: Arc::default(), unanswered })
    }

    /// Whose it is.
    pub fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Begins to work off what has gathered.
    pub fn start(self: &Arc<Self>) {
        let inbox = self.clone();
        tokio::spawn(async move { inbox.work().await });
    }

    fn put(self: &Arc<Self>, incoming: Incoming) {
        let mut queue = self.queue.lock();
        if queue.waiting.len() >= CAPACITY {
            drop(queue);
            self.connection.overflowed();
            return;
        }
        queue.waiting.push_back(incoming);
        if !queue.busy {
            queue.busy = true;
            drop(queue);
            self.start();
        }
    }

    async fn work(self: Arc<Self>) {
        loop {
            let next = {
                let mut queue = self.queue.lock();
                let next = queue.waiting.pop_front();
                queue.busy = next.is_some();
                next
            };
            let Some(incoming) = next else { return };
            self.handle(incoming).await;
        }
    }

    async fn handle(&self, incoming: Incoming) {
        let Incoming { packet, ack, unanswered } = incoming;
        let Value::Str(text, _) = &packet else { return };
        let parts: Vec<&RawValue> = serde_json::from_str(text.as_str()).unwrap_or_default();
        let event: String =
            parts.first().and_then(|name| serde_json::from_str(name.get()).ok()).unwrap_or_default();
        let payload = parts.get(1).map_or("null", |payload| payload.get());
        let pipelined = is_pipelined(&event);
        if !pipelined {
            // What it may build on has to be done first.
            self.pipelined.settled().await;
        }
        let underway = pipelined.then(|| Underways::begin(&self.pipelined));
        let respond = self.respond(event.clone(), ack, unanswered, underway);
        let caller = Caller {
            actor: self.connection.actor,
            conn: Some(self.connection.id),
            expires_at: Some(self.connection.expires_at.clone()),
        };
        dispatch(&self.core, caller, &event, payload, respond).await;
    }

    /// The one answer: an ack where the client waits for one, else `exception` for a failure.
    fn respond(
        &self,
        event: String,
        ack: Option<AckSender>,
        unanswered: Unanswered,
        underway: Option<Underways>,
    ) -> Respond {
        let connection = self.connection.clone();
        Box::new(move |result: Result<Box<RawValue>>| {
            match (result, ack) {
                (Ok(reply), Some(ack)) => connection.acknowledge(ack, &reply),
                (Err(error), Some(ack)) => match failure(&error) {
                    Ok(reply) => connection.acknowledge(ack, &reply),
                    Err(error) => tracing::error!(%error, "an error could not be encoded"),
                },
                (Err(error), None) => {
                    let error = ErrorObject::from(&error);
                    connection.tell("exception", &Exception { event, error });
                }
                (Ok(_), None) => {}
            }
            drop((unanswered, underway));
        })
    }
}

fn failure(error: &Error) -> Result<Box<RawValue>> {
    #[derive(serde::Serialize)]
    struct Failure {
        ok: bool,
        error: ErrorObject,
    }
    to_raw_value(&Failure { ok: false, error: ErrorObject::from(error) }).map_err(Error::internal)
}

/// Takes every event of a socket, whatever its name.
pub struct Intake(Arc<Inbox>);

impl Intake {
    /// Into this inbox.
    pub fn new(inbox: Arc<Inbox>) -> Self {
        Self(inbox)
    }
}

/// Tells this handler's implementation from those for closures.
pub struct Raw;

impl MessageHandler<LocalAdapter, Raw> for Intake {
    fn call(&self, socket: Arc<Socket<LocalAdapter>>, mut packet: Value, ack_id: Option<i64>) {
        let ack = ack_id.and_then(|_| AckSender::from_message_parts(&socket, &mut packet, &ack_id).ok());
        let unanswered = Unanswered {
            _in_flight: self.0.connection.wire.gate().map(|gate| gate.enter()),
            _underway: Underways::begin(&self.0.unanswered),
        };
        self.0.put(Incoming { packet, ack, unanswered });
    }
}

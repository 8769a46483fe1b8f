//! One connection of one device, whatever its transport: its user, its send queue, its rooms, and how it ends.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::value::{RawValue, to_raw_value};
use tokio::time::sleep;

use super::outgoing::Outgoing;
use super::transport::Transport;
use crate::domain::Actor;
use crate::domain::events::{self, ConnectionEvent};
use crate::error::Result;
use crate::ids::{ChatId, ConnId};
use crate::platform::limits::ConcurrencyPermit;
use crate::protocol::catalogue::EventName;
use crate::protocol::errors::{ErrorObject, Exception, Failure};

/// Bytes that may wait before volatile events are dropped.
const VOLATILE_BACKLOG: u64 = 64 * 1_024;

/// Events that may be gathered before the client is told that it is connected.
const MAX_GATHERED: usize = 4_096;

/// How long a dismissed client has to read the reason and to close the connection itself.
const DISMISSAL: Duration = Duration::from_secs(1);

/// The outgoing side of a connection: a bounded queue for one client, in its transport's framing.
pub trait SendQueue: Send {
    /// Queues an event; false if the queue is full.
    fn send(&self, outgoing: &Outgoing<'_>) -> bool;

    /// Ends the connection because its client reads too slowly.
    fn abort(&self, transport: &Transport);

    /// Closes the connection for good after the event of this name, once everything queued is written. Returns `false`
    /// if the connection cannot be closed in this way.
    fn dismiss(&self, event: EventName) -> bool;

    /// Closes because the node shuts down, once everything queued is written.
    fn shut_down(&self);
}

/// Sends the acknowledgement of one command; false if the queue is full.
pub type Ack = Box<dyn FnOnce(&RawValue) -> bool + Send>;

/// The state of a send queue.
enum Queue {
    /// Events are kept until the client has been told that it is connected.
    Gathering(Vec<(EventName, Box<RawValue>)>),
    /// Events leave at once.
    Open(Box<dyn SendQueue>),
}

/// One connection.
pub struct Connection {
    /// Its number on this node.
    pub id: ConnId,
    /// The user and session.
    pub actor: Actor,
    /// The only chat of a socket that is bound to one chat.
    pub scope: Option<ChatId>,
    /// Expiry of its token, milliseconds; `authenticate` moves it.
    pub expires_at: Arc<AtomicI64>,
    /// The transport that carries it.
    pub transport: Arc<Transport>,
    /// Expiry of the token that the client was last warned of.
    pub(super) warned_of: AtomicI64,
    /// Its rooms; `None` once it is closed.
    pub(super) rooms: Mutex<Option<HashSet<ChatId>>>,
    /// Permits that count it among the connections of its user and of its address.
    permits: [ConcurrencyPermit; 2],
    /// Whether it has joined the rooms of all chats that its user was in when they were read.
    pub(super) settled: AtomicBool,
    queue: Mutex<Option<Queue>>,
}

impl Connection {
    /// Creates a connection that is not registered yet.
    pub fn new(
        id: ConnId,
        actor: Actor,
        scope: Option<ChatId>,
        expires_at: i64,
        transport: Arc<Transport>,
        permits: [ConcurrencyPermit; 2],
    ) -> Self {
        transport.join();
        Self {
            id,
            actor,
            scope,
            expires_at: Arc::new(AtomicI64::new(expires_at)),
            transport,
            warned_of: AtomicI64::new(0),
            rooms: Mutex::new(Some(HashSet::new())),
            permits,
            settled: AtomicBool::new(false),
            queue: Mutex::new(Some(Queue::Gathering(Vec::new()))),
        }
    }

    /// Opens the send queue once the client has been told that it is connected, and sends the gathered events. Returns
    /// `false` if the client is already gone.
    pub fn open_queue(&self, opened: Box<dyn SendQueue>) -> bool {
        let mut queue = self.queue.lock();
        let Some(Queue::Gathering(gathered)) = queue.take() else { return false };
        // Their bytes were counted when they were gathered.
        let fits = gathered.iter().all(|(event, payload)| opened.send(&Outgoing::new(*event, payload)));
        *queue = Some(Queue::Open(opened));
        drop(queue);
        if !fits {
            self.abort();
        }
        fits
    }

    /// Closes the send queue for good and returns it; only the first call returns one.
    fn take_queue(&self) -> Option<Queue> {
        let taken = self.queue.lock().take();
        if taken.is_some() {
            self.transport.part();
            self.permits.iter().for_each(ConcurrencyPermit::release);
        }
        taken
    }

    /// Closes the send queue: the client is gone.
    pub fn close_queue(&self) {
        drop(self.take_queue());
    }

    /// Whether the client is so far behind that volatile events may be dropped.
    pub fn is_behind(&self) -> bool {
        self.transport.backlog() > VOLATILE_BACKLOG
    }

    /// Queues an event. A full queue ends the connection: a client that reads too slowly loses its connection, never a
    /// message in the middle.
    pub fn send(&self, outgoing: &Outgoing<'_>) {
        let mut queue = self.queue.lock();
        let Some(open) = queue.as_mut() else { return };
        let fits = self.transport.queue(outgoing.size())
            && match open {
                Queue::Gathering(gathered) => {
                    gathered.push((outgoing.event, outgoing.payload.to_owned()));
                    gathered.len() <= MAX_GATHERED
                }
                Queue::Open(open) => open.send(outgoing),
            };
        drop(queue);
        if !fits {
            self.abort();
        }
    }

    /// Queues an event for this connection alone.
    pub fn send_event(&self, event: Result<ConnectionEvent>) {
        match event {
            Ok(ConnectionEvent { name, payload }) => self.send(&Outgoing::new(name, &payload)),
            Err(error) => tracing::error!(%error, "an event could not be encoded"),
        }
    }

    /// Answers a command: by its acknowledgement if the client waits for one, otherwise by `exception` on failure.
    pub fn answer(&self, event: &str, ack: Option<Ack>, result: Result<Box<RawValue>>) {
        let Some(ack) = ack else {
            if let Err(error) = result {
                let error = ErrorObject::from(&error);
                self.send_event(events::exception::to_connection(&Exception {
                    event: event.to_owned(),
                    error,
                }));
            }
            return;
        };
        let reply = match result {
            Ok(reply) => reply,
            Err(error) => match to_raw_value(&Failure::from(&error)) {
                Ok(reply) => reply,
                Err(error) => return tracing::error!(%error, "an error could not be encoded"),
            },
        };
        let queue = self.queue.lock();
        if queue.is_none() {
            return;
        }
        let fits = self.transport.queue(reply.get().len()) && ack(&reply);
        drop(queue);
        if !fits {
            self.abort();
        }
    }

    /// Ends the connection because its send queue or its inbox is full.
    pub fn abort(&self) {
        tracing::info!(user = self.actor.user_id.0, "ended a connection whose client is too slow");
        match self.take_queue() {
            Some(Queue::Open(queue)) => queue.abort(&self.transport),
            Some(Queue::Gathering(_)) | None => self.transport.end(),
        }
    }

    /// Ends the connection for good, after the event of this name: its client does not reconnect by itself.
    ///
    /// A client that does not read blocks the event from being written, and one that polls may never request it: the
    /// transport ends a moment later whatever the client does. It stays only if another namespace still uses it and
    /// everything was written.
    pub fn dismiss(&self, event: EventName) {
        // Taken out before anything is called: the disconnect handler calls back into this connection.
        let is_closing = match self.take_queue() {
            Some(Queue::Open(queue)) => queue.dismiss(event),
            Some(Queue::Gathering(_)) | None => false,
        };
        if !is_closing {
            return self.transport.end();
        }
        let (transport, queued) = (self.transport.clone(), self.transport.queued());
        tokio::spawn(async move {
            sleep(DISMISSAL).await;
            if transport.is_left_behind(queued) {
                transport.end();
            }
        });
    }

    /// Closes because the node shuts down: the client reconnects by itself.
    pub fn shut_down(&self) {
        if let Some(Queue::Open(queue)) = self.queue.lock().as_ref() {
            queue.shut_down();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close_queue();
    }
}

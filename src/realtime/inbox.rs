//! The inbox of one connection, whatever its transport: commands take effect in the order they were sent, however many
//! there are.
//!
//! Events wait in a queue that one task at a time processes. The task exists only while there is work, so an idle
//! connection costs nothing. Reading stops while too many commands are in flight (see `backpressure`).

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::FutureExt;
use parking_lot::Mutex;
use serde_json::value::RawValue;
use tracing::Instrument;

use crate::domain::dispatch::{Respond, command_span, dispatch, fail};
use crate::domain::{AppContext, Caller, sessions};
use crate::error::{Code, Error, Result};
use crate::protocol::catalogue::{Order, command};
use crate::realtime::backpressure::InFlight;
use crate::realtime::connection::{Ack, Connection};
use crate::realtime::pending::{PendingCount, PendingGuard};
use crate::realtime::transport::Waiting;

/// One received event.
struct Incoming {
    event: String,
    payload: String,
    ack: Option<Ack>,
    /// Held until its turn comes.
    waiting: Waiting,
    /// Held until the event is answered.
    unanswered: Unanswered,
}

/// Keeps the event counted for backpressure and shutdown until it is answered.
struct Unanswered {
    _in_flight: InFlight,
    _underway: PendingGuard,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Incoming>,
    /// Whether a task is processing the queue, or the inbox has not been started.
    busy: bool,
}

/// The inbox of one connection.
pub struct Inbox {
    connection: Arc<Connection>,
    context: Arc<AppContext>,
    queue: Mutex<Queue>,
    /// Pipelined events that the writer has not answered yet.
    pipelined: Arc<PendingCount>,
    /// Events of all connections that were received and not yet answered.
    unanswered: Arc<PendingCount>,
}

impl Inbox {
    /// Creates an inbox that only gathers events until it is started.
    pub fn new(
        connection: Arc<Connection>,
        context: Arc<AppContext>,
        unanswered: Arc<PendingCount>,
    ) -> Arc<Self> {
        let queue = Mutex::new(Queue { waiting: VecDeque::new(), busy: true });
        Arc::new(Self { connection, context, queue, pipelined: Arc::default(), unanswered })
    }

    /// Returns the connection.
    pub fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Starts processing the gathered events.
    pub fn start(self: &Arc<Self>) {
        let inbox = self.clone();
        tokio::spawn(async move { inbox.work().await });
    }

    /// Drops the gathered events, because the connection will never be set up.
    pub fn abandon(&self) {
        *self.queue.lock() = Queue { busy: true, ..Queue::default() };
    }

    /// Adds an event. Must be called in the order in which events were received.
    pub fn put(self: &Arc<Self>, event: String, payload: String, ack: Option<Ack>) {
        let unanswered = Unanswered {
            _in_flight: self.connection.transport.enter(),
            _underway: PendingGuard::new(&self.unanswered),
        };
        let Some(waiting) = self.connection.transport.wait(payload.len()) else {
            return self.connection.abort();
        };
        let mut queue = self.queue.lock();
        queue.waiting.push_back(Incoming { event, payload, ack, waiting, unanswered });
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
            let caller = self.caller();
            let span = command_span(&caller, &incoming.event);
            // If a command panics, it is answered with an error, and the connection continues.
            let handled = AssertUnwindSafe(self.handle(incoming, caller)).catch_unwind();
            if handled.instrument(span.clone()).await.is_err() {
                span.in_scope(|| tracing::error!("a command panicked"));
            }
        }
    }

    /// Fails if the session or the token has ended, so that events that waited meanwhile have no effect.
    async fn still_in(&self) -> Result<()> {
        sessions::require_live(&self.context, self.connection.actor).await?;
        if self.connection.expires_at.load(Ordering::Acquire) <= self.context.clock.now() {
            return Err(Error::new(Code::TokenExpired, "the token has expired"));
        }
        Ok(())
    }

    fn caller(&self) -> Caller {
        Caller {
            actor: self.connection.actor,
            conn: Some(self.connection.id),
            scope: self.connection.scope,
            expires_at: Some(self.connection.expires_at.clone()),
        }
    }

    async fn handle(&self, incoming: Incoming, caller: Caller) {
        let Incoming { event, payload, ack, waiting, unanswered } = incoming;
        let pipelined = command(&event).is_some_and(|it| it.order == Order::pipelined);
        if !pipelined {
            // Commands that this one may depend on must be done first.
            self.pipelined.settled().await;
        }
        let underway = pipelined.then(|| PendingGuard::new(&self.pipelined));
        let connection = self.connection.clone();
        let still_in = self.still_in().await;
        drop(waiting);
        let name = event.clone();
        let respond = Respond::new(move |result: Result<Box<RawValue>>| {
            connection.answer(&name, ack, result);
            drop((unanswered, underway));
        });
        if let Err(error) = still_in {
            return fail(&event, &caller, respond, error);
        }
        dispatch(&self.context, caller, &event, &payload, respond).await;
    }
}

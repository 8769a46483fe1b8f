//! One session of Engine.IO: the namespaces that its client has joined, and the way of packets in and out.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::packets::{self, Kind, Namespace, Packet};
use super::polling::Polling;
use crate::domain::events;
use crate::error::Error;
use crate::platform::limits::ConcurrencyPermit;
use crate::protocol::catalogue::EventName;
use crate::random;
use crate::realtime::RealtimeState;
use crate::realtime::connection::{Ack, SendQueue};
use crate::realtime::inbox::Inbox;
use crate::realtime::outgoing::Outgoing;
use crate::realtime::publisher::Publisher;
use crate::realtime::registration::Registration;
use crate::realtime::transport::Transport;
use crate::realtime::write_queue::WriteQueue;
use crate::transport::http::frames::close_frame;
use crate::transport::http::token::Credentials;
use crate::transport::socketio::admission::{Refused, admit, is_final};
use crate::transport::socketio::{MAX_ATTACHMENTS, MAX_REFUSALS, PARTS_WITHIN, split_event, with_binary};
use crate::transport::websocket::TRY_LATER;

/// Longest name of a namespace that is refused by its name, bytes.
const LONGEST_NAMESPACE: usize = 64;

/// Why a packet ends the session.
#[derive(Debug, PartialEq, Eq)]
pub enum Ends {
    /// The client closes it.
    Closed,
    /// The packet is invalid.
    Invalid,
}

/// An event that came before the client was admitted: its name, its arguments and its acknowledgement.
type Waiting = (String, String, Option<Ack>);

/// Events that may come before the client is admitted.
const MAX_EARLY: usize = 64;

/// The client's part in a namespace.
#[derive(Default)]
enum Part {
    #[default]
    Outside,
    /// It is being admitted, by the attempt with this number. Events that have come already wait.
    Joining(usize, Vec<Waiting>),
    Inside {
        inbox: Arc<Inbox>,
        _registration: Registration,
    },
}

impl Part {
    /// Whether this attempt is admitting the client.
    fn is_joining(&self, attempt: usize) -> bool {
        matches!(self, Self::Joining(it, _) if *it == attempt)
    }
}

/// The client's parts in both namespaces; `None` once the session has ended.
type Parts = Option<[Part; 2]>;

/// An event whose attachments have not all arrived.
struct Partial {
    namespace: Option<Namespace>,
    id: Option<i64>,
    /// `None` if the packet has no effect.
    event: Option<(String, String)>,
    missing: usize,
    bytes: usize,
    parts: Vec<Bytes>,
    complete_by: Instant,
}

/// One session.
pub struct Session {
    realtime: Arc<RealtimeState>,
    sid: Box<str>,
    /// Backpressure and limits.
    pub transport: Arc<Transport>,
    credentials: Credentials,
    address: Option<IpAddr>,
    /// Counts the session as unauthenticated.
    pending: ConcurrencyPermit,
    parts: Mutex<Parts>,
    /// Attempts to join a namespace so far.
    attempts: AtomicUsize,
    refusals: AtomicUsize,
    partial: Mutex<Option<Box<Partial>>>,
    /// The queue of the WebSocket, once there is one.
    writes: OnceLock<Arc<WriteQueue>>,
    /// The state of a session that began with polling.
    polling: Option<Box<Polling>>,
}

impl Session {
    /// Creates a session that begins as a WebSocket, or with polling.
    pub fn new(
        realtime: Arc<RealtimeState>,
        sid: Box<str>,
        credentials: Credentials,
        address: Option<IpAddr>,
        pending: ConcurrencyPermit,
        polling: Option<Box<Polling>>,
    ) -> Arc<Self> {
        let transport = Arc::new(Transport::new(realtime.publisher.backlog_limit.clone()));
        Arc::new(Self {
            realtime,
            sid,
            transport,
            credentials,
            address,
            pending,
            parts: Mutex::new(Some(Default::default())),
            attempts: AtomicUsize::new(0),
            refusals: AtomicUsize::new(0),
            partial: Mutex::default(),
            writes: OnceLock::new(),
            polling,
        })
    }

    /// Returns the session's id.
    pub fn sid(&self) -> &str {
        &self.sid
    }

    /// Returns the state of a session that began with polling.
    pub fn polling(&self) -> Option<&Polling> {
        self.polling.as_deref()
    }

    /// Returns the queue of the session's WebSocket.
    pub fn websocket(&self) -> Option<&Arc<WriteQueue>> {
        self.writes.get()
    }

    /// Sends everything through this WebSocket from now on, behind what polling has not fetched.
    pub fn become_websocket(&self, writes: &Arc<WriteQueue>) {
        self.transport.become_websocket(writes);
        match &self.polling {
            Some(polling) => polling.move_to(writes, &self.writes),
            None => drop(self.writes.set(writes.clone())),
        }
    }

    /// Sends a frame.
    pub fn push(&self, frame: Bytes) {
        match (self.writes.get(), &self.polling) {
            (Some(writes), _) => writes.push(frame),
            (None, Some(polling)) => polling.push(frame, &self.writes),
            (None, None) => {}
        }
    }

    /// Sends a frame that a client can cause without limit, and ends the session if too much waits for it.
    fn push_counted(&self, frame: Bytes) {
        if self.transport.queue(frame.len()) {
            self.push(frame);
        } else {
            self.break_off();
        }
    }

    /// Ends the connection; the client reconnects by itself.
    fn break_off(&self) {
        if let Some(writes) = self.websocket() {
            writes.close_now(close_frame(TRY_LATER));
        }
        self.transport.end();
    }

    /// Whether the client is in a namespace or about to join one.
    pub fn has_joined(&self) -> bool {
        self.parts.lock().iter().flatten().any(|part| !matches!(part, Part::Outside))
    }

    /// Counts a refusal. Returns whether the session has to end.
    fn is_refused_too_often(&self) -> bool {
        self.refusals.fetch_add(1, Ordering::AcqRel) + 1 >= MAX_REFUSALS
    }

    /// Leaves all namespaces, and joins none from now on.
    pub fn leave_all(&self) {
        let parts = self.parts.lock().take();
        drop(parts);
    }

    /// Ends the session.
    pub fn end(&self) {
        self.leave_all();
        self.transport.end();
        self.pending.release();
    }

    /// Handles a packet of Engine.IO.
    pub fn receive(self: &Arc<Self>, packet: &str) -> Result<(), Ends> {
        match packet.split_at_checked(1) {
            Some(("4", message)) => self.message(message),
            // A pong, a ping, which needs no answer in this version of the protocol, or nothing at all.
            Some(("2" | "3" | "6", "")) => Ok(()),
            Some(("1", "")) => Err(Ends::Closed),
            _ => Err(Ends::Invalid),
        }
    }

    /// Handles a binary attachment. Its event takes effect when all of its attachments have arrived.
    pub fn receive_attachment(self: &Arc<Self>, part: Bytes) -> Result<(), Ends> {
        let mut waiting = self.partial.lock();
        let partial = waiting.as_mut().ok_or(Ends::Invalid)?;
        partial.missing -= 1;
        partial.bytes += part.len();
        partial.parts.push(part);
        if partial.bytes > self.realtime.context.settings.sockets.max_frame_bytes
            || Instant::now() > partial.complete_by
        {
            return Err(Ends::Invalid);
        }
        if partial.missing > 0 {
            return Ok(());
        }
        let complete = waiting.take();
        drop(waiting);
        match complete.map(|it| *it) {
            Some(Partial {
                namespace: Some(namespace), id, event: Some((event, payload)), parts, ..
            }) => self.event(namespace, id, event, with_binary(payload, &parts)),
            _ => Ok(()),
        }
    }

    fn message(self: &Arc<Self>, text: &str) -> Result<(), Ends> {
        let packet = packets::parse(text).ok_or(Ends::Invalid)?;
        if self.partial.lock().is_some() {
            return Err(Ends::Invalid);
        }
        let namespace = Namespace::parse(packet.namespace);
        if packet.attachments > 0 {
            return self.wait_for_attachments(&packet, namespace);
        }
        match (packet.kind, namespace) {
            (Kind::Connect, Some(namespace)) => self.join(namespace, packet.data),
            (Kind::Connect, None) => {
                // The name comes back to the client.
                if packet.namespace.len() > LONGEST_NAMESPACE || self.is_refused_too_often() {
                    return Err(Ends::Invalid);
                }
                self.push_counted(packets::refused(packet.namespace, "Invalid namespace"));
            }
            (Kind::Disconnect, Some(namespace)) => _ = self.leave(namespace),
            (Kind::Event, Some(namespace)) => {
                let (event, payload) = split_event(packet.data);
                return self.event(namespace, packet.id, event, payload);
            }
            // The server waits for no acknowledgement.
            (Kind::Ack, _) | (_, None) => {}
        }
        Ok(())
    }

    fn wait_for_attachments(&self, packet: &Packet<'_>, namespace: Option<Namespace>) -> Result<(), Ends> {
        if packet.attachments > MAX_ATTACHMENTS {
            return Err(Ends::Invalid);
        }
        let event = (packet.kind == Kind::Event).then(|| split_event(packet.data));
        *self.partial.lock() = Some(Box::new(Partial {
            namespace,
            id: packet.id,
            event,
            missing: packet.attachments,
            bytes: packet.data.len(),
            parts: Vec::new(),
            complete_by: Instant::now() + PARTS_WITHIN,
        }));
        Ok(())
    }

    /// Puts an event into the inbox of its namespace. As other servers do, ends the session of a client that is not in it.
    fn event(
        self: &Arc<Self>,
        namespace: Namespace,
        id: Option<i64>,
        event: String,
        payload: String,
    ) -> Result<(), Ends> {
        let ack = id.map(|id| self.ack(namespace, id));
        let inbox = match self.parts.lock().as_mut().map(|parts| &mut parts[namespace as usize]) {
            Some(Part::Inside { inbox, .. }) => inbox.clone(),
            Some(Part::Joining(_, early)) if early.len() < MAX_EARLY => {
                early.push((event, payload, ack));
                return Ok(());
            }
            _ => return Err(Ends::Invalid),
        };
        inbox.put(event, payload, ack);
        Ok(())
    }

    fn ack(self: &Arc<Self>, namespace: Namespace, id: i64) -> Ack {
        let session = self.clone();
        Box::new(move |reply: &RawValue| {
            session.push(packets::ack(namespace, id, reply.get()));
            true
        })
    }

    fn join(self: &Arc<Self>, namespace: Namespace, payload: &str) {
        let attempt = self.attempts.fetch_add(1, Ordering::Relaxed);
        match self.parts.lock().as_mut().map(|parts| &mut parts[namespace as usize]) {
            Some(part @ Part::Outside) => *part = Part::Joining(attempt, Vec::new()),
            _ => return,
        }
        let payload: Option<Value> = serde_json::from_str(payload).ok();
        let session = self.clone();
        tokio::spawn(async move {
            if session.transport.has_ended() {
                return;
            }
            let admitted = admit(
                &session.realtime,
                &session.transport,
                &session.credentials,
                payload.as_ref(),
                session.address,
            );
            match admitted.await {
                Ok(registration) => session.enter(namespace, attempt, registration),
                Err(error) => session.refuse(namespace, attempt, error),
            }
        });
    }

    /// Tells the client that it has joined; then events and commands may pass.
    fn enter(self: &Arc<Self>, namespace: Namespace, attempt: usize, registration: Registration) {
        let (context, connection) = (&self.realtime.context, registration.connection().clone());
        let Ok(id) = random::hex(10) else { return self.transport.end() };
        self.pending.release();
        let inbox = Inbox::new(connection.clone(), context.clone(), self.realtime.unanswered.clone());
        {
            let mut parts = self.parts.lock();
            match parts.as_mut().map(|parts| &mut parts[namespace as usize]) {
                Some(part) if part.is_joining(attempt) => {
                    let inside = Part::Inside { inbox: inbox.clone(), _registration: registration };
                    if let Part::Joining(_, early) = std::mem::replace(part, inside) {
                        for (event, payload, ack) in early {
                            inbox.put(event, payload, ack);
                        }
                    }
                }
                // The client has left meanwhile.
                _ => return inbox.abandon(),
            }
            self.push_counted(packets::joined(namespace, &id));
        }
        if !connection.open_queue(Box::new(NamespaceQueue { session: self.clone(), namespace })) {
            return inbox.abandon();
        }
        let ready = Publisher::ready(context, &connection);
        connection.send_event(events::ready::to_connection(&ready));
        inbox.start();
    }

    fn refuse(&self, namespace: Namespace, attempt: usize, error: Error) {
        let is_final = is_final(&error);
        let reason = Refused::from(error).to_string();
        // Counted even if the client has left meanwhile, so that it cannot try without end.
        let is_last = self.is_refused_too_often();
        let is_current = match self.parts.lock().as_mut().map(|parts| &mut parts[namespace as usize]) {
            Some(part) if part.is_joining(attempt) => {
                *part = Part::Outside;
                true
            }
            _ => false,
        };
        if is_current && is_final {
            let name = if namespace == Namespace::Root { "/" } else { "/ws" };
            self.push(packets::refused(name, &reason));
        }
        if is_last || !is_final {
            self.break_off();
        }
    }

    /// Leaves a namespace. Returns whether the client was inside.
    fn leave(&self, namespace: Namespace) -> bool {
        let mut parts = self.parts.lock();
        let left = parts.as_mut().map(|parts| std::mem::take(&mut parts[namespace as usize]));
        drop(parts);
        matches!(left, Some(Part::Inside { .. }))
    }
}

/// The send queue of a connection: the session's, in the framing of a namespace. Session and connection refer to each
/// other until the client leaves the namespace.
struct NamespaceQueue {
    session: Arc<Session>,
    namespace: Namespace,
}

impl SendQueue for NamespaceQueue {
    fn send(&self, outgoing: &Outgoing<'_>) -> bool {
        let frame = outgoing
            .frame(self.namespace.dialect(), |event, payload| packets::event(self.namespace, event, payload));
        self.session.push(frame);
        true
    }

    fn abort(&self, _transport: &Transport) {
        self.session.break_off();
    }

    fn dismiss(&self, _event: EventName) -> bool {
        let is_inside = self.session.leave(self.namespace);
        if is_inside {
            self.session.push(packets::left(self.namespace));
        }
        is_inside
    }

    /// Does nothing: all websockets are closed together, and polling clients find their session unknown.
    fn shut_down(&self) {}
}

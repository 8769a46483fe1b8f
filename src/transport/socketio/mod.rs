//! The Socket.IO transport: one engine at two paths, two namespaces with the same events, and rooms that are not the
//! library's. Handlers are registered before the client learns that it is connected, so that nothing it sends
//! immediately is lost.

mod engine;
mod handshake;
mod incoming;

mod polling;
mod send_queue;

pub use engine::{Accept, Engine, Guard, build, guard};

use std::sync::{Arc, Weak};
use std::time::Duration;

use dashmap::DashMap;
use socketioxide::SocketIo;
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::{SocketRef, TryData};
use socketioxide::handler::{ConnectHandler, DisconnectHandler};
use socketioxide::socket::{DisconnectReason, Socket};

use self::handshake::Refused;
use self::incoming::Intake;
use self::polling::Session;
use self::send_queue::{DirectQueue, EngineQueue, Frames};
use crate::domain::events;
use crate::error::{self, Code, Error};
use crate::realtime::RealtimeState;
use crate::realtime::connection::{Connection, SendQueue};
use crate::realtime::inbox::Inbox;
use crate::realtime::publisher::Publisher;
use crate::transport::http::client_address;

/// Both namespaces.
const NAMESPACES: [&str; 2] = ["/", "/ws"];

/// State of this transport.
pub struct SocketIoState {
    /// State that is shared with the other realtime transport.
    pub realtime: Arc<RealtimeState>,
    /// Sessions that began with polling, by Engine.IO session id. The session's first request keeps it alive, and the
    /// engine keeps that request as long as the session.
    sessions: DashMap<String, Weak<Session>>,
}

impl SocketIoState {
    /// Creates a transport without sessions.
    pub fn new(realtime: Arc<RealtimeState>) -> Arc<Self> {
        Arc::new(Self { realtime, sessions: DashMap::new() })
    }

    /// Returns a session that began with polling.
    fn session(&self, sid: &str) -> Option<Arc<Session>> {
        self.sessions.get(sid).and_then(|session| session.upgrade())
    }

    /// Starts a task that removes ended sessions every minute.
    pub fn sweep(self: Arc<Self>) {
        let context = self.realtime.context.clone();
        context.keep("ended sessions", move |_| {
            let state = self.clone();
            async move {
                let mut minute = tokio::time::interval(Duration::from_mins(1));
                loop {
                    minute.tick().await;
                    state.sessions.retain(|_, session| session.strong_count() > 0);
                }
            }
        });
    }
}

/// Registers both namespaces.
pub fn register(io: &SocketIo, state: &Arc<SocketIoState>) {
    for namespace in NAMESPACES {
        let state = state.clone();
        let admit = {
            let state = state.clone();
            async move |socket: SocketRef, TryData(payload): TryData<serde_json::Value>| {
                admit(&state, &socket, payload.ok()).await
            }
        };
        let enter = async move |socket: SocketRef| enter(&state, socket);
        io.ns(namespace, enter.with(admit));
    }
}

/// Authenticates a client and registers its connection, before the client learns that it is connected.
///
/// `connect_error` is for refusals that a retry cannot change, because clients treat it as final. If the fault is the
/// server's, or there are too many connections at the moment, the session ends without a message and the client
/// reconnects by itself.
async fn admit(
    state: &Arc<SocketIoState>,
    socket: &SocketRef,
    payload: Option<serde_json::Value>,
) -> Result<(), Refused> {
    let session = engine::session(socket.req_parts())?;
    // A client may send many requests before the first is decided; only a limited number is checked.
    if session.transport.has_ended() {
        return Err(Error::new(Code::TokenInvalid, "this session was refused too often").into());
    }
    let admitted = set_up(state, socket, payload, &session).await;
    match &admitted {
        Ok(()) => {}
        Err(error) if error.is_ours() => session.transport.end(),
        Err(error) if error.code == Code::RateLimited => {
            tracing::info!(%error, "a connection was refused");
            session.transport.end();
        }
        Err(_) => session.refuse(),
    }
    Ok(admitted?)
}

async fn set_up(
    state: &Arc<SocketIoState>,
    socket: &SocketRef,
    payload: Option<serde_json::Value>,
    session: &Arc<Session>,
) -> error::Result<()> {
    let realtime = &state.realtime;
    let parts = socket.req_parts();
    let (actor, expires_at) = handshake::authenticate(&realtime.context, parts, payload.as_ref()).await?;
    let permits =
        realtime.context.rates.admit(actor.user_id, client_address::noted(&parts.extensions)).await?;
    let id = realtime.publisher.next_id();
    let connection =
        Arc::new(Connection::new(id, actor, None, expires_at, session.transport.clone(), permits));
    let frames = session.writes.get().map(|writes| Frames::new(writes.clone(), id, socket.ns()));
    let leaving =
        Leaving { realtime: realtime.clone(), connection: connection.clone(), frames: frames.clone() };
    socket.on_disconnect(leaving);
    // Join the rooms before the client learns that it is connected, so that there is no gap between what it fetches and
    // the events that it receives from then on.
    if let Err(error) = realtime.publisher.register(&realtime.context, &connection).await {
        realtime.publisher.unregister(&realtime.context, &connection);
        return Err(error);
    }
    engine::admitted(parts);
    session.transport.authenticate();
    let inbox = Inbox::new(connection, realtime.context.clone(), realtime.unanswered.clone());
    socket.on_fallback(Intake::new(inbox.clone(), frames.clone()));
    if let Some(frames) = frames {
        socket.extensions.insert(frames);
    }
    socket.extensions.insert(inbox);
    Ok(())
}

/// Runs after `admit`: sends the queued events and `ready`, and processes what the client has sent meanwhile.
fn enter(state: &Arc<SocketIoState>, socket: SocketRef) {
    let Some(inbox) = socket.extensions.get::<Arc<Inbox>>() else { return };
    let connection = inbox.connection();
    // From here the socket and its queue refer to each other, until the disconnect handler separates them.
    let queue: Box<dyn SendQueue> = match socket.extensions.get::<Frames>() {
        Some(frames) => Box::new(DirectQueue { frames, socket }),
        None => Box::new(EngineQueue(socket)),
    };
    if !connection.open_queue(queue) {
        return inbox.abandon();
    }
    let ready = Publisher::ready(&state.realtime.context, connection);
    connection.send_event(events::ready::to_connection(&ready));
    inbox.start();
}

/// Unregisters a connection when its socket ends, whichever side ended it.
///
/// The library frees the socket's place in its namespace only when this returns, and ignores a CONNECT that arrives
/// earlier, so nothing here waits. If a client leaves during its registration, the library calls no handler; it drops
/// the socket, and this value with it.
struct Leaving {
    realtime: Arc<RealtimeState>,
    connection: Arc<Connection>,
    frames: Option<Frames>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(frames) = &self.frames {
            frames.abandon();
        }
        self.realtime.publisher.unregister(&self.realtime.context, &self.connection);
    }
}

/// Distinguishes this implementation of the handler trait from those for closures.
struct AtOnce;

impl DisconnectHandler<LocalAdapter, AtOnce> for Leaving {
    fn call_with_defer(
        &self,
        socket: Arc<Socket<LocalAdapter>>,
        _: DisconnectReason,
        defer: fn(Arc<Socket<LocalAdapter>>),
    ) {
        self.realtime.publisher.unregister(&self.realtime.context, &self.connection);
        defer(socket);
    }
}

//! The Socket.IO state: one engine at two paths, two namespaces with the same events, rooms of our
//! own. Handlers are registered before the client is told that it is connected, so that nothing it sends
//! at once is lost.

mod engine;
mod handshake;
mod incoming;

pub use engine::{build, guard};
mod polling;
mod send_queue;

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
use self::send_queue::SocketQueue;
use crate::domain::events;
use crate::error::{self, Code, Error};
use crate::realtime::RealtimeState;
use crate::realtime::connection::Connection;
use crate::realtime::inbox::Inbox;
use crate::realtime::publisher::Publisher;
use crate::transport::http::client_address;

/// Both namespaces.
const NAMESPACES: [&str; 2] = ["/", "/ws"];

/// What this transport works with.
pub struct SocketIoState {
    /// Shared with the other realtime transport.
    pub realtime: Arc<RealtimeState>,
    /// Sessions that began with polling, by Engine.IO session id. A session's first request holds it as long as the
    /// engine holds the session.
    sessions: DashMap<String, Weak<Session>>,
}

impl SocketIoState {
    /// A transport without sessions.
    pub fn new(realtime: Arc<RealtimeState>) -> Arc<Self> {
        Arc::new(Self { realtime, sessions: DashMap::new() })
    }

    /// A session that began with polling.
    fn session(&self, sid: &str) -> Option<Arc<Session>> {
        self.sessions.get(sid).and_then(|session| session.upgrade())
    }

    /// Forgets sessions that have ended, every minute.
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

/// Before the client is told that it is connected: who is it, and where do its events go.
///
/// `connect_error` is for refusals that another try cannot change: clients take it as final. Where the fault is ours, or
/// there are too many connections just now, the session ends without a word, and the client comes back by itself.
async fn admit(
    state: &Arc<SocketIoState>,
    socket: &SocketRef,
    payload: Option<serde_json::Value>,
) -> Result<(), Refused> {
    let session = engine::session(socket.req_parts())?;
    // A client that sends many before the first is decided: only so many are looked at.
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
    socket.on_disconnect(Leaving { realtime: realtime.clone(), connection: connection.clone() });
    // Rooms are joined before the client is told that it is connected: what it fetches from then on and
    // what it is told from now on leave nothing out between them.
    if let Err(error) = realtime.publisher.register(&realtime.context, &connection).await {
        realtime.publisher.unregister(&realtime.context, &connection);
        return Err(error);
    }
    engine::admitted(parts);
    session.transport.authenticate();
    let inbox = Inbox::new(connection, realtime.context.clone(), realtime.unanswered.clone());
    socket.on_fallback(Intake::new(inbox.clone()));
    socket.extensions.insert(inbox);
    Ok(())
}

/// After it: what has gathered is sent, `ready` is said, and what the client sent meanwhile is worked off.
fn enter(state: &Arc<SocketIoState>, socket: SocketRef) {
    let Some(inbox) = socket.extensions.get::<Arc<Inbox>>() else { return };
    let connection = inbox.connection();
    // From here the socket and its outbox hold each other, until the disconnect handler parts them.
    if !connection.open_queue(Box::new(SocketQueue(socket))) {
        return inbox.abandon();
    }
    let ready = Publisher::ready(&state.realtime.context, connection);
    connection.send_event(events::ready::to_connection(&ready));
    inbox.start();
}

/// What happens when a socket goes, whoever ended it.
///
/// The library frees the socket's place in its namespace only when this returns, and ignores a CONNECT that
/// comes before: so nothing here waits. Of a client that leaves while its registration runs the library tells nobody:
/// it drops the socket, and this with it.
struct Leaving {
    realtime: Arc<RealtimeState>,
    connection: Arc<Connection>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.realtime.publisher.unregister(&self.realtime.context, &self.connection);
    }
}

/// Tells this handler's implementation from those for closures.
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

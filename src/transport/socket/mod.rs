//! The Socket.IO door: one engine at two paths, two namespaces with the same events, rooms of the house's
//! own. Handlers are registered before the client is told that it is connected, so that nothing it sends
//! at once is lost.

mod engine;
mod handshake;
mod inbox;

pub use engine::{build, guard};
pub use handshake::{find_token, given_token, header_token};

use std::sync::{Arc, Weak};
use std::time::Duration;

use dashmap::DashMap;
use socketioxide::SocketIo;
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::{SocketRef, TryData};
use socketioxide::handler::{ConnectHandler, DisconnectHandler};
use socketioxide::socket::{DisconnectReason, Socket};

use self::handshake::Refused;
use self::inbox::Intake;
use super::connection::{Connection, Outbox};
use super::counter::Counter;
use super::inbox::Inbox;
use super::publisher::Publisher;
use super::wire::Wire;
use crate::domain::Core;
use crate::error::{self, Code, Error};
use crate::transport::client_address;

/// Both namespaces.
const NAMESPACES: [&str; 2] = ["/", "/ws"];

/// What the door works with.
pub struct Door {
    /// The domain.
    pub core: Arc<Core>,
    /// Rooms and outboxes.
    pub publisher: Arc<Publisher>,
    /// Wires of the sessions that began with polling, by Engine.IO session id. A session's first request holds the
    /// wire as long as the engine holds the session.
    wires: DashMap<String, Weak<Wire>>,
    /// Events of all sockets that were received and not yet answered.
    pub unanswered: Arc<Counter>,
}

impl Door {
    /// A door that nobody has come through yet.
    pub fn new(core: Arc<Core>, publisher: Arc<Publisher>) -> Arc<Self> {
        Arc::new(Self { core, publisher, wires: DashMap::new(), unanswered: Arc::default() })
    }

    /// The wire of a session that began with polling.
    fn wire(&self, sid: &str) -> Option<Arc<Wire>> {
        self.wires.get(sid).and_then(|wire| wire.upgrade())
    }

    /// Forgets wires whose session has ended, every minute.
    pub fn sweep(self: Arc<Self>) {
        let core = self.core.clone();
        core.keep("ended sessions", move |_| {
            let door = self.clone();
            async move {
                let mut minute = tokio::time::interval(Duration::from_mins(1));
                loop {
                    minute.tick().await;
                    door.wires.retain(|_, wire| wire.strong_count() > 0);
                }
            }
        });
    }

    /// Waits until everything that was received is answered.
    pub async fn settled(&self) {
        self.unanswered.settled().await;
    }
}

/// Registers both namespaces.
pub fn register(io: &SocketIo, door: &Arc<Door>) {
    for namespace in NAMESPACES {
        let door = door.clone();
        let admit = {
            let door = door.clone();
            async move |socket: SocketRef, TryData(payload): TryData<serde_json::Value>| {
                admit(&door, &socket, payload.ok()).await
            }
        };
        let enter = async move |socket: SocketRef| enter(&door, socket);
        io.ns(namespace, enter.with(admit));
    }
}

/// Before the client is told that it is connected: who is it, and where do its events go.
///
/// `connect_error` is for refusals that another try cannot change: clients take it as final. Where the fault is ours, or
/// there are too many connections just now, the session ends without a word, and the client comes back by itself.
async fn admit(
    door: &Arc<Door>,
    socket: &SocketRef,
    payload: Option<serde_json::Value>,
) -> Result<(), Refused> {
    let wire = engine::wire(socket.req_parts())?;
    // A client that sends many before the first is decided: only so many are looked at.
    if wire.is_dead() {
        return Err(Error::new(Code::TokenInvalid, "this session was refused too often").into());
    }
    let admitted = set_up(door, socket, payload, &wire).await;
    match &admitted {
        Ok(()) => {}
        Err(error) if error.is_ours() => wire.end(),
        Err(error) if error.code == Code::RateLimited => {
            tracing::info!(%error, "a connection was refused");
            wire.end();
        }
        Err(_) => wire.refuse(),
    }
    Ok(admitted?)
}

async fn set_up(
    door: &Arc<Door>,
    socket: &SocketRef,
    payload: Option<serde_json::Value>,
    wire: &Arc<Wire>,
) -> error::Result<()> {
    let parts = socket.req_parts();
    let (actor, expires_at) = handshake::authenticate(&door.core, parts, payload.as_ref()).await?;
    let seats = door.core.rates.seat(actor.user_id, client_address::noted(&parts.extensions)).await?;
    let id = door.publisher.next_id();
    let connection = Arc::new(Connection::new(id, actor, None, expires_at, wire.clone(), seats));
    socket.on_disconnect(Leaving { door: door.clone(), connection: connection.clone() });
    // Rooms are joined before the client is told that it is connected: what it fetches from then on and
    // what it is told from now on leave nothing out between them.
    if let Err(error) = door.publisher.welcome(&door.core, &connection).await {
        door.publisher.farewell(&door.core, &connection);
        return Err(error);
    }
    engine::admitted(parts);
    wire.admit();
    let inbox = Inbox::new(connection, door.core.clone(), door.unanswered.clone());
    socket.on_fallback(Intake::new(inbox.clone()));
    socket.extensions.insert(inbox);
    Ok(())
}

/// After it: what has gathered is sent, `ready` is said, and what the client sent meanwhile is worked off.
fn enter(door: &Arc<Door>, socket: SocketRef) {
    let Some(inbox) = socket.extensions.get::<Arc<Inbox>>() else { return };
    let connection = inbox.connection();
    // From here the socket and its outbox hold each other, until the disconnect handler parts them.
    if !connection.open_outbox(Outbox::SocketIo(socket)) {
        return inbox.abandon();
    }
    connection.tell("ready", &Publisher::ready(&door.core, connection));
    inbox.start();
}

/// What happens when a socket goes, whoever ended it.
///
/// The library frees the socket's place in its namespace only when this returns, and ignores a CONNECT that
/// comes before: so nothing here waits. Of a client that leaves while its registration runs the library tells nobody:
/// it drops the socket, and this with it.
struct Leaving {
    door: Arc<Door>,
    connection: Arc<Connection>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.door.publisher.farewell(&self.door.core, &self.connection);
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
        self.door.publisher.farewell(&self.door.core, &self.connection);
        defer(socket);
    }
}

//! The Socket.IO door: one engine at two paths, two namespaces with the same events, rooms of the house's
//! own. Handlers are registered before the client is told that it is connected, so that nothing it sends
//! at once is lost.

mod engine;
mod handshake;
mod inbox;

pub use engine::{build, guard};
pub use handshake::{find_token, header_token};

use std::sync::Arc;
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

/// Both namespaces.
const NAMESPACES: [&str; 2] = ["/", "/ws"];

/// What the door works with.
pub struct Door {
    /// The domain.
    pub core: Arc<Core>,
    /// Rooms and outboxes.
    pub publisher: Arc<Publisher>,
    /// Wires by Engine.IO session id.
    wires: DashMap<String, Arc<Wire>>,
    /// Events of all sockets that were received and not yet answered.
    pub unanswered: Arc<Counter>,
}

impl Door {
    /// A door that nobody has come through yet.
    pub fn new(core: Arc<Core>, publisher: Arc<Publisher>) -> Arc<Self> {
        Arc::new(Self { core, publisher, wires: DashMap::new(), unanswered: Arc::default() })
    }

    /// The wire of an Engine.IO session.
    fn wire(&self, sid: &str) -> Arc<Wire> {
        self.wires.entry(sid.to_owned()).or_default().clone()
    }

    /// Forgets wires that no connection holds, every minute: an upgrade can come before the first namespace.
    pub fn sweep(self: Arc<Self>) {
        tokio::spawn(async move {
            let mut minute = tokio::time::interval(Duration::from_mins(1));
            loop {
                minute.tick().await;
                self.wires.retain(|_, wire| Arc::strong_count(wire) > 1);
                self.publisher.forget_stranded(&self.core);
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
async fn admit(
    door: &Arc<Door>,
    socket: &SocketRef,
    payload: Option<serde_json::Value>,
) -> Result<(), Refused> {
    let parts = socket.req_parts();
    let (actor, expires_at) = handshake::authenticate(&door.core, parts, payload.as_ref()).await?;
    let wire = door.wire(&socket.id.to_string());
    if let Some(gate) = engine::websocket_gate(parts) {
        wire.set_gate(gate);
    }
    let id = door.publisher.next_id();
    let connection = Arc::new(Connection::new(id, actor, None, expires_at, wire));
    socket.on_disconnect(Leaving { door: door.clone(), connection: connection.clone() });
    // Rooms are joined before the client is told that it is connected: what it fetches from then on and
    // what it is told from now on leave nothing out between them.
    if let Err(error) = door.publisher.welcome(&door.core, &connection).await {
        door.publisher.farewell(&door.core, &connection);
        return Err(Refused::because(error));
    }
    engine::admitted(parts);
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
/// comes before: so nothing here waits.
struct Leaving {
    door: Arc<Door>,
    connection: Arc<Connection>,
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
        // The map's and this connection's own: then nobody else is on the wire.
        self.door.wires.remove_if(&socket.id.to_string(), |_, wire| Arc::strong_count(wire) <= 2);
        defer(socket);
    }
}

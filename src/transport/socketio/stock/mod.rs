//! Socket.IO by socketioxide, for `FAST_PATH=off`. Handlers are registered before the client learns that it is connected,
//! so that nothing it sends immediately is lost.

mod guard;
mod incoming;
mod send_queue;
mod session;

use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use dashmap::DashMap;
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::{SocketRef, TryData};
use socketioxide::handler::{ConnectHandler, DisconnectHandler};
use socketioxide::socket::{DisconnectReason, Socket};
use socketioxide::{ParserConfig, SocketIo};

use self::incoming::Intake;
use self::send_queue::EngineQueue;
use self::session::Session;
use super::admission::{Refused, admit, is_final};
use super::{MAX_ATTACHMENTS, PARTS_WITHIN, PATHS};
use crate::domain::events;
use crate::error::{self, Code, Error};
use crate::realtime::RealtimeState;
use crate::realtime::inbox::Inbox;
use crate::realtime::publisher::Publisher;
use crate::realtime::registration::Registration;
use crate::transport::http::client_address;
use crate::transport::http::token::Credentials;

/// Both namespaces.
const NAMESPACES: [&str; 2] = ["/", "/ws"];

/// Maximum packets that may be queued for one client. If the queue is full, the connection ends.
const OUTBOX_PACKETS: usize = 4_096;

/// Buffer for reading from one WebSocket, bytes: idle ones keep it.
const READ_BUFFER: usize = 512;

/// The server.
pub struct Stock {
    state: Arc<StockState>,
    io: SocketIo,
    router: Router,
}

/// What the requests and sockets need. The library must not own this, because it refers to the library.
struct StockState {
    realtime: Arc<RealtimeState>,
    /// Sessions that began with polling, by Engine.IO session id. The session's first request keeps it alive, and the
    /// library keeps that request as long as the session.
    sessions: DashMap<String, Weak<Session>>,
}

impl Stock {
    /// Creates a server without sessions.
    pub fn new(realtime: Arc<RealtimeState>) -> Self {
        let settings = &realtime.context.settings.sockets;
        // An incomplete event waits in memory, so it has the size limit of one frame.
        let parser = ParserConfig::common()
            .max_incoming_binaries(MAX_ATTACHMENTS)
            .max_incoming_binary_buf_size(settings.max_frame_bytes)
            .packet_completion_timeout(PARTS_WITHIN);
        let (service, io) = SocketIo::builder()
            .with_parser(parser)
            .req_path("/")
            .ping_interval(settings.ping_interval)
            .ping_timeout(settings.ping_timeout)
            .connect_timeout(settings.connect_timeout)
            .max_buffer_size(OUTBOX_PACKETS)
            .max_payload(settings.max_frame_bytes as u64)
            .ws_max_message_size(settings.max_frame_bytes)
            .ws_max_frame_size(settings.max_frame_bytes)
            .ws_read_buffer_size(READ_BUFFER)
            .build_svc();
        let mut router = Router::new();
        for path in PATHS {
            router = router.nest_service(path, service.clone());
        }
        let state = Arc::new(StockState { realtime, sessions: DashMap::new() });
        register(&io, &state);
        state.clone().sweep();
        Self { state, io, router }
    }

    /// Returns the routes of its HTTP requests.
    pub fn routes(&self) -> Router {
        self.router.clone().layer(from_fn_with_state(self.state.clone(), guard::guard))
    }

    /// Ends all sessions.
    pub async fn close(&self) {
        self.io.close().await;
    }
}

impl StockState {
    /// Returns a session that began with polling.
    fn session(&self, sid: &str) -> Option<Arc<Session>> {
        self.sessions.get(sid).and_then(|session| session.upgrade())
    }

    /// Starts a task that removes ended sessions every minute.
    fn sweep(self: Arc<Self>) {
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
fn register(io: &SocketIo, state: &Arc<StockState>) {
    for namespace in NAMESPACES {
        let state = state.clone();
        let admit = {
            let state = state.clone();
            async move |socket: SocketRef, TryData(payload): TryData<serde_json::Value>| {
                admit_socket(&state, &socket, payload.ok()).await
            }
        };
        let enter = async move |socket: SocketRef| enter(&state, socket);
        io.ns(namespace, enter.with(admit));
    }
}

/// Authenticates a client and registers its connection, before the client learns that it is connected.
async fn admit_socket(
    state: &Arc<StockState>,
    socket: &SocketRef,
    payload: Option<serde_json::Value>,
) -> Result<(), Refused> {
    let session = guard::session(socket.req_parts())?;
    // A client may send many requests before the first is decided; only a limited number is checked.
    if session.transport.has_ended() {
        return Err(Error::new(Code::TokenInvalid, "this session was refused too often").into());
    }
    let admitted = set_up(state, socket, payload, &session).await;
    if let Err(error) = &admitted {
        if is_final(error) {
            session.refuse();
        } else {
            session.transport.end();
        }
    }
    Ok(admitted?)
}

async fn set_up(
    state: &Arc<StockState>,
    socket: &SocketRef,
    payload: Option<serde_json::Value>,
    session: &Arc<Session>,
) -> error::Result<()> {
    let realtime = &state.realtime;
    let parts = socket.req_parts();
    let credentials = Credentials::read(&realtime.context, &parts.headers);
    let address = client_address::noted(&parts.extensions);
    let registration = admit(realtime, &session.transport, &credentials, payload.as_ref(), address).await?;
    guard::admitted(parts);
    let connection = registration.connection().clone();
    socket.on_disconnect(Leaving(registration));
    let inbox = Inbox::new(connection, realtime.context.clone(), realtime.unanswered.clone());
    socket.on_fallback(Intake::new(inbox.clone()));
    socket.extensions.insert(inbox);
    Ok(())
}

/// Runs after `admit_socket`: sends the queued events and `ready`, and processes what the client has sent meanwhile.
fn enter(state: &Arc<StockState>, socket: SocketRef) {
    let Some(inbox) = socket.extensions.get::<Arc<Inbox>>() else { return };
    let connection = inbox.connection();
    // From here the socket and its queue refer to each other, until the disconnect handler separates them.
    if !connection.open_queue(Box::new(EngineQueue(socket))) {
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
struct Leaving(Registration);

/// Distinguishes this implementation of the handler trait from those for closures.
struct AtOnce;

impl DisconnectHandler<LocalAdapter, AtOnce> for Leaving {
    fn call_with_defer(
        &self,
        socket: Arc<Socket<LocalAdapter>>,
        _: DisconnectReason,
        defer: fn(Arc<Socket<LocalAdapter>>),
    ) {
        self.0.end();
        defer(socket);
    }
}

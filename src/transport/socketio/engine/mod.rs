//! This server's own engine: Engine.IO protocol 4 and Socket.IO protocol 5, over `WebSocket`, polling, and polling that
//! upgrades.
//!
//! It exists because of what a connection costs: an idle one needs little memory and no channel, and events are written to
//! the socket by whoever publishes them.

mod packets;
mod polling;
mod session;
mod websocket;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use dashmap::DashMap;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use tokio::time::timeout;

use self::polling::{Polling, Upgrade};
use self::session::{Ends, Session};
use super::{PACKETS, PATHS};
use crate::error::{Code, Error, Result};
use crate::random;
use crate::realtime::RealtimeState;
use crate::realtime::heartbeat::Heartbeat;
use crate::realtime::transport::{PATIENCE, UNAUTHENTICATED_BYTES};
use crate::transport::http::frame_reader::FrameReader;
use crate::transport::http::problem::Problem;
use crate::transport::http::timed_body::{BODY_WITHIN, TooSlow};
use crate::transport::http::token::Credentials;
use crate::transport::http::{client_address, upgrade_request};

/// Random bytes of a session's id.
const SID_BYTES: usize = 16;

/// The engine.
pub struct Engine {
    realtime: Arc<RealtimeState>,
    /// All sessions, by id.
    sessions: DashMap<Box<str>, Arc<Session>>,
}

/// Errors of the protocol, with the codes that clients know.
#[derive(Clone, Copy)]
enum BadRequest {
    UnknownTransport,
    UnknownSession,
    Handshake,
    Mismatch,
    Version,
}

impl IntoResponse for BadRequest {
    fn into_response(self) -> Response {
        let (code, message) = match self {
            Self::UnknownTransport => (0, "Transport unknown"),
            Self::UnknownSession => (1, "Session ID unknown"),
            Self::Handshake => (2, "Bad handshake method"),
            Self::Mismatch => (3, "Bad request"),
            Self::Version => (5, "Unsupported protocol version"),
        };
        let body = format!(r#"{{"code":{code},"message":"{message}"}}"#);
        (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

/// Why a request is rejected.
enum Rejection {
    Protocol(BadRequest),
    Other(Problem),
}

impl From<BadRequest> for Rejection {
    fn from(error: BadRequest) -> Self {
        Self::Protocol(error)
    }
}

impl<E: Into<Problem>> From<E> for Rejection {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        match self {
            Self::Protocol(error) => error.into_response(),
            Self::Other(problem) => problem.into_response(),
        }
    }
}

impl Engine {
    /// Creates an engine without sessions.
    pub fn new(realtime: Arc<RealtimeState>) -> Arc<Self> {
        Arc::new(Self { realtime, sessions: DashMap::new() })
    }

    /// Returns the routes of all requests of clients.
    pub fn routes(self: &Arc<Self>) -> Router {
        let handle = async |State(engine): State<Arc<Self>>, request: Request| engine.handle(request).await;
        let mut routes = Router::new();
        for path in PATHS {
            routes = routes.route(path, any(handle)).route(&format!("{path}/"), any(handle));
        }
        routes.with_state(self.clone())
    }

    /// Ends all sessions.
    pub fn close(&self) {
        let sessions: Vec<Arc<Session>> = self.sessions.iter().map(|it| it.clone()).collect();
        for session in &sessions {
            self.end(session);
        }
    }

    /// Ends a session.
    fn end(&self, session: &Session) {
        session.end();
        self.sessions.remove(session.sid());
    }

    async fn handle(self: &Arc<Self>, request: Request) -> Result<Response, Rejection> {
        let query = Query::parse(request.uri().query().unwrap_or_default())?;
        let is_get = request.method() == Method::GET;
        if query.is_websocket && is_get {
            upgrade_request::require(request.headers())?;
        }
        let Some(sid) = query.sid else {
            if !is_get {
                return Err(BadRequest::Handshake.into());
            }
            return if query.is_websocket {
                self.open_websocket(request)
            } else {
                self.open_polling(&request)
            };
        };
        let session = self.sessions.get(sid).map(|it| it.clone());
        let session = session.filter(|it| !it.transport.has_ended()).ok_or(BadRequest::UnknownSession)?;
        if query.is_websocket {
            return self.upgrade(&session, request);
        }
        let polling =
            session.polling().filter(|_| session.websocket().is_none()).ok_or(BadRequest::Mismatch)?;
        match *request.method() {
            Method::GET => self.poll(&session, polling).await,
            Method::POST => self.post(&session, polling, request).await,
            _ => Err(BadRequest::Mismatch.into()),
        }
    }

    /// Creates a session. It counts as an unauthenticated socket of its address until it joins a namespace or ends.
    fn begin(&self, request: &Request, is_polling: bool) -> Result<(Arc<Session>, Heartbeat)> {
        let context = &self.realtime.context;
        let address = client_address::noted(request.extensions());
        let pending = context.rates.pending.enter(address)?;
        let credentials = Credentials::read(context, request.headers());
        let heartbeat = Heartbeat::new(&context.settings.sockets);
        let sid = random::hex(SID_BYTES)?;
        let polling = is_polling.then(|| Box::new(Polling::new(heartbeat)));
        let session = Session::new(self.realtime.clone(), sid.into(), credentials, address, pending, polling);
        self.sessions.insert(session.sid().into(), session.clone());
        Ok((session, heartbeat))
    }

    /// Returns the packet that opens a session.
    fn open_packet(&self, session: &Session) -> Result<String> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Open<'a> {
            sid: &'a str,
            upgrades: &'static [&'static str],
            ping_interval: u128,
            ping_timeout: u128,
            max_payload: usize,
        }
        let settings = &self.realtime.context.settings.sockets;
        let open = Open {
            sid: session.sid(),
            upgrades: if session.polling().is_some() { &["websocket"] } else { &[] },
            ping_interval: settings.ping_interval.as_millis(),
            ping_timeout: settings.ping_timeout.as_millis(),
            max_payload: settings.max_frame_bytes,
        };
        Ok(format!("0{}", serde_json::to_string(&open).map_err(Error::internal)?))
    }

    fn open_polling(self: &Arc<Self>, request: &Request) -> Result<Response, Rejection> {
        let (session, _) = self.begin(request, true)?;
        let packet = self.open_packet(&session)?;
        let engine = self.clone();
        tokio::spawn(async move {
            if let Some(polling) = session.polling()
                && polling.watch(&session).await
            {
                engine.end(&session);
            }
        });
        Ok(packets(packet))
    }

    fn open_websocket(self: &Arc<Self>, mut request: Request) -> Result<Response, Rejection> {
        let accepted = upgrade_request::accept(request.headers())?;
        let (session, heartbeat) = self.begin(&request, false)?;
        let packet = self.open_packet(&session)?;
        let (engine, upgraded) = (self.clone(), hyper::upgrade::on(&mut request));
        tokio::spawn(async move {
            let Some(reader) = engine.reader(upgraded).await else { return engine.end(&session) };
            session.become_websocket(reader.writes());
            session.push(packets::engine(&packet));
            // A task of its own, which is smaller than this one.
            tokio::spawn(websocket::run(engine, session, reader, heartbeat));
        });
        Ok(accepted)
    }

    /// Upgrades a session to a WebSocket.
    fn upgrade(
        self: &Arc<Self>,
        session: &Arc<Session>,
        mut request: Request,
    ) -> Result<Response, Rejection> {
        let accepted = upgrade_request::accept(request.headers())?;
        let upgrade = Upgrade::claim(session).ok_or(BadRequest::Mismatch)?;
        let (engine, upgraded) = (self.clone(), hyper::upgrade::on(&mut request));
        tokio::spawn(async move {
            if let Some(reader) = engine.reader(upgraded).await {
                // It can only become a session by its client's packets, which are few.
                reader.writes().backpressure().limit_reading(UNAUTHENTICATED_BYTES);
                websocket::upgrade(engine, upgrade, reader).await;
            }
        });
        Ok(accepted)
    }

    async fn reader(&self, upgraded: hyper::upgrade::OnUpgrade) -> Option<FrameReader> {
        match FrameReader::from_upgrade(upgraded, self.realtime.context.settings.sockets.max_frame_bytes)
            .await
        {
            Ok(reader) => Some(reader),
            Err(error) => {
                tracing::debug!(%error, "an upgrade failed");
                None
            }
        }
    }

    async fn poll(&self, session: &Session, polling: &Polling) -> Result<Response, Rejection> {
        let Some(_poll) = polling.begin() else {
            // Each of the two would get some of the packets.
            self.end(session);
            return Err(BadRequest::UnknownSession.into());
        };
        match polling.fetch(session).await {
            Some(fetched) => Ok(packets(fetched)),
            None => Err(BadRequest::UnknownSession.into()),
        }
    }

    async fn post(
        &self,
        session: &Arc<Session>,
        polling: &Polling,
        request: Request,
    ) -> Result<Response, Rejection> {
        polling.hears();
        let _posting = polling.posting.lock().await;
        if let Some(backpressure) = session.transport.polling() {
            drop(timeout(PATIENCE, backpressure.room()).await);
        }
        let allowed = self.realtime.context.settings.sockets.max_frame_bytes;
        let is_known = session.transport.is_authenticated();
        let most = if is_known { allowed } else { allowed.min(UNAUTHENTICATED_BYTES as usize) };
        let body: Bytes = match timeout(BODY_WITHIN, Limited::new(request.into_body(), most).collect()).await
        {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                if most < allowed {
                    self.end(session);
                    return Err(BadRequest::UnknownSession.into());
                }
                let error = Error::new(Code::TooLarge, "more than `maxPayload` bytes at once");
                return Err(error.into());
            }
            Ok(Err(_)) => return Err(Error::invalid("payload", "broke off").into()),
            Err(_) => return Err(Error::from(TooSlow).into()),
        };
        if session.transport.has_ended() {
            return Err(BadRequest::UnknownSession.into());
        }
        let received = if polling.accepts(session, &body) {
            polling::receive(session, &body)
        } else {
            Err(Ends::Invalid)
        };
        if let Err(ends) = received {
            self.end(session);
            if ends == Ends::Invalid {
                return Err(BadRequest::Mismatch.into());
            }
        }
        Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("text/html"))], "ok").into_response())
    }
}

fn packets(body: impl Into<Bytes>) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(PACKETS))], body.into()).into_response()
}

/// The query of a request.
struct Query<'a> {
    sid: Option<&'a str>,
    is_websocket: bool,
}

impl<'a> Query<'a> {
    fn parse(query: &'a str) -> Result<Self, BadRequest> {
        let value = |name: &str| {
            query.split('&').find_map(|pair| pair.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')))
        };
        if value("EIO") != Some("4") {
            return Err(if query.is_empty() { BadRequest::UnknownTransport } else { BadRequest::Version });
        }
        let is_websocket = match value("transport") {
            Some("websocket") => true,
            Some("polling") => false,
            _ => return Err(BadRequest::UnknownTransport),
        };
        Ok(Self { sid: value("sid"), is_websocket })
    }
}

//! Admits a client to a namespace: authenticates it, and registers its connection.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value;

use crate::domain::sessions;
use crate::error::{Code, Error, Result};
use crate::realtime::RealtimeState;
use crate::realtime::connection::Connection;
use crate::realtime::registration::Registration;
use crate::realtime::transport::Transport;
use crate::transport::http::token::Credentials;

/// The reason why a client is refused; `connect_error` carries its text.
pub struct Refused(Error);

impl From<Error> for Refused {
    /// Logs internal errors.
    fn from(error: Error) -> Self {
        if error.source.is_some() {
            tracing::error!(%error, "a handshake could not be checked");
        }
        Self(error)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unauthorized: {}", self.0.code.as_str())
    }
}

/// Authenticates a client by the credentials of its first request or by the payload of its CONNECT packet, and registers
/// its connection. The rooms are joined before the client learns that it is connected, so that there is no gap between
/// what it fetches and the events that it receives from then on.
pub async fn admit(
    realtime: &Arc<RealtimeState>,
    transport: &Arc<Transport>,
    credentials: &Credentials,
    payload: Option<&Value>,
    address: Option<IpAddr>,
) -> Result<Registration> {
    let token = credentials
        .token(payload)
        .ok_or_else(|| Error::new(Code::TokenMissing, "the handshake has no token"))?;
    let (actor, expires_at) = sessions::authenticate(&realtime.context, token).await?;
    let permits = realtime.context.rates.admit(actor.user_id, address).await?;
    let id = realtime.publisher.next_id();
    let connection = Arc::new(Connection::new(id, actor, None, expires_at, transport.clone(), permits));
    let registration = Registration::new(realtime, connection).await?;
    transport.authenticate();
    Ok(registration)
}

/// Returns whether a refused client gets a `connect_error`, which clients treat as final. If the fault is the server's,
/// or there are too many connections at the moment, its session ends without a message, and it reconnects by itself.
pub fn is_final(error: &Error) -> bool {
    if error.code == Code::RateLimited {
        tracing::info!(%error, "a connection was refused");
    }
    !error.is_ours() && error.code != Code::RateLimited
}

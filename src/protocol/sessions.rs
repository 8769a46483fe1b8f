//! Connections and sessions: how they begin, are renewed and end.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::parse::{Check, Limits, Problems};
use crate::clock::Timestamp;
use crate::ids::{SessionId, UserId};

/// `authenticate`: replaces the token of the connection by a newer one of the same session.
#[derive(Deserialize, ToSchema)]
pub struct Authenticate {
    /// An access token.
    pub token: String,
}

impl std::fmt::Debug for Authenticate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authenticate")
    }
}

impl Check for Authenticate {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        problems.check("token", !self.token.is_empty(), "is empty");
    }
}

/// The reply to `authenticate`.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuthenticateReply {
    /// When the new token expires.
    pub expires_at: Timestamp,
}

/// `ready`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ready {
    /// The user.
    pub user_id: UserId,
    /// The session of the token.
    pub session_id: SessionId,
    /// Identifies the history of the database; changes when a backup is restored.
    pub epoch: String,
    /// The server's time.
    pub server_time: Timestamp,
}

/// `token_expiring`.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenExpiring {
    /// When the token expires.
    pub expires_at: Timestamp,
}

/// `token_expired`, `session_ended`: why the connection is closed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Farewell {
    /// A human-readable explanation.
    pub message: String,
}

/// `server_shutdown`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServerShutdown {
    /// Reconnect after this many milliseconds; different for each client, so that not all reconnect at once.
    pub retry_after_ms: u64,
}

/// A session of the user.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Session {
    /// Its id, for `DELETE /auth/session/{id}`.
    pub id: SessionId,
    /// The client's `User-Agent` at login.
    pub user_agent: Option<String>,
    /// The client's address at login.
    pub address: Option<String>,
    /// When the user logged in.
    pub created_at: Timestamp,
    /// When a token was last issued.
    pub last_used_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// Whether it is the session of this request.
    pub current: bool,
}

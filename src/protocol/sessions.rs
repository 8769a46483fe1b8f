//! Connections and sessions: how they begin, are renewed and end.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::parse::{Check, Limits, Problems};
use crate::clock::Timestamp;
use crate::ids::{SessionId, UserId};

/// `authenticate`: a newer access token of the same user takes the place of the connection's.
#[derive(Deserialize, ToSchema)]
pub struct Authenticate {
    /// A fresh access token.
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

/// Answer to `authenticate`.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuthenticateReply {
    /// When the connection's token ends now.
    pub expires_at: Timestamp,
}

/// `ready`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ready {
    /// Who one is.
    pub user_id: UserId,
    /// The session of the token.
    pub session_id: SessionId,
    /// Which history this database has.
    pub epoch: String,
    /// Now.
    pub server_time: Timestamp,
}

/// `token_expiring`.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenExpiring {
    /// When it ends.
    pub expires_at: Timestamp,
}

/// `token_expired`, `session_ended`: why the connection is closed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Farewell {
    /// A sentence for a person.
    pub message: String,
}

/// `server_shutdown`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServerShutdown {
    /// Come back after this many milliseconds; spread so that not all come at once.
    pub retry_after_ms: u64,
}

/// One login, as its user sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Session {
    /// For `DELETE /auth/session/{id}`.
    pub id: SessionId,
    /// What the client called itself.
    pub user_agent: Option<String>,
    /// Where the login came from.
    pub address: Option<String>,
    /// Login.
    pub created_at: Timestamp,
    /// Last login or refresh.
    pub last_used_at: Timestamp,
    /// Ends by itself at.
    pub expires_at: Timestamp,
    /// The one that asks.
    pub current: bool,
}

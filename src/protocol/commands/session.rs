//! Commands on the connection's own session.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::Timestamp;
use crate::protocol::parse::{Check, Limits, Problems};

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

//! Sessions: login, tokens and their rotation, and ending sessions.

mod authenticate;
mod end;
mod live;
mod login;
mod new_device;
pub mod prune;
mod refresh;
mod refusal;

pub use end::{Ending, end, end_all, end_oldest, end_own, list};
pub use live::{Live, authenticate, end_unheard, live_among, require_live};
pub use login::{Login, login};
pub use refresh::{access_only, holder, refresh};
pub use refusal::{describe_ban, over, refusal, told_of_ban};

use std::net::IpAddr;

use entity::refresh_token;
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, ConnectionTrait};
use serde::Serialize;
use utoipa::ToSchema;

use super::AppContext;
use super::mail::Language;
use crate::error::Result;
use crate::ids::{SessionId, UserId};
use crate::platform::tokens::Kind;

/// The reply to a login or a refresh.
#[derive(Clone, Serialize, ToSchema)]
pub struct TokenPair {
    /// Grants access to REST and sockets.
    pub access_token: String,
    /// Is exchanged for the next pair; omitted if only an access token was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// Always `bearer`.
    pub token_type: &'static str,
    /// Lifetime of the access token, seconds.
    pub expires_in: i64,
    /// Lifetime of the refresh token, seconds; for the cookie.
    #[serde(skip)]
    pub refresh_expires_in: i64,
}

/// The origin of a login.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The client's user agent.
    pub user_agent: Option<String>,
    /// The client's IP address.
    pub address: Option<String>,
    /// The client's preferred language, if known.
    pub language: Option<Language>,
}

impl Origin {
    /// Returns the user agent as it is stored.
    fn stored_agent(&self) -> Option<String> {
        self.user_agent.as_ref().map(|text| text.chars().take(255).collect())
    }

    /// Returns the IP address, for rate limits.
    pub fn ip(&self) -> Option<IpAddr> {
        self.address.as_deref().and_then(|text| text.parse().ok())
    }
}

/// Returns whole seconds, rounded up, because the expiry in tokens is rounded down.
fn seconds_left(end: i64, now: i64) -> i64 {
    (end - now).max(0).div_euclid(1_000) + i64::from((end - now).max(0) % 1_000 > 0)
}

/// Issues a pair of tokens for a session that ends at `session_end` (milliseconds).
async fn issue_pair(
    context: &AppContext,
    conn: &impl ConnectionTrait,
    user: UserId,
    session: SessionId,
    session_end: i64,
    parent: Option<i64>,
) -> Result<TokenPair> {
    let now = context.clock.now();
    let until = |ttl: std::time::Duration| session_end.min(now + ttl.as_millis() as i64);
    let access =
        context.tokens.issue(Kind::Access, user, session, until(context.settings.tokens.access_ttl))?;
    let refresh =
        context.tokens.issue(Kind::Refresh, user, session, until(context.settings.tokens.refresh_ttl))?;
    refresh_token::ActiveModel {
        token_hash: Set(refresh.hash),
        session_id: Set(session.0),
        parent_id: Set(parent),
        created_at: Set(now),
        expires_at: Set(refresh.expires_at),
        ..Default::default()
    }
    .insert(conn)
    .await?;
    Ok(TokenPair {
        access_token: access.token,
        refresh_token: Some(refresh.token),
        token_type: "bearer",
        expires_in: seconds_left(access.expires_at, now),
        refresh_expires_in: seconds_left(refresh.expires_at, now),
    })
}

//! `/admin/*`, for moderators and admins. The role is checked before the rest of the request, from the user's current
//! row.

mod chats;
mod logs;
mod reports;
mod statistics;
mod users;

pub use chats::*;
pub use logs::*;
pub use reports::*;
pub use statistics::*;
pub use users::*;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::domain::moderation;
use crate::error::Result;
use crate::transport::http::problem::Problem;
use crate::transport::rest::RestState;
use crate::transport::rest::extract::{Auth, From};

/// Default number of items per page.
const DEFAULT_LIMIT: u64 = 50;

/// Extracts a caller with the role of moderator or admin.
pub struct Moderator(pub moderation::Moderator);

impl FromRequestParts<RestState> for Moderator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &RestState) -> Result<Self, Problem> {
        let Auth(actor) = Auth::from_request_parts(parts, app).await?;
        let From(from) = From::from_request_parts(parts, app).await?;
        Ok(Self(moderation::Moderator::prove(&app.context, actor, from.address).await?))
    }
}

/// Extracts a caller with the role of admin.
pub struct Admin(pub moderation::Admin);

impl FromRequestParts<RestState> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &RestState) -> Result<Self, Problem> {
        let Auth(actor) = Auth::from_request_parts(parts, app).await?;
        let From(from) = From::from_request_parts(parts, app).await?;
        Ok(Self(moderation::Admin::prove(&app.context, actor, from.address).await?))
    }
}

/// Returns the URL of the next page: the path with the parameters of this request and the next cursor.
fn next_page(
    path: &str,
    asked: &[(&str, Option<String>)],
    limit: u64,
    cursor: Option<i64>,
) -> Option<String> {
    let cursor = cursor?;
    let mut pairs: Vec<(&str, String)> =
        asked.iter().filter_map(|(name, value)| Some((*name, value.clone()?))).collect();
    pairs.extend([("limit", limit.to_string()), ("cursor", cursor.to_string())]);
    let query = serde_urlencoded::to_string(pairs).ok()?;
    Some(format!("{path}?{query}"))
}

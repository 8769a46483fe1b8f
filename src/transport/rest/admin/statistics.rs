//! Statistics, cached for a few seconds, because counting is expensive and dashboards ask often.

use std::time::{Duration, Instant};

use axum::extract::State;
use tokio::sync::Mutex;

use crate::domain::moderation;
use crate::protocol::moderation::{AdminSetting, Overview, Statistics};
use crate::transport::http::problem::Problem;
use crate::transport::rest::RestState;
use crate::transport::rest::admin::{Admin, Moderator};

/// How long a count is cached.
const GOOD_FOR: Duration = Duration::from_secs(10);

/// The latest count and when it was made. Concurrent requests wait for the same count.
#[derive(Default)]
pub struct Counted(Mutex<Option<(Instant, Statistics)>>);

/// Count everything; at most ten seconds old. For admins.
#[utoipa::path(get, path = "/admin/statistics", tag = "admin", security(("bearer" = [])),
    responses((status = 200, body = Statistics)))]
pub async fn statistics(
    State(app): State<RestState>,
    Admin(by): Admin,
) -> Result<axum::Json<Statistics>, Problem> {
    let mut counted = app.statistics.0.lock().await;
    if let Some((at, known)) = &*counted
        && at.elapsed() < GOOD_FOR
    {
        return Ok(axum::Json(known.clone()));
    }
    let now = moderation::count(&app.context, &by).await?;
    *counted = Some((Instant::now(), now.clone()));
    Ok(axum::Json(now))
}

/// Show what this server did in the last ten minutes. For moderators and admins.
#[utoipa::path(get, path = "/admin/overview", tag = "admin", security(("bearer" = [])),
    responses((status = 200, body = Overview)))]
pub async fn overview(
    State(app): State<RestState>,
    Moderator(by): Moderator,
) -> Result<axum::Json<Overview>, Problem> {
    Ok(axum::Json(moderation::overview(&app.context, &by).await?))
}

/// List the settings in force, without the values of secrets. For admins.
#[utoipa::path(get, path = "/admin/settings", tag = "admin", security(("bearer" = [])),
    responses((status = 200, body = Vec<AdminSetting>)))]
pub async fn settings(
    State(app): State<RestState>,
    Admin(by): Admin,
) -> Result<axum::Json<Vec<AdminSetting>>, Problem> {
    Ok(axum::Json(moderation::settings(&app.context, &by)))
}

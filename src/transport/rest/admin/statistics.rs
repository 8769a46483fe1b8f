//! How much there is of everything, kept for some seconds: counting costs, and panels ask often.

use std::time::{Duration, Instant};

use axum::extract::State;
use tokio::sync::Mutex;

use crate::domain::moderation;
use crate::protocol::moderation::Statistics;
use crate::transport::http::problem::Problem;
use crate::transport::rest::RestState;
use crate::transport::rest::admin::Admin;

/// How long an answer is good for.
const GOOD_FOR: Duration = Duration::from_secs(10);

/// The latest count and when it was made; those who ask at the same time wait for one.
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

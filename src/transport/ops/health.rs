//! Health checks for operators: liveness and readiness.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use crate::error::Result;
use crate::transport::rest::RestState;

/// How long a result is cached: anyone may call the check, and each check writes to the database.
const GOOD_FOR: Duration = Duration::from_secs(1);

type Parts = BTreeMap<&'static str, &'static str>;

/// The latest result and when it was determined. Concurrent requests wait for the same check.
#[derive(Default)]
pub struct Remembered(Mutex<Option<(Instant, Parts)>>);

/// The reply of a health check. It has no details, because anyone may call it.
#[derive(Serialize, ToSchema)]
pub struct Health {
    /// `ok` or `unavailable`.
    pub status: &'static str,
    /// The state of each required part, `ok` or `unavailable`.
    pub parts: BTreeMap<&'static str, &'static str>,
}

/// Check that the process answers.
#[utoipa::path(get, path = "/health/live", tag = "ops", responses((status = 200, body = Health)))]
pub async fn live() -> axum::Json<Health> {
    axum::Json(Health { status: "ok", parts: BTreeMap::new() })
}

/// Check that database, storage and background tasks work.
#[utoipa::path(get, path = "/health/ready", tag = "ops",
    responses((status = 200, body = Health), (status = 503, body = Health)))]
pub async fn ready(State(app): State<RestState>) -> Response {
    let mut remembered = app.health.0.lock().await;
    let parts = match &*remembered {
        Some((at, parts)) if at.elapsed() < GOOD_FOR => parts.clone(),
        _ => {
            let (database, storage) =
                tokio::join!(app.context.db.check_writable(), app.context.storage.ready());
            let background = app.context.background.check();
            let parts: Parts = [("background", background), ("database", database), ("storage", storage)]
                .map(|(part, state)| (part, told(part, state)))
                .into();
            *remembered = Some((Instant::now(), parts.clone()));
            parts
        }
    };
    if parts.values().all(|state| *state == "ok") {
        axum::Json(Health { status: "ok", parts }).into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, axum::Json(Health { status: "unavailable", parts })).into_response()
    }
}

fn told(part: &str, state: Result<()>) -> &'static str {
    match state {
        Ok(()) => "ok",
        Err(error) => {
            tracing::warn!(part, %error, "not ready");
            "unavailable"
        }
    }
}

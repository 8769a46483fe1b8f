//! Deleting an account, and exporting its data.

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use crate::domain::accounts::Deletion;
use crate::domain::{accounts, run_detached};
use crate::transport::http::origin;
use crate::transport::http::problem::{Problem, ProblemBody};
use crate::transport::rest::RestState;
use crate::transport::rest::extract::{Auth, Json};

/// Delete the account. Personal data is removed; messages stay, shown as a deleted user's. Requires the password.
#[utoipa::path(delete, path = "/user/me", tag = "user", security(("bearer" = [])), request_body = Deletion,
    responses(
        (status = 204, description = "Deleted; all sessions end and their connections close"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json", description = "The last admin"),
    ))]
pub async fn delete(
    State(app): State<RestState>,
    Auth(actor): Auth,
    Json(request): Json<Deletion>,
) -> Result<Response, Problem> {
    let context = app.context.clone();
    run_detached(async move { accounts::delete(&context, actor, &request).await }).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    origin::clear_cookies(&app.context.settings, response.headers_mut())?;
    Ok(response)
}

/// Delete the account, for clients that cannot send a body with `DELETE`.
#[utoipa::path(post, path = "/user/me/delete", tag = "user", security(("bearer" = [])), request_body = Deletion,
    responses(
        (status = 204, description = "Deleted; all sessions end and their connections close"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json", description = "The last admin"),
    ))]
pub async fn delete_by_post(
    app: State<RestState>,
    auth: Auth,
    request: Json<Deletion>,
) -> Result<Response, Problem> {
    delete(app, auth, request).await
}

/// Export everything stored about the user, as JSON lines: each an object with its `kind`, the last one
/// `{"kind": "end", "lines": …}`.
#[utoipa::path(get, path = "/user/me/export", tag = "user", security(("bearer" = [])),
    responses(
        (status = 200, body = String, content_type = "application/x-ndjson"),
        (status = 429, body = ProblemBody, content_type = "application/problem+json", description = "One at a time"),
        (status = 503, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn export(State(app): State<RestState>, Auth(actor): Auth) -> Result<Response, Problem> {
    let mut export = accounts::export(&app.context, &app.exports, actor)?;
    // An error in the first chunk becomes a problem response; a later error breaks the connection.
    let first = export.next().await.transpose()?.unwrap_or_default();
    let rest = stream::unfold((Some(first), export), async |(first, mut export)| {
        let chunk = match first {
            Some(first) => Some(Ok(first)),
            None => export.next().await,
        };
        chunk.map(|chunk| (chunk, (None, export)))
    });
    let name = format!("attachment; filename=\"mango-chat-{}.ndjson\"", actor.user_id);
    let headers =
        [(header::CONTENT_TYPE, "application/x-ndjson".to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, Body::from_stream(rest)).into_response())
}

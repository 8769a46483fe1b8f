//! Reports: users create them, moderators resolve them.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::domain::{moderation, run_detached};
use crate::protocol::moderation::ReportState;
use crate::protocol::moderation::{AdminReport, NewReport, Report, ResolveReport};
use crate::transport::http::problem::{Problem, ProblemBody};
use crate::transport::rest::RestState;
use crate::transport::rest::admin::{DEFAULT_LIMIT, Moderator, next_page};
use crate::transport::rest::extract::{Auth, Id, Json, Paging, Params, page};

/// Report a user, or a message of a chat that the user belongs to, to the moderators.
#[utoipa::path(post, path = "/report", tag = "user", security(("bearer" = [])), request_body = NewReport,
    responses(
        (status = 201, body = Report),
        (status = 200, body = Report, description = "It was already reported, and that report is still open"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn report(
    State(app): State<RestState>,
    Auth(actor): Auth,
    Json(request): Json<NewReport>,
) -> Result<(StatusCode, axum::Json<Report>), Problem> {
    let (report, new) =
        run_detached(async move { moderation::report(&app.context, actor, request).await }).await?;
    Ok((if new { StatusCode::CREATED } else { StatusCode::OK }, axum::Json(report)))
}

/// List reports, newest first. For moderators and admins.
#[utoipa::path(get, path = "/admin/report", tag = "admin", security(("bearer" = [])),
    params(
        ("state" = Option<String>, Query, description = "open (default) or resolved"),
        Paging,
    ),
    responses((status = 200, body = Vec<AdminReport>, description = "With `Link: rel=next` if there is more")))]
pub async fn list_reports(
    State(app): State<RestState>,
    Moderator(by): Moderator,
    params: Params,
) -> Result<Response, Problem> {
    let state = params.one_of("state")?.unwrap_or(ReportState::Open);
    let limit = params.limit(DEFAULT_LIMIT)?;
    let found = moderation::reports(&app.context, &by, state, params.number("cursor")?, limit).await?;
    let asked = [("state", Some(state.to_string()))];
    Ok(page(found.items, next_page("/admin/report", &asked, limit, found.next)))
}

/// Resolve a report. The first resolution stands. For moderators and admins.
#[utoipa::path(post, path = "/admin/report/{id}/resolve", tag = "admin", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The report")), request_body = ResolveReport,
    responses(
        (status = 200, body = AdminReport),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn resolve_report(
    State(app): State<RestState>,
    Moderator(by): Moderator,
    Id(id): Id,
    Json(request): Json<ResolveReport>,
) -> Result<axum::Json<AdminReport>, Problem> {
    let report =
        run_detached(async move { moderation::resolve(&app.context, &by, id, request).await }).await?;
    Ok(axum::Json(report))
}

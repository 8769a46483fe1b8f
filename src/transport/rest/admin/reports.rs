//! Reports: users create them, moderators resolve them.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::domain::moderation::{Claimed, ReportChange};
use crate::domain::{moderation, run_detached};
use crate::protocol::moderation::ReportState;
use crate::protocol::moderation::{AdminReport, ClaimReport, NewReport, NoteReport, Report, ResolveReport};
use crate::transport::http::problem::{Problem, ProblemBody};
use crate::transport::rest::RestState;
use crate::transport::rest::admin::{DEFAULT_LIMIT, Moderator};
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
        ("claimed" = Option<String>, Query, description = "nobody: only those that nobody works on; me: only yours"),
        Paging,
    ),
    responses((status = 200, body = Vec<AdminReport>, description = "With `Link: rel=next` if there is more")))]
pub async fn list_reports(
    State(app): State<RestState>,
    Moderator(by): Moderator,
    params: Params,
) -> Result<Response, Problem> {
    let state = params.one_of("state")?.unwrap_or(ReportState::Open);
    let (limit, cursor) = (params.limit(DEFAULT_LIMIT)?, params.number("cursor")?);
    let claimed = params.one_of::<Claimed>("claimed")?;
    let found = moderation::reports(&app.context, &by, state, claimed, cursor, limit).await?;
    let next = found.next.map(|cursor| params.next_page("/admin/report", &cursor.to_string(), limit));
    Ok(page(found.items, next))
}

/// Claim a report, so that other moderators see who works on it, or give it back. For moderators and admins.
#[utoipa::path(post, path = "/admin/report/{id}/claim", tag = "admin", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The report")), request_body = ClaimReport,
    responses(
        (status = 200, body = AdminReport),
        (status = 403, body = ProblemBody, content_type = "application/problem+json",
            description = "Another moderator has claimed it, and `take_over` is not `true`"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn claim_report(
    State(app): State<RestState>,
    Moderator(by): Moderator,
    Id(id): Id,
    Json(request): Json<ClaimReport>,
) -> Result<axum::Json<AdminReport>, Problem> {
    change(app, by, id, ReportChange::Claim(request)).await
}

/// Replace the note on a report, which only moderators see. For moderators and admins.
#[utoipa::path(put, path = "/admin/report/{id}/note", tag = "admin", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The report")), request_body = NoteReport,
    responses(
        (status = 200, body = AdminReport),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn note_report(
    State(app): State<RestState>,
    Moderator(by): Moderator,
    Id(id): Id,
    Json(request): Json<NoteReport>,
) -> Result<axum::Json<AdminReport>, Problem> {
    change(app, by, id, ReportChange::Note(request)).await
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
    change(app, by, id, ReportChange::Resolve(request)).await
}

async fn change(
    app: RestState,
    by: moderation::Moderator,
    id: i64,
    change: ReportChange,
) -> Result<axum::Json<AdminReport>, Problem> {
    let changing = run_detached(async move { moderation::change(&app.context, &by, id, change).await });
    Ok(axum::Json(changing.await?))
}

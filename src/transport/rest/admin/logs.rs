//! The audit log and the log of mails.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::domain::moderation::AuditFilter;
use crate::domain::{moderation, run_detached};
use crate::protocol::moderation::MailState;
use crate::protocol::moderation::{AuditEntry, MailEntry};
use crate::transport::http::problem::{Problem, ProblemBody};
use crate::transport::rest::RestState;
use crate::transport::rest::admin::{Admin, DEFAULT_LIMIT, next_page};
use crate::transport::rest::extract::{Id, Paging, Params, page};

/// List privileged actions, newest first. For admins.
#[utoipa::path(get, path = "/admin/audit", tag = "admin", security(("bearer" = [])),
    params(
        ("actor" = Option<i64>, Query, description = "Done by this user"),
        ("user" = Option<i64>, Query, description = "Done to this user"),
        ("action" = Option<String>, Query, description = "Such as `user.ban`"),
        Paging,
    ),
    responses((status = 200, body = Vec<AuditEntry>, description = "With `Link: rel=next` if there is more")))]
pub async fn audit(
    State(app): State<RestState>,
    Admin(by): Admin,
    params: Params,
) -> Result<Response, Problem> {
    let filter = AuditFilter {
        actor: params.number("actor")?,
        user: params.number("user")?,
        action: params.text("action").map(str::to_owned),
    };
    let limit = params.limit(DEFAULT_LIMIT)?;
    let found = moderation::audit(&app.context, &by, &filter, params.number("cursor")?, limit).await?;
    let number = |number: Option<i64>| number.map(|it| it.to_string());
    let asked = [("actor", number(filter.actor)), ("user", number(filter.user)), ("action", filter.action)];
    Ok(page(found.items, next_page("/admin/audit", &asked, limit, found.next)))
}

/// List mails and their states, newest first. For admins.
#[utoipa::path(get, path = "/admin/mail", tag = "admin", security(("bearer" = [])),
    params(
        ("state" = Option<String>, Query, description = "queued, sent, failed or logged"),
        Paging,
    ),
    responses((status = 200, body = Vec<MailEntry>, description = "With `Link: rel=next` if there is more")))]
pub async fn mails(
    State(app): State<RestState>,
    Admin(by): Admin,
    params: Params,
) -> Result<Response, Problem> {
    let state: Option<MailState> = params.one_of("state")?;
    let limit = params.limit(DEFAULT_LIMIT)?;
    let found = moderation::mails(&app.context, &by, state, params.number("cursor")?, limit).await?;
    let asked = [("state", state.map(|it| it.to_string()))];
    Ok(page(found.items, next_page("/admin/mail", &asked, limit, found.next)))
}

/// Mail the link of a mail again, as a new mail. For admins.
#[utoipa::path(post, path = "/admin/mail/{id}/resend", tag = "admin", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The mail")),
    responses(
        (status = 204, description = "The mail is queued"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json",
            description = "The mail has no link that is still needed"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "The user has no e-mail address"),
    ))]
pub async fn resend_mail(
    State(app): State<RestState>,
    Admin(by): Admin,
    Id(id): Id,
) -> Result<StatusCode, Problem> {
    run_detached(async move { moderation::resend(&app.context, &by, id).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! Users, for moderators and admins: search, roles, bans and sessions.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::domain::moderation::UserFilter;
use crate::domain::{accounts, moderation, run_detached};
use crate::error::Error;
use crate::ids::UserId;
use crate::protocol::moderation::{AdminUser, AdminUserDetails, BanUser, SetRole};
use crate::protocol::sessions::Session;
use crate::transport::http::problem::{Problem, ProblemBody};
use crate::transport::rest::RestState;
use crate::transport::rest::admin::{Admin, DEFAULT_LIMIT, Moderator, next_page};
use crate::transport::rest::extract::{Id, Json, Paging, Params, page};

/// List users. For moderators and admins; only admins see phones and e-mail addresses.
#[utoipa::path(get, path = "/admin/user", tag = "admin", security(("bearer" = [])),
    params(
        ("query" = Option<String>, Query, description = "A part of username or name; for admins also of phone or e-mail address"),
        ("role" = Option<String>, Query, description = "user, moderator or admin"),
        ("banned" = Option<bool>, Query, description = "Whether the user is banned"),
        Paging,
    ),
    responses((status = 200, body = Vec<AdminUser>, description = "With `Link: rel=next` if there is more")))]
pub async fn list_people(
    State(app): State<RestState>,
    Moderator(by): Moderator,
    params: Params,
) -> Result<Response, Problem> {
    let text = |name: &str| params.text(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let banned = match params.text("banned").unwrap_or_default() {
        "" => None,
        "true" => Some(true),
        "false" => Some(false),
        _ => return Err(Error::invalid("banned", "must be true or false").into()),
    };
    let filter = UserFilter { query: text("query"), role: params.one_of("role")?, banned };
    let limit = params.limit(DEFAULT_LIMIT)?;
    let found = moderation::list_users(&app.context, &by, &filter, params.number("cursor")?, limit).await?;
    let asked = [
        ("query", filter.query),
        ("role", filter.role.map(|it| it.to_string())),
        ("banned", banned.map(|it| it.to_string())),
    ];
    Ok(page(found.items, next_page("/admin/user", &asked, limit, found.next)))
}

/// Get a user with details, also a deleted one. For moderators and admins.
#[utoipa::path(get, path = "/admin/user/{id}", tag = "admin", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The user")),
    responses(
        (status = 200, body = AdminUserDetails),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn one_person(
    State(app): State<RestState>,
    Moderator(by): Moderator,
    Id(id): Id,
) -> Result<axum::Json<AdminUserDetails>, Problem> {
    Ok(axum::Json(moderation::details(&app.context, &by, UserId(id)).await?))
}

/// Ban a user, with or without an end. Repeating it changes reason and end. All sessions of the user end and their
/// connections close. Moderators ban users, admins also moderators.
#[utoipa::path(post, path = "/admin/user/{id}/ban", tag = "admin", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The user")), request_body = BanUser,
    responses(
        (status = 200, body = AdminUser),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn ban(
    State(app): State<RestState>,
    Moderator(by): Moderator,
    Id(id): Id,
    Json(request): Json<BanUser>,
) -> Result<axum::Json<AdminUser>, Problem> {
    let user =
        run_detached(async move { moderation::ban(&app.context, &by, UserId(id), request).await }).await?;
    Ok(axum::Json(user))
}

/// Lift a ban. For moderators and admins.
#[utoipa::path(post, path = "/admin/user/{id}/unban", tag = "admin", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The user")),
    responses(
        (status = 200, body = AdminUser, description = "Also if there was no ban"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn unban(
    State(app): State<RestState>,
    Moderator(by): Moderator,
    Id(id): Id,
) -> Result<axum::Json<AdminUser>, Problem> {
    let user = run_detached(async move { moderation::unban(&app.context, &by, UserId(id)).await }).await?;
    Ok(axum::Json(user))
}

/// Set a user's role. For admins; the last admin cannot lose the role.
#[utoipa::path(put, path = "/admin/user/{id}/role", tag = "admin", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The user")), request_body = SetRole,
    responses(
        (status = 200, body = AdminUser),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn set_role(
    State(app): State<RestState>,
    Admin(by): Admin,
    Id(id): Id,
    Json(request): Json<SetRole>,
) -> Result<axum::Json<AdminUser>, Problem> {
    let work = async move { moderation::set_role(&app.context, &by, UserId(id), request.role).await };
    let user = run_detached(work).await?;
    Ok(axum::Json(user))
}

/// List the live sessions of a user. For admins.
#[utoipa::path(get, path = "/admin/user/{id}/session", tag = "admin", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The user")),
    responses(
        (status = 200, body = Vec<Session>),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn list_sessions_of(
    State(app): State<RestState>,
    Admin(by): Admin,
    Id(id): Id,
) -> Result<axum::Json<Vec<Session>>, Problem> {
    Ok(axum::Json(moderation::sessions_of(&app.context, &by, UserId(id)).await?))
}

/// End all sessions of a user. For admins.
#[utoipa::path(delete, path = "/admin/user/{id}/session", tag = "admin", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The user")),
    responses(
        (status = 204, description = "Ended; their connections close"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn end_sessions(
    State(app): State<RestState>,
    Admin(by): Admin,
    Id(id): Id,
) -> Result<StatusCode, Problem> {
    run_detached(async move { moderation::end_sessions(&app.context, &by, UserId(id)).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Mail a user a link to set a new password. For admins.
#[utoipa::path(post, path = "/admin/user/{id}/password_reset", tag = "admin", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The user")),
    responses(
        (status = 204, description = "The mail is queued"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "The user has no e-mail address"),
    ))]
pub async fn mail_password_reset(
    State(app): State<RestState>,
    Admin(by): Admin,
    Id(id): Id,
) -> Result<StatusCode, Problem> {
    run_detached(async move { moderation::mail_password_reset(&app.context, &by, UserId(id)).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delete the account of another user, as users delete their own. For admins.
#[utoipa::path(delete, path = "/admin/user/{id}", tag = "admin", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The user")),
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn delete_user(
    State(app): State<RestState>,
    Admin(by): Admin,
    Id(id): Id,
) -> Result<StatusCode, Problem> {
    run_detached(async move { accounts::delete_by_admin(&app.context, &by, UserId(id)).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! Invite links, requests to join, bans and the photo of a group.

use axum::extract::{FromRequest, Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use crate::domain::{chats, run_detached};
use crate::error::{Code, Error};
use crate::ids::ChatId;
use crate::platform::limits::{Bucket, Key};
use crate::protocol::chat_bans::ChatBan;
use crate::protocol::chats::Chat;
use crate::protocol::invites::{AcceptReply, Invite, InvitePreview, JoinRequest, NewInvite};
use crate::transport::http::problem::{Problem, ProblemBody};
use crate::transport::rest::extract::{Auth, ChatPaging, Id, Image, Json, Params};
use crate::transport::rest::messages::paged;
use crate::transport::rest::users::{PhotoBody, is_multipart};
use crate::transport::rest::{RestState, events};

/// Default number of items per page.
const DEFAULT_LIMIT: u64 = 50;

/// Create an invite link. For owner and admins.
#[utoipa::path(post, path = "/chat/{id}/invite", tag = "chat", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The group")),
    request_body = NewInvite,
    responses(
        (status = 201, body = Invite),
        (status = 403, body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn create_invite(
    State(app): State<RestState>,
    Auth(actor): Auth,
    Id(id): Id,
    Json(request): Json<NewInvite>,
) -> Result<(StatusCode, axum::Json<Invite>), Problem> {
    let creating = async move { chats::create_invite(&app.context, actor, ChatId(id), &request).await };
    Ok((StatusCode::CREATED, axum::Json(run_detached(creating).await?)))
}

/// List the invite links of a group that were not revoked, newest first. For owner and admins.
#[utoipa::path(get, path = "/chat/{id}/invite", tag = "chat", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The group"), ChatPaging),
    responses(
        (status = 200, body = Vec<Invite>, description = "With `Link: rel=next` if there is more"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn invites(
    State(app): State<RestState>,
    Auth(actor): Auth,
    Id(id): Id,
    params: Params,
) -> Result<Response, Problem> {
    let limit = params.limit(DEFAULT_LIMIT)?;
    let found = chats::invites(&app.context, actor, ChatId(id), params.text("cursor"), limit).await?;
    Ok(paged(found, &format!("/chat/{id}/invite"), limit))
}

/// Revoke an invite link. Users who have joined with it stay. For owner and admins.
#[utoipa::path(delete, path = "/chat/{id}/invite/{invite}", tag = "chat", security(("bearer" = [])),
    params(
        ("id" = i64, Path, description = "The group"),
        ("invite" = i64, Path, description = "The id of the link"),
    ),
    responses(
        (status = 204, description = "Revoked"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn revoke_invite(
    State(app): State<RestState>,
    Auth(actor): Auth,
    path: Result<Path<(i64, i64)>, axum::extract::rejection::PathRejection>,
) -> Result<StatusCode, Problem> {
    let Ok(Path((chat, invite))) = path else { return Err(Error::not_found("invite").into()) };
    run_detached(async move { chats::revoke_invite(&app.context, actor, ChatId(chat), invite).await })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Show the group that an invite link leads to.
#[utoipa::path(get, path = "/invite/{token}", tag = "chat", security(("bearer" = [])),
    params(("token" = String, Path, description = "The secret part of the link")),
    responses(
        (status = 200, body = InvitePreview),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn preview(
    State(app): State<RestState>,
    Auth(actor): Auth,
    Path(token): Path<String>,
) -> Result<axum::Json<InvitePreview>, Problem> {
    // As expensive as a command, so that tokens cannot be guessed faster than by one.
    app.context.rates.take(Bucket::Event, Key::user(actor.user_id)).await?;
    Ok(axum::Json(chats::preview(&app.context, actor, &token).await?))
}

/// Join a group by an invite link, or ask to join if the link needs approval.
#[utoipa::path(post, path = "/invite/{token}/accept", tag = "chat", security(("bearer" = [])),
    params(("token" = String, Path, description = "The secret part of the link")),
    responses(
        (status = 200, body = AcceptReply),
        (status = 403, body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn accept(
    State(app): State<RestState>,
    Auth(actor): Auth,
    Path(token): Path<String>,
) -> Result<Response, Problem> {
    let payload = serde_json::json!({"invite": {"token": token}}).to_string();
    events::command(&app, actor, "accept_invite".to_owned(), payload).await
}

/// List the users who ask to join a group. For owner and admins.
#[utoipa::path(get, path = "/chat/{id}/join_request", tag = "chat", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The group"), ChatPaging),
    responses(
        (status = 200, body = Vec<JoinRequest>, description = "With `Link: rel=next` if there is more"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn join_requests(
    State(app): State<RestState>,
    Auth(actor): Auth,
    Id(id): Id,
    params: Params,
) -> Result<Response, Problem> {
    let limit = params.limit(DEFAULT_LIMIT)?;
    let found = chats::join_requests(&app.context, actor, ChatId(id), params.text("cursor"), limit).await?;
    Ok(paged(found, &format!("/chat/{id}/join_request"), limit))
}

/// List the users who are banned from a group. For owner and admins.
#[utoipa::path(get, path = "/chat/{id}/ban", tag = "chat", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The group"), ChatPaging),
    responses(
        (status = 200, body = Vec<ChatBan>, description = "With `Link: rel=next` if there is more"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn bans(
    State(app): State<RestState>,
    Auth(actor): Auth,
    Id(id): Id,
    params: Params,
) -> Result<Response, Problem> {
    let limit = params.limit(DEFAULT_LIMIT)?;
    let found = chats::bans(&app.context, actor, ChatId(id), params.text("cursor"), limit).await?;
    Ok(paged(found, &format!("/chat/{id}/ban"), limit))
}

/// Set the photo of a group: JSON with base64, or a multipart form with the file as `image`. For owner and admins.
#[utoipa::path(put, path = "/chat/{id}/photo", operation_id = "put_chat_photo", tag = "chat", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The group")),
    request_body(content((PhotoBody = "application/json"), (super::photos::ImageForm = "multipart/form-data"))),
    responses(
        (status = 200, body = Chat),
        (status = 403, body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn put_photo(
    State(app): State<RestState>,
    Auth(actor): Auth,
    Id(id): Id,
    request: Request,
) -> Result<axum::Json<Chat>, Problem> {
    app.context.rates.take(Bucket::Upload, Key::user(actor.user_id)).await?;
    let photo = if is_multipart(&request) {
        let Image(bytes) = Image::from_request(request, &app).await?;
        chats::NewPhoto::Bytes(bytes)
    } else {
        let Json(body) = Json::<PhotoBody>::from_request(request, &app).await?;
        chats::NewPhoto::Base64(body.photo)
    };
    let setting = async move { chats::set_photo(&app.context, actor, ChatId(id), Some(photo)).await };
    Ok(axum::Json(run_detached(setting).await.map_err(name_photo)?))
}

/// Names the field as these paths do.
fn name_photo(mut error: Error) -> Error {
    if error.code == Code::ValidationFailed || error.code == Code::TooLarge {
        let renamed = std::mem::take(&mut error.errors).into_iter();
        error.errors = renamed.map(|(field, it)| (field.replace("chat.photo", "photo"), it)).collect();
        error.message = error.message.replace("chat.photo", "photo");
    }
    error
}

/// Remove the photo of a group. For owner and admins.
#[utoipa::path(delete, path = "/chat/{id}/photo", operation_id = "delete_chat_photo", tag = "chat", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The group")),
    responses(
        (status = 200, body = Chat),
        (status = 403, body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn delete_photo(
    State(app): State<RestState>,
    Auth(actor): Auth,
    Id(id): Id,
) -> Result<axum::Json<Chat>, Problem> {
    let setting = async move { chats::set_photo(&app.context, actor, ChatId(id), None).await };
    Ok(axum::Json(run_detached(setting).await?))
}

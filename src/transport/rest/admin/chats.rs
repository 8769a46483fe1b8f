//! Chats and messages, for moderators and admins.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use crate::domain::moderation::ChatFilter;
use crate::domain::{moderation, run_detached};
use crate::error::Error;
use crate::ids::{ChatId, LARGEST};
use crate::protocol::messages::{Message, MessageReply};
use crate::protocol::moderation::AdminChat;
use crate::transport::http::problem::{Problem, ProblemBody};
use crate::transport::rest::RestState;
use crate::transport::rest::admin::{Admin, DEFAULT_LIMIT, Moderator};
use crate::transport::rest::events::command;
use crate::transport::rest::extract::{Auth, Id, Paging, Params, page};

/// List chats, newest first. For moderators and admins.
#[utoipa::path(get, path = "/admin/chat", tag = "admin", security(("bearer" = [])),
    params(
        ("query" = Option<String>, Query, description = "A part of a group's name, or the id of a chat, also of a deleted one"),
        ("kind" = Option<String>, Query, description = "group or direct"),
        Paging,
    ),
    responses((status = 200, body = Vec<AdminChat>, description = "With `Link: rel=next` if there is more")))]
pub async fn list_chats(
    State(app): State<RestState>,
    Moderator(by): Moderator,
    params: Params,
) -> Result<Response, Problem> {
    let is_group = match params.text("kind").unwrap_or_default() {
        "" => None,
        "group" => Some(true),
        "direct" => Some(false),
        _ => return Err(Error::invalid("kind", "must be group or direct").into()),
    };
    let filter = ChatFilter { query: params.text("query").map(str::to_owned), is_group };
    let (limit, cursor) = (params.limit(DEFAULT_LIMIT)?, params.number("cursor")?);
    let found = moderation::list_chats(&app.context, &by, &filter, cursor, limit).await?;
    let next = found.next.map(|cursor| params.next_page("/admin/chat", &cursor.to_string(), limit));
    Ok(page(found.items, next))
}

/// Read the messages of any chat, newest first. For admins; each read is recorded in the audit log.
#[utoipa::path(get, path = "/admin/chat/{id}/messages", tag = "admin", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The chat"), Paging),
    responses(
        (status = 200, body = Vec<Message>, description = "With `Link: rel=next` if there is more"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn read_chat(
    State(app): State<RestState>,
    Admin(by): Admin,
    Id(id): Id,
    params: Params,
) -> Result<Response, Problem> {
    let (limit, cursor) = (params.limit(DEFAULT_LIMIT)?, params.number("cursor")?);
    let (messages, next) = moderation::read_chat(&app.context, &by, ChatId(id), cursor, limit).await?;
    let path = format!("/admin/chat/{id}/messages");
    Ok(page(messages, next.map(|cursor| params.next_page(&path, &cursor.to_string(), limit))))
}

/// Delete a chat for all its members. For admins.
#[utoipa::path(delete, path = "/admin/chat/{id}", tag = "admin", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The chat")),
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn delete_chat(
    State(app): State<RestState>,
    Admin(by): Admin,
    Id(id): Id,
) -> Result<StatusCode, Problem> {
    run_detached(async move { moderation::delete_chat(&app.context, &by, ChatId(id)).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delete a message of any chat, as the event `delete_message` does. For moderators and admins.
#[utoipa::path(delete, path = "/admin/message/{id}", tag = "admin", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The message")),
    responses(
        (status = 200, body = MessageReply, description = "The acknowledgement of `delete_message`"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn delete_message(
    State(app): State<RestState>,
    _role: Moderator,
    Auth(actor): Auth,
    Id(id): Id,
) -> Result<Response, Problem> {
    // Beyond what a payload may contain, there is no message either.
    if id.unsigned_abs() > LARGEST.unsigned_abs() {
        return Err(Error::not_found("message").into());
    }
    let payload = json!({"message": {"id": id}}).to_string();
    command(&app, actor, "delete_message".to_owned(), payload).await
}

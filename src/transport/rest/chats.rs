//! Chats and messages, read by REST.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};

use crate::domain::chats::{Page, State as ChatState};
use crate::domain::message_view::MangoMessage;
use crate::domain::messages::{Anchor, MangoMessages};
use crate::domain::{chats, messages};
use crate::error::{Error, Result};
use crate::ids::ChatId;
use crate::protocol::chats::Chat;
use crate::protocol::history::check_page;
use crate::protocol::members::Member;
use crate::protocol::messages::{Message, MessageTypeInfo};
use crate::protocol::parse::Problems;
use crate::transport::http::problem::{Problem, ProblemBody};
use crate::transport::rest::RestState;
use crate::transport::rest::extract::{Auth, ChatPaging, Id, Params, page};

/// Default number of items per page.
const DEFAULT_LIMIT: u64 = 50;

async fn list_state(
    app: &RestState,
    auth: Auth,
    params: &Params,
    state: ChatState,
    path: &str,
) -> Result<Response> {
    let limit = params.limit(DEFAULT_LIMIT)?;
    let Page { items, next } = chats::list(&app.context, auth.0, state, params.text("cursor"), limit).await?;
    let next = next.map(|cursor| {
        let sign = if path.contains('?') { '&' } else { '?' };
        format!("{path}{sign}limit={limit}&cursor={cursor}")
    });
    Ok(page(items, next))
}

/// List the user's chats, latest activity first.
#[utoipa::path(get, path = "/chat", tag = "chat", security(("bearer" = [])),
    params(
        ("state" = Option<String>, Query, description = "active (default), pending, archived or pinned"),
        ChatPaging,
    ),
    responses((status = 200, body = Vec<Chat>, description = "With `Link: rel=next` if there is more")))]
pub async fn list(State(app): State<RestState>, auth: Auth, params: Params) -> Result<Response, Problem> {
    let name = params.text("state").unwrap_or("active");
    let state = ChatState::from_name(name)
        .ok_or_else(|| Error::invalid("state", "must be one of active, pending, archived, pinned"))?;
    Ok(list_state(&app, auth, &params, state, &format!("/chat?state={name}")).await?)
}

/// List the user's pinned chats.
#[utoipa::path(get, path = "/chat/pinned", tag = "chat", security(("bearer" = [])),
    params(ChatPaging),
    responses((status = 200, body = Vec<Chat>)))]
pub async fn list_pinned(
    State(app): State<RestState>,
    auth: Auth,
    params: Params,
) -> Result<Response, Problem> {
    Ok(list_state(&app, auth, &params, ChatState::Pinned, "/chat/pinned").await?)
}

/// Get a chat that the user belongs to.
#[utoipa::path(get, path = "/chat/{id}", tag = "chat", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The chat")),
    responses(
        (status = 200, body = Chat),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn one(
    State(app): State<RestState>,
    Auth(actor): Auth,
    Id(id): Id,
) -> Result<axum::Json<Chat>, Problem> {
    Ok(axum::Json(chats::one(&app.context, actor, ChatId(id)).await?))
}

/// List the members of a chat in the order of joining.
#[utoipa::path(get, path = "/chat/{id}/members", tag = "chat", security(("bearer" = [])),
    params(
        ("id" = i64, Path, description = "The chat"),
        ChatPaging,
    ),
    responses(
        (status = 200, body = Vec<Member>),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn members(
    State(app): State<RestState>,
    Auth(actor): Auth,
    Id(id): Id,
    params: Params,
) -> Result<Response, Problem> {
    let limit = params.limit(DEFAULT_LIMIT)?;
    let Page { items, next } =
        chats::members(&app.context, actor, ChatId(id), params.text("cursor"), limit).await?;
    Ok(page(items, next.map(|cursor| format!("/chat/{id}/members?limit={limit}&cursor={cursor}"))))
}

/// List messages by `seq`, newest first within a page.
#[utoipa::path(get, path = "/chat/{id}/messages", tag = "chat", security(("bearer" = [])),
    params(
        ("id" = i64, Path, description = "The chat"),
        ("before" = Option<i64>, Query, description = "Messages with a lower `seq`"),
        ("after" = Option<i64>, Query, description = "The next messages with a higher `seq`"),
        ("around" = Option<i64>, Query, description = "Messages on both sides of this `seq`"),
        ("date" = Option<String>, Query,
            description = "Messages on both sides of the first one that is not older than this RFC 3339 time or date"),
        ("limit" = Option<i64>, Query, description = "1 to 200, default 50"),
    ),
    responses(
        (status = 200, body = Vec<Message>, description = "With `Link: rel=next` if there is more"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn messages(
    State(app): State<RestState>,
    Auth(actor): Auth,
    Id(id): Id,
    params: Params,
) -> Result<Response, Problem> {
    let (before, after, around) =
        (params.number("before")?, params.number("after")?, params.number("around")?);
    let (date, limit) = (params.time("date", false)?, params.number("limit")?);
    let mut problems = Problems::default();
    check_page(&[before, after, around, date], limit, &mut problems);
    problems.into_result()?;
    let anchor = Anchor::of(before, after, around, date);
    let found = messages::page(&app.context, actor, ChatId(id), anchor, limit).await?;
    let edge = match anchor {
        Anchor::After(_) => found.messages.first().map(|it| ("after", it.seq)),
        _ => found.messages.last().map(|it| ("before", it.seq)),
    };
    let next = edge.filter(|_| found.has_more).map(|(name, seq)| {
        format!("/chat/{id}/messages?{name}={seq}&limit={}", limit.unwrap_or(DEFAULT_LIMIT as i64))
    });
    Ok(page(found.messages, next))
}

/// List the newest 1,000 messages (Mango-compatible alias).
#[utoipa::path(get, path = "/message/{id}", tag = "mango", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The chat")),
    responses(
        (status = 200, body = Vec<MangoMessage>),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn mango_messages(
    State(app): State<RestState>,
    Auth(actor): Auth,
    Id(id): Id,
) -> Result<Response, Problem> {
    let mut messages = MangoMessages::of(app.context.clone(), actor, ChatId(id)).await?;
    // An error in the first part becomes a problem response; a later error breaks the response off.
    let Some(first) = messages.next().await? else { return Ok(axum::Json([(); 0]).into_response()) };
    let parts = stream::try_unfold((messages, Some(first), true), async |(mut messages, part, is_first)| {
        let Some(part) = part else { return Ok::<_, Error>(None) };
        let mut text = Vec::new();
        for (number, message) in part.iter().enumerate() {
            text.push(if is_first && number == 0 { b'[' } else { b',' });
            serde_json::to_writer(&mut text, message).map_err(Error::internal)?;
        }
        drop(part);
        let next = messages.next().await?;
        Ok(Some((Bytes::from(text), (messages, next, false))))
    });
    let body = Body::from_stream(parts.chain(stream::once(async { Ok(Bytes::from_static(b"]")) })));
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// List the message types.
#[utoipa::path(get, path = "/message_type", tag = "chat", security(("bearer" = [])),
    responses((status = 200, body = Vec<MessageTypeInfo>)))]
pub async fn message_types(
    State(app): State<RestState>,
    _auth: Auth,
) -> Result<axum::Json<Vec<MessageTypeInfo>>, Problem> {
    Ok(axum::Json(messages::types(&app.context).await?))
}

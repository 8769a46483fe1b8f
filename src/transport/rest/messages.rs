//! What belongs to a message, read by REST: who likes it, who reacted, who has read it, its earlier versions; and the
//! pinned messages of a chat.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use crate::domain::chats::Page;
use crate::domain::messages;
use crate::error::Error;
use crate::ids::{ChatId, MessageId};
use crate::protocol::messages::{Message, MessageVersion};
use crate::protocol::reactions::{Emoji, UserReaction};
use crate::protocol::reading::Reader;
use crate::protocol::users::Author;
use crate::transport::http::problem::{Problem, ProblemBody};
use crate::transport::rest::RestState;
use crate::transport::rest::extract::{Auth, ChatPaging, Id, Params, page};

/// Raised when the same content is rendered differently, so that no client keeps the old HTML.
const RENDERER: u32 = 1;

/// Default number of items per page.
const DEFAULT_LIMIT: u64 = 50;

/// Returns a page of a list whose URL is `path`.
pub fn paged<T: serde::Serialize>(found: Page<T>, path: &str, limit: u64) -> Response {
    let next = found.next.map(|cursor| {
        let sign = if path.contains('?') { '&' } else { '?' };
        let cursor = percent_encoding::utf8_percent_encode(&cursor, percent_encoding::NON_ALPHANUMERIC);
        format!("{path}{sign}limit={limit}&cursor={cursor}")
    });
    page(found.items, next)
}

/// List the users who like a message.
#[utoipa::path(get, path = "/message/{id}/likes", tag = "chat", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The message"), ChatPaging),
    responses(
        (status = 200, body = Vec<Author>, description = "With `Link: rel=next` if there is more"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn likes(
    State(app): State<RestState>,
    Auth(actor): Auth,
    Id(id): Id,
    params: Params,
) -> Result<Response, Problem> {
    let limit = params.limit(DEFAULT_LIMIT)?;
    let found = messages::likes(&app.context, actor, MessageId(id), params.text("cursor"), limit).await?;
    Ok(paged(found, &format!("/message/{id}/likes"), limit))
}

/// List the reactions to a message, by user.
#[utoipa::path(get, path = "/message/{id}/reactions", tag = "chat", security(("bearer" = [])),
    params(
        ("id" = i64, Path, description = "The message"),
        ("emoji" = Option<String>, Query, description = "Only this emoji"),
        ChatPaging,
    ),
    responses(
        (status = 200, body = Vec<UserReaction>, description = "With `Link: rel=next` if there is more"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn reactions(
    State(app): State<RestState>,
    Auth(actor): Auth,
    Id(id): Id,
    params: Params,
) -> Result<Response, Problem> {
    let limit = params.limit(DEFAULT_LIMIT)?;
    let emoji = params.text("emoji").map(|text| {
        Emoji::parse(text).ok_or_else(|| Error::invalid("emoji", "must be one emoji, such as 👍"))
    });
    let emoji = emoji.transpose()?;
    let cursor = params.text("cursor");
    let found = messages::reactions(&app.context, actor, MessageId(id), emoji, cursor, limit).await?;
    let path = match emoji {
        Some(emoji) => {
            let text =
                percent_encoding::utf8_percent_encode(emoji.as_str(), percent_encoding::NON_ALPHANUMERIC);
            format!("/message/{id}/reactions?emoji={text}")
        }
        None => format!("/message/{id}/reactions"),
    };
    Ok(paged(found, &path, limit))
}

/// List the members who have read a message, in a chat of up to 200 members.
#[utoipa::path(get, path = "/message/{id}/reads", tag = "chat", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The message"), ChatPaging),
    responses(
        (status = 200, body = Vec<Reader>, description = "With `Link: rel=next` if there is more"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn reads(
    State(app): State<RestState>,
    Auth(actor): Auth,
    Id(id): Id,
    params: Params,
) -> Result<Response, Problem> {
    let limit = params.limit(DEFAULT_LIMIT)?;
    let found = messages::reads(&app.context, actor, MessageId(id), params.text("cursor"), limit).await?;
    Ok(paged(found, &format!("/message/{id}/reads"), limit))
}

/// List the earlier versions of a message, latest first. For its author and the admins of its group.
#[utoipa::path(get, path = "/message/{id}/edits", tag = "chat", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The message"), ChatPaging),
    responses(
        (status = 200, body = Vec<MessageVersion>, description = "With `Link: rel=next` if there is more"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn edits(
    State(app): State<RestState>,
    Auth(actor): Auth,
    Id(id): Id,
    params: Params,
) -> Result<Response, Problem> {
    let limit = params.limit(DEFAULT_LIMIT)?;
    let found = messages::edits(&app.context, actor, MessageId(id), params.text("cursor"), limit).await?;
    Ok(paged(found, &format!("/message/{id}/edits"), limit))
}

/// Return a message's content as HTML that is safe to insert into a page.
///
/// Markdown and HTML keep their formatting, code has `span` elements with the classes `hl-*`, other content is text with
/// line breaks and links. It contains no scripts, styles, forms or pictures.
#[utoipa::path(get, path = "/message/{id}/rendered", tag = "chat", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The message")),
    responses(
        (status = 200, body = String, content_type = "text/html", description = "A fragment; empty if the message is deleted"),
        (status = 304, description = "Not modified"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn rendered(
    State(app): State<RestState>,
    Auth(actor): Auth,
    Id(id): Id,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let tag = |rev: i64| format!("\"{id}-{rev}-{RENDERER}\"");
    let known = headers.get(header::IF_NONE_MATCH).and_then(|it| it.to_str().ok());
    let has = |rev| known == Some(tag(rev).as_str());
    let (html, rev) = messages::rendered(&app.context, actor, MessageId(id), has).await?;
    let mut response =
        html.map_or_else(|| StatusCode::NOT_MODIFIED.into_response(), |it| Html(it).into_response());
    let etag = HeaderValue::from_str(&tag(rev)).map_err(Error::internal)?;
    response.headers_mut().insert(header::ETAG, etag);
    // Opened as a page of its own, it may do nothing.
    let policy = HeaderValue::from_static("sandbox; default-src 'none'");
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}

/// List the pinned messages of a chat, latest pin first.
#[utoipa::path(get, path = "/chat/{id}/pinned_messages", tag = "chat", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The chat"), ChatPaging),
    responses(
        (status = 200, body = Vec<Message>, description = "With `Link: rel=next` if there is more"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn pinned(
    State(app): State<RestState>,
    Auth(actor): Auth,
    Id(id): Id,
    params: Params,
) -> Result<Response, Problem> {
    let limit = params.limit(DEFAULT_LIMIT)?;
    let found = messages::pinned(&app.context, actor, ChatId(id), params.text("cursor"), limit).await?;
    Ok(paged(found, &format!("/chat/{id}/pinned_messages"), limit))
}

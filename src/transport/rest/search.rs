//! Search for messages.

use axum::extract::State;
use axum::response::Response;
use utoipa::IntoParams;

use crate::domain::Actor;
use crate::domain::search::{self, Filter, Order, Words};
use crate::error::{Error, Result};
use crate::ids::{ChatId, UserId};
use crate::protocol::message_type::MessageType;
use crate::protocol::search::SearchHit;
use crate::transport::http::problem::{Problem, ProblemBody};
use crate::transport::rest::RestState;
use crate::transport::rest::extract::{Auth, Id, Params, page};

/// Default number of results per page.
const DEFAULT_LIMIT: u64 = 20;

/// The query parameters of a search.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the derive alone")]
pub struct SearchParams {
    /// The words to search for, in any order and form; 1 to 200 characters. There are no operators: all characters that
    /// belong to no word are ignored.
    q: String,
    /// Whether the last word may be the beginning of a word, for a search while typing.
    prefix: Option<bool>,
    /// Only messages by this user.
    author: Option<i64>,
    /// Only messages of this type, such as `text`.
    r#type: Option<String>,
    /// Only messages from this time on: RFC 3339, or a date, which begins at midnight UTC.
    from: Option<String>,
    /// Only messages before this time, or up to the end of this date.
    to: Option<String>,
    /// `rank` (default): the best of the newest 500 results first. `date`: the newest first.
    sort: Option<String>,
    /// From the `Link` of the previous page.
    cursor: Option<String>,
    /// 1 to 200, default 20.
    limit: Option<i64>,
}

/// Search the messages of the user's chats.
///
/// Finds the messages that contain all words, in their content or in the names of their files. Words are compared without
/// case and in all their forms in English and Russian.
#[utoipa::path(get, path = "/search", tag = "chat", security(("bearer" = [])), params(SearchParams),
    responses(
        (status = 200, body = Vec<SearchHit>, description = "With `Link: rel=next` if there is more"),
        (status = 422, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn everywhere(
    State(app): State<RestState>,
    Auth(actor): Auth,
    params: Params,
) -> Result<Response, Problem> {
    let asked = Asked::read(&params, None)?;
    asked.answer(&app, actor, &params, "/search").await
}

/// Search the messages of one chat.
#[utoipa::path(get, path = "/chat/{id}/search", tag = "chat", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The chat"), SearchParams),
    responses(
        (status = 200, body = Vec<SearchHit>, description = "With `Link: rel=next` if there is more"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn in_chat(
    State(app): State<RestState>,
    Auth(actor): Auth,
    Id(id): Id,
    params: Params,
) -> Result<Response, Problem> {
    let asked = Asked::read(&params, Some(ChatId(id)))?;
    asked.answer(&app, actor, &params, &format!("/chat/{id}/search")).await
}

/// A search with its parameters validated.
struct Asked {
    words: Words,
    filter: Filter,
    order: Order,
    limit: u64,
}

impl Asked {
    fn read(params: &Params, chat: Option<ChatId>) -> Result<Self> {
        let prefix = match params.text("prefix") {
            None | Some("" | "false") => false,
            Some("true") => true,
            Some(_) => return Err(Error::invalid("prefix", "must be true or false")),
        };
        let q = params.text("q").ok_or_else(|| Error::invalid("q", "is missing"))?;
        let message_type = params.text("type").filter(|it| !it.is_empty()).map(|name| {
            MessageType::from_name(name).ok_or_else(|| {
                Error::invalid("type", "must be the name of a message type: see GET /message_type")
            })
        });
        let filter = Filter {
            chat,
            author: params.number("author")?.map(UserId),
            message_type: message_type.transpose()?,
            from: params.time("from", false)?,
            to: params.time("to", true)?,
        };
        Ok(Self {
            words: Words::parse(q, prefix)?,
            filter,
            order: params.one_of("sort")?.unwrap_or(Order::Rank),
            limit: params.limit(DEFAULT_LIMIT)?,
        })
    }

    async fn answer(
        &self,
        app: &RestState,
        actor: Actor,
        params: &Params,
        path: &str,
    ) -> Result<Response, Problem> {
        let cursor = params.text("cursor");
        let Self { words, filter, order, limit } = self;
        let found = search::search(&app.context, actor, words, filter, *order, cursor, *limit).await?;
        let next = found.next.map(|cursor| params.next_page(path, &cursor, *limit));
        Ok(page(found.items, next))
    }
}

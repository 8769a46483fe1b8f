//! Lists of contacts. Following and blocking are events (`/events/follow`, …).

use axum::extract::State;
use axum::response::Response;

use crate::domain::contacts::List;
use crate::domain::{Actor, contacts};
use crate::protocol::users::User;
use crate::transport::http::problem::Problem;
use crate::transport::rest::RestState;
use crate::transport::rest::extract::{Auth, Paging, Params, page};

async fn answer(app: &RestState, actor: Actor, which: List, params: &Params) -> Result<Response, Problem> {
    let limit = params.limit(50)?;
    let (found, next) = contacts::list(&app.context, actor, which, params.number("cursor")?, limit).await?;
    let path = match which {
        List::Following => "following",
        List::Followers => "followers",
        List::Blocked => "blocked",
    };
    let next = next.map(|cursor| format!("/user/me/{path}?limit={limit}&cursor={cursor}"));
    Ok(page(found, next))
}

/// List the users that the user follows.
#[utoipa::path(get, path = "/user/me/following", tag = "user", security(("bearer" = [])),
    params(Paging),
    responses((status = 200, body = Vec<User>, description = "With `Link: rel=next` if there is more")))]
pub async fn following(
    State(app): State<RestState>,
    Auth(actor): Auth,
    params: Params,
) -> Result<Response, Problem> {
    answer(&app, actor, List::Following, &params).await
}

/// List the user's followers.
#[utoipa::path(get, path = "/user/me/followers", tag = "user", security(("bearer" = [])),
    params(Paging),
    responses((status = 200, body = Vec<User>, description = "With `Link: rel=next` if there is more")))]
pub async fn followers(
    State(app): State<RestState>,
    Auth(actor): Auth,
    params: Params,
) -> Result<Response, Problem> {
    answer(&app, actor, List::Followers, &params).await
}

/// List the users that the user blocks.
#[utoipa::path(get, path = "/user/me/blocked", tag = "user", security(("bearer" = [])),
    params(Paging),
    responses((status = 200, body = Vec<User>, description = "With `Link: rel=next` if there is more")))]
pub async fn blocked(
    State(app): State<RestState>,
    Auth(actor): Auth,
    params: Params,
) -> Result<Response, Problem> {
    answer(&app, actor, List::Blocked, &params).await
}

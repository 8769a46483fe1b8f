//! Lists of contacts. Following and blocking are events (`/events/follow`, …).

use axum::extract::State;
use axum::response::Response;

use super::App;
use super::extract::{Auth, Paging, Params, page};
use crate::domain::Actor;
use crate::domain::contacts::{self, List};
use crate::protocol::objects::User;
use crate::transport::problem::Problem;

async fn answer(app: &App, actor: Actor, which: List, params: &Params) -> Result<Response, Problem> {
    let limit = params.limit(50)?;
    let (found, next) = contacts::list(&app.core, actor, which, params.number("cursor")?, limit).await?;
    let path = match which {
        List::Following => "following",
        List::Followers => "followers",
        List::Blocked => "blocked",
    };
    let next = next.map(|cursor| format!("/user/me/{path}?limit={limit}&cursor={cursor}"));
    Ok(page(found, next))
}

/// Whom one follows.
#[utoipa::path(get, path = "/user/me/following", tag = "user", security(("bearer" = [])),
    params(Paging),
    responses((status = 200, body = Vec<User>, description = "With `Link: rel=next` where there is more")))]
pub async fn following(
    State(app): State<App>,
    Auth(actor): Auth,
    params: Params,
) -> Result<Response, Problem> {
    answer(&app, actor, List::Following, &params).await
}

/// Who follows one.
#[utoipa::path(get, path = "/user/me/followers", tag = "user", security(("bearer" = [])),
    params(Paging),
    responses((status = 200, body = Vec<User>, description = "With `Link: rel=next` where there is more")))]
pub async fn followers(
    State(app): State<App>,
    Auth(actor): Auth,
    params: Params,
) -> Result<Response, Problem> {
    answer(&app, actor, List::Followers, &params).await
}

/// Whom one blocks.
#[utoipa::path(get, path = "/user/me/blocked", tag = "user", security(("bearer" = [])),
    params(Paging),
    responses((status = 200, body = Vec<User>, description = "With `Link: rel=next` where there is more")))]
pub async fn blocked(State(app): State<App>, Auth(actor): Auth, params: Params) -> Result<Response, Problem> {
    answer(&app, actor, List::Blocked, &params).await
}

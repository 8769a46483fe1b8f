//! Logging in and out, refreshing tokens, listing and ending sessions.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::sessions::{Login, TokenPair};
use crate::domain::{Actor, run_detached, sessions};
use crate::error::{Code, Error, Result};
use crate::ids::SessionId;
use crate::protocol::parse;
use crate::protocol::sessions::Session;
use crate::transport::http::origin;
use crate::transport::http::problem::{Problem, ProblemBody};
use crate::transport::rest::RestState;
use crate::transport::rest::extract::{Auth, From, Id, JsonOrForm, Text, access_token, bearer};

/// Returns the token pair, also as cookies if the request may use them. A page of another origin could otherwise log
/// its visitor in as a different user.
fn with_cookies(app: &RestState, request: &HeaderMap, pair: TokenPair) -> Result<Response, Problem> {
    let mut headers = HeaderMap::new();
    if origin::may_use_cookies(&app.context.settings, request) {
        origin::set_cookies(&app.context.settings, &pair, &mut headers)?;
    }
    Ok((headers, axum::Json(pair)).into_response())
}

/// Log in with a phone, an e-mail or a username.
#[utoipa::path(post, path = "/auth/login", tag = "auth",
    request_body(content(
        (Login = "application/x-www-form-urlencoded"),
        (Login = "application/json"),
    )),
    responses(
        (status = 200, body = TokenPair, description = "A pair of tokens, also as HttpOnly cookies"),
        (status = 401, body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json", description = "`user_banned` or `email_unverified`"),
    ))]
pub async fn login(
    State(app): State<RestState>,
    From(from): From,
    headers: HeaderMap,
    JsonOrForm(request): JsonOrForm<Login>,
) -> Result<Response, Problem> {
    let context = app.context.clone();
    let pair = run_detached(async move { sessions::login(&context, &request, from).await }).await?;
    with_cookies(&app, &headers, pair)
}

/// Log in (Mango-compatible alias).
#[utoipa::path(post, path = "/user/login", tag = "mango",
    request_body(content((Login = "application/x-www-form-urlencoded"), (Login = "application/json"))),
    responses(
        (status = 200, body = TokenPair),
        (status = 401, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn mango_login(
    state: State<RestState>,
    from: From,
    headers: HeaderMap,
    request: JsonOrForm<Login>,
) -> Result<Response, Problem> {
    login(state, from, headers, request).await
}

/// A refresh token in a body.
#[derive(Deserialize, ToSchema)]
pub struct RefreshBody {
    /// The refresh token; without it, the `Authorization` header and the cookie are used.
    #[serde(default)]
    pub refresh_token: Option<String>,
}

/// Returns the refresh token of a request, from the body, the bearer header or the cookie, in this order.
fn refresh_token(app: &RestState, headers: &HeaderMap, body: &str) -> Result<Option<String>> {
    if !body.trim().is_empty() {
        let body: RefreshBody = parse::read(body)?;
        if let Some(token) = body.refresh_token.filter(|it| !it.is_empty()) {
            return Ok(Some(token));
        }
    }
    Ok(bearer(headers).or_else(|| {
        origin::may_use_cookies(&app.context.settings, headers)
            .then(|| origin::cookie(headers, "refresh_token"))
            .flatten()
    }))
}

/// Exchange a refresh token for a new pair.
#[utoipa::path(post, path = "/auth/refresh", tag = "auth",
    request_body(content = Option<RefreshBody>),
    responses(
        (status = 200, body = TokenPair, description = "A new pair of tokens, also as HttpOnly cookies"),
        (status = 401, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn refresh(
    State(app): State<RestState>,
    headers: HeaderMap,
    Text(body): Text,
) -> Result<Response, Problem> {
    let token = refresh_token(&app, &headers, &body)?.ok_or_else(|| {
        Error::new(Code::TokenMissing, "send the refresh token in the body, as bearer or as cookie")
    })?;
    let context = app.context.clone();
    let pair = run_detached(async move { sessions::refresh(&context, &token).await }).await?;
    with_cookies(&app, &headers, pair)
}

/// Exchange a refresh token (Mango-compatible alias). With an access token as bearer: returns only a new access token.
#[utoipa::path(post, path = "/user/refresh", tag = "mango",
    request_body(content = Option<RefreshBody>),
    responses(
        (status = 200, body = TokenPair),
        (status = 401, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn mango_refresh(
    State(app): State<RestState>,
    headers: HeaderMap,
    Text(body): Text,
) -> Result<Response, Problem> {
    let token = refresh_token(&app, &headers, &body)?
        .ok_or_else(|| Error::new(Code::TokenMissing, "send a token as Authorization: Bearer"))?;
    let by_access = match sessions::authenticate(&app.context, &token).await {
        Ok((actor, _)) => Some(actor),
        Err(error) if error.code == Code::TokenInvalid => None,
        Err(error) => return Err(error.into()),
    };
    let pair = if let Some(actor) = by_access {
        sessions::access_only(&app.context, actor).await?
    } else {
        let context = app.context.clone();
        run_detached(async move { sessions::refresh(&context, &token).await }).await?
    };
    with_cookies(&app, &headers, pair)
}

/// Log out: end the session of the access token, or of the refresh cookie if there is no access token.
#[utoipa::path(post, path = "/auth/logout", tag = "auth", security(("bearer" = [])),
    responses((status = 204, description = "Ended; its connections close")))]
pub async fn logout(State(app): State<RestState>, request: HeaderMap) -> Result<Response, Problem> {
    let ended = async {
        let actor = who_logs_out(&app, &request).await?;
        let context = app.context.clone();
        run_detached(async move { sessions::end(&context, actor.user_id, actor.session_id, "logout").await })
            .await
    };
    let ended = ended.await;
    // A browser that only has cookies loses them, whether or not its session could be ended; but a page of another
    // origin cannot log it out. A client that sent a token meant that one: if it is invalid, the cookies stay.
    let cookies_go = (ended.is_ok() || !request.contains_key(header::AUTHORIZATION))
        && origin::may_use_cookies(&app.context.settings, &request);
    let mut response = match ended {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => Problem(error).into_response(),
    };
    if cookies_go {
        origin::clear_cookies(&app.context.settings, response.headers_mut())?;
    }
    Ok(response)
}

/// Returns the actor that the access token names. If a browser's access cookie has expired, the refresh cookie is used
/// instead, so that its session ends, too.
async fn who_logs_out(app: &RestState, request: &HeaderMap) -> Result<Actor> {
    let by_access = match access_token(app, request) {
        Some(token) => sessions::authenticate(&app.context, &token).await.map(|(actor, _)| actor),
        None => Err(Error::new(Code::TokenMissing, "send an access token as Authorization: Bearer")),
    };
    match by_access {
        Err(error)
            if matches!(error.code, Code::TokenMissing | Code::TokenExpired)
                && !request.contains_key(header::AUTHORIZATION)
                && origin::may_use_cookies(&app.context.settings, request) =>
        {
            match origin::cookie(request, "refresh_token") {
                Some(token) => sessions::holder(&app.context, &token).await,
                None => Err(error),
            }
        }
        other => other,
    }
}

/// List the user's sessions.
#[utoipa::path(get, path = "/auth/session", tag = "auth", security(("bearer" = [])),
    responses((status = 200, body = Vec<Session>)))]
pub async fn list_sessions(
    State(app): State<RestState>,
    Auth(actor): Auth,
) -> Result<axum::Json<Vec<Session>>, Problem> {
    Ok(axum::Json(sessions::list(&app.context, actor).await?))
}

/// End one of the user's sessions.
#[utoipa::path(delete, path = "/auth/session/{id}", tag = "auth", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The session")),
    responses(
        (status = 204, description = "Ended; its connections close"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn end_session(
    State(app): State<RestState>,
    Auth(actor): Auth,
    Id(id): Id,
) -> Result<StatusCode, Problem> {
    let context = app.context.clone();
    run_detached(async move { sessions::end_own(&context, actor, SessionId(id)).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! Registration and profiles.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::profiles::{Patch, Registration};
use crate::domain::{photos, profiles, run_detached, users};
use crate::error::Error;
use crate::ids::UserId;
use crate::platform::limits::{Bucket, Key};
use crate::protocol::parse::{Check, Limits, Problems};
use crate::protocol::users::{Me, User};
use crate::transport::http::problem::{Problem, ProblemBody};
use crate::transport::rest::RestState;
use crate::transport::rest::extract::{Auth, From, Id, Image, Json, Paging, Params, page};

/// Register.
#[utoipa::path(post, path = "/user", tag = "user", request_body = Registration,
    responses(
        (status = 201, body = Me),
        (status = 403, body = ProblemBody, content_type = "application/problem+json",
            description = "Registration is closed"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "The invite is not valid"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn register(
    State(app): State<RestState>,
    From(from): From,
    Json(request): Json<Registration>,
) -> Result<(StatusCode, axum::Json<Me>), Problem> {
    let address = Key::address(from.ip());
    app.context.rates.take(Bucket::Register, address).await?;
    if request.photo.is_some() {
        app.context.rates.take(Bucket::Upload, address).await?;
    }
    let language = from.language.unwrap_or_default();
    let me = run_detached(async move { profiles::sign_up(&app.context, request, language).await }).await?;
    Ok((StatusCode::CREATED, axum::Json(me)))
}

/// Register (Mango-compatible alias).
#[utoipa::path(post, path = "/user/create", tag = "mango", request_body = Registration,
    responses(
        (status = 201, body = Me),
        (status = 403, body = ProblemBody, content_type = "application/problem+json",
            description = "Registration is closed"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "The invite is not valid"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn mango_register(
    state: State<RestState>,
    from: From,
    request: Json<Registration>,
) -> Result<(StatusCode, axum::Json<Me>), Problem> {
    register(state, from, request).await
}

/// Get the user's own profile.
#[utoipa::path(get, path = "/user/me", tag = "user", security(("bearer" = [])),
    responses((status = 200, body = Me)))]
pub async fn me(State(app): State<RestState>, Auth(actor): Auth) -> Result<axum::Json<Me>, Problem> {
    let row = users::find(app.context.db.read(), actor.user_id).await?;
    Ok(axum::Json(users::me(&app.context, row)))
}

/// Change the profile; `null` clears a field. Phone and e-mail require the password.
#[utoipa::path(patch, path = "/user/me", tag = "user", security(("bearer" = [])), request_body = Patch,
    responses(
        (status = 200, body = Me),
        (status = 409, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn patch_me(
    State(app): State<RestState>,
    Auth(actor): Auth,
    Json(request): Json<Patch>,
) -> Result<axum::Json<Me>, Problem> {
    count_photo(&app, actor.user_id, &request).await?;
    let me = run_detached(async move { profiles::patch(&app.context, actor.user_id, request).await }).await?;
    Ok(axum::Json(me))
}

/// Counts a patch that contains a photo as an upload.
async fn count_photo(app: &RestState, user: UserId, request: &Patch) -> crate::error::Result<()> {
    if matches!(request.photo, Some(Some(_))) {
        app.context.rates.take(Bucket::Upload, Key::user(user)).await?;
    }
    Ok(())
}

/// Change the profile (Mango-compatible alias).
#[utoipa::path(patch, path = "/user/{id}", tag = "mango", security(("bearer" = [])), request_body = Patch,
    params(("id" = i64, Path, description = "The user's own id")),
    responses(
        (status = 202, body = Me),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn mango_patch(
    State(app): State<RestState>,
    Auth(actor): Auth,
    Id(id): Id,
    request: axum::extract::Request,
) -> Result<(StatusCode, axum::Json<Me>), Problem> {
    use axum::extract::FromRequest;
    if actor.user_id != UserId(id) {
        return Err(Error::forbidden("only the own profile can be changed").into());
    }
    let Json(request) = Json::<Patch>::from_request(request, &app).await?;
    count_photo(&app, actor.user_id, &request).await?;
    let me = run_detached(async move { profiles::patch(&app.context, actor.user_id, request).await }).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(me)))
}

/// Get a user's profile; for the caller's own id, the same as `/user/me`.
#[utoipa::path(get, path = "/user/{id}", tag = "user", security(("bearer" = [])),
    params(("id" = i64, Path, description = "The user")),
    responses(
        (status = 200, body = User),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn profile(
    State(app): State<RestState>,
    Auth(actor): Auth,
    Id(id): Id,
) -> Result<Response, Problem> {
    if actor.user_id == UserId(id) {
        return Ok(me(State(app), Auth(actor)).await?.into_response());
    }
    Ok(axum::Json(profiles::profile(&app.context, actor.user_id, UserId(id)).await?).into_response())
}

/// Search users by a part of their name or username.
#[utoipa::path(get, path = "/user", tag = "user", security(("bearer" = [])),
    params(
        ("query" = String, Query, description = "1 to 100 characters, case-insensitive"),
        Paging,
    ),
    responses((status = 200, body = Vec<User>, description = "With `Link: rel=next` if there is more")))]
pub async fn search(
    State(app): State<RestState>,
    Auth(actor): Auth,
    params: Params,
) -> Result<Response, Problem> {
    let query = params.text("query").unwrap_or_default();
    let limit = params.limit(50)?;
    let (found, next) =
        profiles::search(&app.context, actor.user_id, query, params.number("cursor")?, limit).await?;
    let next = next
        .map(|cursor| format!("/user?query={}&limit={limit}&cursor={cursor}", utf8_percent_encode(query)));
    Ok(page(found, next))
}

/// Percent-encodes a query value for a URL (RFC 3986: all but unreserved characters).
fn utf8_percent_encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// A photo in a body.
#[derive(Deserialize, ToSchema)]
pub struct PhotoBody {
    /// Base64 of a JPEG, PNG, WebP or GIF, bare or as a data URL.
    pub photo: String,
}

impl Check for PhotoBody {
    const LARGE: bool = true;

    fn check(&self, _: &Limits, problems: &mut Problems) {
        problems.check("photo", !self.photo.trim().is_empty(), "is empty");
    }
}

/// Set the photo: JSON with base64, or a multipart form with the file as `image`.
#[utoipa::path(put, path = "/user/me/photo", tag = "user", security(("bearer" = [])),
    request_body(content((PhotoBody = "application/json"), (super::photos::ImageForm = "multipart/form-data"))),
    responses(
        (status = 200, body = Me),
        (status = 413, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn put_photo(
    State(app): State<RestState>,
    Auth(actor): Auth,
    request: axum::extract::Request,
) -> Result<axum::Json<Me>, Problem> {
    use axum::extract::FromRequest;
    app.context.rates.take(Bucket::Upload, Key::user(actor.user_id)).await?;
    let me = if is_multipart(&request) {
        let Image(bytes) = Image::from_request(request, &app).await?;
        run_detached(async move {
            let photo = photos::store(&app.context, "image", bytes).await?;
            profiles::set_photo(&app.context, actor.user_id, Some(photo)).await
        })
        .await?
    } else {
        let Json(body) = Json::<PhotoBody>::from_request(request, &app).await?;
        run_detached(async move {
            let photo = photos::store_base64(&app.context, "photo", body.photo).await?;
            profiles::set_photo(&app.context, actor.user_id, Some(photo)).await
        })
        .await?
    };
    Ok(axum::Json(me))
}

/// Whether the body of a request is a form.
pub fn is_multipart(request: &axum::extract::Request) -> bool {
    let content_type = request.headers().get(axum::http::header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"multipart/"))
}

/// Remove the photo; a default avatar replaces it.
#[utoipa::path(delete, path = "/user/me/photo", tag = "user", security(("bearer" = [])),
    responses((status = 200, body = Me)))]
pub async fn delete_photo(
    State(app): State<RestState>,
    Auth(actor): Auth,
) -> Result<axum::Json<Me>, Problem> {
    let me =
        run_detached(async move { profiles::set_photo(&app.context, actor.user_id, None).await }).await?;
    Ok(axum::Json(me))
}

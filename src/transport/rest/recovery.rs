//! Confirming addresses and setting new passwords. A request about an arbitrary address is answered before anything is
//! looked up, so that neither the response nor its time reveals whether an account has this address.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::recovery::{ChangePassword, ResetPassword};
use crate::domain::verification::VerifyEmail;
use crate::domain::{recovery, run_detached, sessions, verification};
use crate::error::{Code, Error};
use crate::platform::limits::{Bucket, Key};
use crate::protocol::parse;
use crate::protocol::parse::{Check, Limits, Problems};
use crate::transport::http::problem::{Problem, ProblemBody};
use crate::transport::rest::RestState;
use crate::transport::rest::extract::{Auth, From, Json, Text, access_token};

/// The address to send a mail to.
#[derive(Deserialize, ToSchema)]
pub struct ForEmail {
    /// An e-mail address.
    pub email: String,
}

impl Check for ForEmail {
    fn check(&self, _: &Limits, problems: &mut Problems) {
        verification::check_address(problems, &self.email);
    }
}

/// Confirm an e-mail address with a mailed token.
#[utoipa::path(post, path = "/auth/email/verify", tag = "auth", request_body = VerifyEmail,
    responses(
        (status = 204, description = "The address is confirmed"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub async fn verify(
    State(app): State<RestState>,
    From(from): From,
    Json(request): Json<VerifyEmail>,
) -> Result<StatusCode, Problem> {
    app.context.rates.take(Bucket::Event, Key::address(from.ip())).await?;
    run_detached(async move { verification::verify(&app.context, &request).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Mail the confirmation token again: for the user's own address, or before the first login for the one in the body.
#[utoipa::path(post, path = "/auth/email/resend", tag = "auth", security((), ("bearer" = [])),
    request_body(content = Option<ForEmail>),
    responses(
        (status = 202, description = "A mail is sent if there is something to confirm"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json", description = "This server does not verify addresses"),
    ))]
pub async fn resend(
    State(app): State<RestState>,
    From(from): From,
    headers: HeaderMap,
    Text(body): Text,
) -> Result<StatusCode, Problem> {
    let context = app.context.clone();
    if !body.trim().is_empty()
        && let Ok(Some(_)) = parse::read::<MaybeEmail>(&body).map(|it| it.email)
    {
        let request: ForEmail = parse::parse(&body, &context.limits)?;
        verification::in_use(&context)?;
        context.rates.take_mail(from.ip(), &request.email).await?;
        app.context
            .mail
            .run_after_response(async move { verification::resend_to(&context, &request.email).await })?;
        return Ok(StatusCode::ACCEPTED);
    }
    let token = access_token(&app, &headers).ok_or_else(|| {
        Error::new(Code::TokenMissing, "send an access token, or the address as {\"email\": …}")
    })?;
    let (actor, _) = sessions::authenticate(&app.context, &token).await?;
    run_detached(async move { verification::resend_own(&context, actor).await }).await?;
    Ok(StatusCode::ACCEPTED)
}

#[derive(Deserialize)]
struct MaybeEmail {
    #[serde(default)]
    email: Option<serde_json::Value>,
}

/// Mail a token to set a new password.
#[utoipa::path(post, path = "/auth/password/forgot", tag = "auth", request_body = ForEmail,
    responses((status = 202, description = "A mail is sent if an account has this address")))]
pub async fn forgot(
    State(app): State<RestState>,
    From(from): From,
    Json(request): Json<ForEmail>,
) -> Result<StatusCode, Problem> {
    let context = app.context.clone();
    // Before anything is looked up, so that unknown addresses get the same response.
    context.rates.take_mail(from.ip(), &request.email).await?;
    app.context.mail.run_after_response(async move { recovery::forgot(&context, &request.email).await })?;
    Ok(StatusCode::ACCEPTED)
}

/// Set a new password with a mailed token. All sessions end.
#[utoipa::path(post, path = "/auth/password/reset", tag = "auth", request_body = ResetPassword,
    responses((status = 204, description = "The password is set, all sessions have ended")))]
pub async fn reset(
    State(app): State<RestState>,
    From(from): From,
    Json(request): Json<ResetPassword>,
) -> Result<StatusCode, Problem> {
    app.context.rates.take(Bucket::Event, Key::address(from.ip())).await?;
    run_detached(async move { recovery::reset(&app.context, &request).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Change the password. All other sessions end.
#[utoipa::path(post, path = "/auth/password/change", tag = "auth", security(("bearer" = [])),
    request_body = ChangePassword,
    responses((status = 204, description = "The password is set, all other sessions have ended")))]
pub async fn change(
    State(app): State<RestState>,
    Auth(actor): Auth,
    Json(request): Json<ChangePassword>,
) -> Result<StatusCode, Problem> {
    run_detached(async move { recovery::change(&app.context, actor, &request).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! The only status table: errors of the house as RFC 9457 problem documents.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::{Code, Error, FieldErrors};

/// An error on its way to a REST client; the middleware adds the request's id.
pub struct Problem(pub Error);

impl<E: Into<Error>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// What a problem's body looks like.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProblemBody {
    /// A name for this kind of problem, as a URI reference.
    #[serde(rename = "type")]
    pub kind: String,
    /// Short, the same for every problem of its kind.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// Stable name.
    pub code: String,
    /// Field path to what is wrong with it.
    pub errors: FieldErrors,
    /// For asking about it.
    pub request_id: Option<String>,
}

/// The problem of a response, for the middleware that completes and logs it.
#[derive(Clone)]
pub struct Described {
    /// The body without the request's id.
    pub body: ProblemBody,
    /// The cause of our own faults.
    pub chain: Option<String>,
}

/// Every code's status and title.
pub fn status(code: Code) -> (StatusCode, &'static str) {
    match code {
        Code::ValidationFailed => (StatusCode::UNPROCESSABLE_ENTITY, "The input does not fit"),
        Code::InvalidCredentials => (StatusCode::UNAUTHORIZED, "Unknown user or wrong password"),
        Code::TokenMissing => (StatusCode::UNAUTHORIZED, "No token"),
        Code::TokenInvalid => (StatusCode::UNAUTHORIZED, "Token not valid"),
        Code::TokenExpired => (StatusCode::UNAUTHORIZED, "Token expired"),
        Code::SessionEnded => (StatusCode::UNAUTHORIZED, "Session ended"),
        Code::RefreshReused => (StatusCode::UNAUTHORIZED, "Refresh token used twice"),
        Code::Forbidden => (StatusCode::FORBIDDEN, "Not allowed"),
        Code::UserBanned => (StatusCode::FORBIDDEN, "Banned"),
        Code::Blocked => (StatusCode::FORBIDDEN, "Blocked"),
        Code::ContactRequired => (StatusCode::FORBIDDEN, "Not a mutual contact"),
        Code::EmailUnverified => (StatusCode::FORBIDDEN, "E-mail not confirmed"),
        Code::NotFound => (StatusCode::NOT_FOUND, "Not found"),
        Code::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "Not for this method"),
        Code::UpgradeRequired => (StatusCode::UPGRADE_REQUIRED, "Speaks WebSocket only"),
        Code::UnknownEvent => (StatusCode::NOT_FOUND, "Unknown event"),
        Code::PhoneTaken => (StatusCode::CONFLICT, "Phone taken"),
        Code::EmailTaken => (StatusCode::CONFLICT, "E-mail taken"),
        Code::UsernameTaken => (StatusCode::CONFLICT, "Username taken"),
        Code::ClientIdConflict => (StatusCode::CONFLICT, "client_id used for something else"),
        Code::DuplicateMessage => (StatusCode::CONFLICT, "Sent just now"),
        Code::ApprovalPending => (StatusCode::CONFLICT, "Waits for approval"),
        Code::DirectChatMembers => (StatusCode::CONFLICT, "A direct chat has two members"),
        Code::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "Too large"),
        Code::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "Not read in this form"),
        Code::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "Too slow"),
        Code::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "Too often"),
        Code::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "Not available now"),
        Code::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "Our fault"),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let (status, title) = status(error.code);
        let chain = error.source.is_some().then(|| error.chain());
        // Whole seconds (RFC 9110, section 10.2.3), rounded up.
        let retry_after = match error.retry_after_ms {
            Some(ms) => Some(ms.div_ceil(1_000).max(1)),
            None => (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1),
        };
        let body = ProblemBody {
            kind: format!("/docs#{}", error.code.as_str()),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: error.message,
            code: error.code.as_str().to_owned(),
            errors: error.errors,
            request_id: None,
        };
        let mut response = status.into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::UPGRADE_REQUIRED {
            // Names what is spoken (RFC 9110, section 15.5.22) and its version (RFC 6455, section 4.4). hyper
            // adds `Connection: upgrade` for no status but 101.
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        if status == StatusCode::REQUEST_TIMEOUT {
            // What is still to come of it would be taken for the next request (RFC 9110, section 15.5.9).
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(Described { body, chain });
        response
    }
}

//! The only table of HTTP status codes: errors as problem documents (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::{Code, Error, FieldErrors};

/// The page that explains every code; the name of a code is its anchor.
pub const EXPLANATIONS: &str = "/docs/errors";

/// An error for a REST client; the middleware adds the request's id.
pub struct Problem(pub Error);

impl<E: Into<Error>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// The body of an error.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProblemBody {
    /// A URI reference that names this kind of problem and leads to its explanation.
    #[serde(rename = "type")]
    pub kind: String,
    /// A short summary, the same for every problem of this kind.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// The error of this attempt.
    pub detail: String,
    /// Stable name.
    pub code: String,
    /// Maps the path of each invalid field to what is wrong with it.
    pub errors: FieldErrors,
    /// Identifies the request in the server's log.
    pub request_id: Option<String>,
}

/// The problem of a response, for the middleware that completes and logs it.
#[derive(Clone)]
pub struct Described {
    /// The body without the request's id.
    pub body: ProblemBody,
    /// The causes of an internal error.
    pub chain: Option<String>,
}

/// The meaning of a code for a REST client.
pub struct Kind {
    /// HTTP status.
    pub status: StatusCode,
    /// A short summary.
    pub title: &'static str,
    /// What happened and what to do, for the page that `type` points to.
    pub about: &'static str,
}

/// Returns the status, title and explanation of a code.
pub fn kind(code: Code) -> Kind {
    let (status, title, about) = match code {
        Code::ValidationFailed => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "Invalid input",
            "A field is missing, has the wrong type or is out of range. `errors` names each invalid field and what \
                is wrong with it.",
        ),
        Code::InvalidCredentials => (
            StatusCode::UNAUTHORIZED,
            "Unknown user or wrong password",
            "There is no such account, or the password is wrong. Both get the same answer, so that nobody can \
                find out who has an account.",
        ),
        Code::TokenMissing => (
            StatusCode::UNAUTHORIZED,
            "No token",
            "Send an access token: `Authorization: Bearer <token>` over REST, `auth: { token }` with \
                socket.io-client, or the first frame `{\"type\": \"auth\", \"token\": …}` on the plain WebSocket.",
        ),
        Code::TokenInvalid => (
            StatusCode::UNAUTHORIZED,
            "Invalid token",
            "The token was not issued by this server, was changed on the way, or is of the wrong kind, such \
                as a refresh token where an access token belongs. Log in again.",
        ),
        Code::TokenExpired => (
            StatusCode::UNAUTHORIZED,
            "Token expired",
            "An access token lasts half an hour by default. Exchange the refresh token at `POST \
                /auth/refresh` and go on with the new pair.",
        ),
        Code::SessionEnded => (
            StatusCode::UNAUTHORIZED,
            "Session ended",
            "The session was logged out, ended from another device, or has reached its longest life. Log in \
                again.",
        ),
        Code::RefreshReused => (
            StatusCode::UNAUTHORIZED,
            "Refresh token used twice",
            "A refresh token came back after its successor was used: one of the two uses may be a thief's, so \
                the session has ended. Log in again, and keep one pair of tokens per session, shared among tabs.",
        ),
        Code::Forbidden => (
            StatusCode::FORBIDDEN,
            "Forbidden",
            "The caller may see this, but not do it. The detail says who may.",
        ),
        Code::UserBanned => (
            StatusCode::FORBIDDEN,
            "Banned",
            "A moderator has banned the account. The detail says until when and why.",
        ),
        Code::Blocked => (StatusCode::FORBIDDEN, "Blocked", "One of the two users has blocked the other."),
        Code::ContactRequired => (
            StatusCode::FORBIDDEN,
            "Not a mutual contact",
            "On this server you can only add users whom you follow and who follow you (`CONTACT_POLICY=mutual`). \
                `errors` names who does not follow whom.",
        ),
        Code::EmailUnverified => (
            StatusCode::FORBIDDEN,
            "E-mail not confirmed",
            "The password is right, and the e-mail address of the account has to be confirmed first. `POST \
                /auth/email/resend` mails the link again.",
        ),
        Code::NotFound => (
            StatusCode::NOT_FOUND,
            "Not found",
            "There is nothing with this id or path, or the caller may not see it.",
        ),
        Code::MethodNotAllowed => (
            StatusCode::METHOD_NOT_ALLOWED,
            "Method not allowed",
            "The path supports other methods; the `Allow` header lists them.",
        ),
        Code::UpgradeRequired => (
            StatusCode::UPGRADE_REQUIRED,
            "WebSocket required",
            "The request is not a WebSocket handshake. A proxy in between must pass the headers `Upgrade` and \
                `Connection`.",
        ),
        Code::UnknownEvent => (
            StatusCode::NOT_FOUND,
            "Unknown event",
            "There is no client event with this name. The message suggests the closest one; `/asyncapi.json` lists \
                all.",
        ),
        Code::PhoneTaken => (StatusCode::CONFLICT, "Phone taken", "Another account uses this phone number."),
        Code::EmailTaken => {
            (StatusCode::CONFLICT, "E-mail taken", "Another account uses this e-mail address.")
        }
        Code::UsernameTaken => (
            StatusCode::CONFLICT,
            "Username taken",
            "Another account uses this username; upper and lower case are not distinguished.",
        ),
        Code::ClientIdConflict => (
            StatusCode::CONFLICT,
            "client_id already used",
            "The `client_id` was used before with another chat, type or content. Use a new one for each message.",
        ),
        Code::DuplicateMessage => (
            StatusCode::CONFLICT,
            "Duplicate message",
            "The same text was sent to the same chat within `DUPLICATE_WINDOW_MS`.",
        ),
        Code::MessageRefused => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "Message refused",
            "The message contains a word that is not allowed on this server (`WORD_FILTER`).",
        ),
        Code::ApprovalPending => (
            StatusCode::CONFLICT,
            "Approval pending",
            "The recipient must approve this direct chat before more messages can be sent.",
        ),
        Code::DirectChatMembers => (
            StatusCode::CONFLICT,
            "A direct chat has two members",
            "A direct chat is created with exactly one other person and never has more.",
        ),
        Code::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "Too large",
            "More bytes or pixels than allowed. `errors` says how many are allowed.",
        ),
        Code::UriTooLong => (
            StatusCode::URI_TOO_LONG,
            "URL too long",
            "Path and query of a request may have 8,192 bytes. Send long values in the body.",
        ),
        Code::UnsupportedMediaType => (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Unsupported media type",
            "The media type or `Content-Encoding` of the body is not supported. Bodies are JSON unless the \
                documentation says otherwise.",
        ),
        Code::RequestTimeout => (
            StatusCode::REQUEST_TIMEOUT,
            "Request timeout",
            "The body of the request did not arrive within 30 seconds, or a file within 5 minutes. Send it again.",
        ),
        Code::RateLimited => (
            StatusCode::TOO_MANY_REQUESTS,
            "Rate limit exceeded",
            "Nothing has changed. Send it again after `retry-after` seconds, or for events after `retry_after_ms` \
                milliseconds.",
        ),
        Code::Unavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "Unavailable",
            "The server is overloaded, shutting down, or without its database. Try again after `retry-after` \
                seconds.",
        ),
        Code::Internal => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "Internal error",
            "Something went wrong on the server, and the change may or may not have been stored: send it again with the \
             same `client_id`. The server's log has the cause under the `request_id`.",
        ),
    };
    Kind { status, title, about }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let Kind { status, title, .. } = kind(error.code);
        let chain = error.source.is_some().then(|| error.chain());
        // Whole seconds (RFC 9110, section 10.2.3), rounded up.
        let retry_after = match error.retry_after_ms {
            Some(ms) => Some(ms.div_ceil(1_000).max(1)),
            None => (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1),
        };
        let body = ProblemBody {
            kind: format!("{EXPLANATIONS}#{}", error.code.as_str()),
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
            // `Upgrade` names the protocol (RFC 9110, section 15.5.22), `Sec-WebSocket-Version` its version (RFC 6455,
            // section 4.4). hyper adds `Connection: upgrade` only to status 101.
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        if status == StatusCode::REQUEST_TIMEOUT {
            // The rest of the body would be read as the next request (RFC 9110, section 15.5.9).
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(Described { body, chain });
        response
    }
}

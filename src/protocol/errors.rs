//! Errors as clients on sockets see them.

use serde::Serialize;
use utoipa::ToSchema;

use crate::error::{Error, FieldErrors};

/// An error.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorObject {
    /// Stable code.
    pub code: &'static str,
    /// A human-readable explanation.
    pub message: String,
    /// Maps the path of each invalid field to what is wrong with it.
    #[serde(skip_serializing_if = "FieldErrors::is_empty")]
    pub errors: FieldErrors,
    /// When to try again, milliseconds; with `rate_limited`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// The acknowledgement of a command that failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Failure {
    /// Always false.
    pub ok: bool,
    /// What went wrong.
    pub error: ErrorObject,
}

/// `exception`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Exception {
    /// The command that failed.
    pub event: String,
    /// What went wrong.
    pub error: ErrorObject,
}

impl From<&Error> for ErrorObject {
    fn from(error: &Error) -> Self {
        Self {
            code: error.code.as_str(),
            message: error.message.clone(),
            errors: error.errors.clone(),
            retry_after_ms: error.retry_after_ms,
        }
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self { ok: false, error: ErrorObject::from(error) }
    }
}

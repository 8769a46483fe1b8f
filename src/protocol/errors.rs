//! Failures as clients on sockets see them.

use serde::Serialize;
use utoipa::ToSchema;

use crate::error::{Error, FieldErrors};

/// A failure as sockets are told of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorObject {
    /// Stable name.
    pub code: &'static str,
    /// A sentence for a person.
    pub message: String,
    /// Field path to what is wrong with it.
    #[serde(skip_serializing_if = "FieldErrors::is_empty")]
    pub errors: FieldErrors,
    /// When to come back, milliseconds; with `rate_limited`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// The ack of a command that failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Failure {
    /// Always false.
    pub ok: bool,
    /// Why.
    pub error: ErrorObject,
}

/// `exception`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Exception {
    /// The command that failed.
    pub event: String,
    /// Why.
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

//! The error type of the whole server: a stable code, a message for people, the invalid fields and, for server errors,
//! the cause, which is logged but never sent. It knows neither HTTP status codes nor sockets.

use std::collections::BTreeMap;
use std::fmt;

use rusqlite::ErrorCode;
use sea_orm::sqlx::Error as SqlxError;
use sea_orm::{DbErr, RuntimeErr, SqlErr};

/// The result type of all fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind of an error, by the name that clients rely on (contract, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// A field is missing, has the wrong type or is out of range; `errors` names it.
    ValidationFailed,
    /// Unknown user or wrong password.
    InvalidCredentials,
    /// The request has no token.
    TokenMissing,
    /// The token is forged, malformed or of the wrong kind.
    TokenInvalid,
    /// The token has expired.
    TokenExpired,
    /// The session of the token was ended.
    SessionEnded,
    /// A refresh token was used again after its successor had been used.
    RefreshReused,
    /// The caller may see this, but not do it.
    Forbidden,
    /// The account is banned, temporarily or permanently.
    UserBanned,
    /// One of the two users has blocked the other.
    Blocked,
    /// `CONTACT_POLICY=mutual`: the two users do not follow each other.
    ContactRequired,
    /// The account's e-mail address must be confirmed first.
    EmailUnverified,
    /// Nothing exists there that the caller may know of.
    NotFound,
    /// The path exists, but not for this method.
    MethodNotAllowed,
    /// The path only accepts WebSocket upgrades.
    UpgradeRequired,
    /// No event has that name.
    UnknownEvent,
    /// Another account has this phone.
    PhoneTaken,
    /// Another account has this e-mail.
    EmailTaken,
    /// Another account has this username.
    UsernameTaken,
    /// The `client_id` was already used for a different request.
    ClientIdConflict,
    /// The same text was sent to the same chat too recently.
    DuplicateMessage,
    /// The message contains a word that the operator does not allow.
    MessageRefused,
    /// The direct chat waits for the recipient's approval.
    ApprovalPending,
    /// A direct chat has exactly two members.
    DirectChatMembers,
    /// The request has more bytes than the settings allow.
    TooLarge,
    /// The URL is too long.
    UriTooLong,
    /// The body has an unsupported format.
    UnsupportedMediaType,
    /// The body of the request did not arrive in time.
    RequestTimeout,
    /// Too many requests; `retry_after_ms` says when to retry.
    RateLimited,
    /// The server is busy or shutting down; the request may be retried.
    Unavailable,
    /// An error of the server itself.
    Internal,
}

impl Code {
    /// All codes.
    pub const ALL: [Self; Self::Internal as usize + 1] = [
        Self::ValidationFailed,
        Self::InvalidCredentials,
        Self::TokenMissing,
        Self::TokenInvalid,
        Self::TokenExpired,
        Self::SessionEnded,
        Self::RefreshReused,
        Self::Forbidden,
        Self::UserBanned,
        Self::Blocked,
        Self::ContactRequired,
        Self::EmailUnverified,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::UpgradeRequired,
        Self::UnknownEvent,
        Self::PhoneTaken,
        Self::EmailTaken,
        Self::UsernameTaken,
        Self::ClientIdConflict,
        Self::DuplicateMessage,
        Self::MessageRefused,
        Self::ApprovalPending,
        Self::DirectChatMembers,
        Self::TooLarge,
        Self::UriTooLong,
        Self::UnsupportedMediaType,
        Self::RequestTimeout,
        Self::RateLimited,
        Self::Unavailable,
        Self::Internal,
    ];

    /// Returns the name that is sent to clients.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ValidationFailed => "validation_failed",
            Self::InvalidCredentials => "invalid_credentials",
            Self::TokenMissing => "token_missing",
            Self::TokenInvalid => "token_invalid",
            Self::TokenExpired => "token_expired",
            Self::SessionEnded => "session_ended",
            Self::RefreshReused => "refresh_reused",
            Self::Forbidden => "forbidden",
            Self::UserBanned => "user_banned",
            Self::Blocked => "blocked",
            Self::ContactRequired => "contact_required",
            Self::EmailUnverified => "email_unverified",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::UpgradeRequired => "upgrade_required",
            Self::UnknownEvent => "unknown_event",
            Self::PhoneTaken => "phone_taken",
            Self::EmailTaken => "email_taken",
            Self::UsernameTaken => "username_taken",
            Self::ClientIdConflict => "client_id_conflict",
            Self::DuplicateMessage => "duplicate_message",
            Self::MessageRefused => "message_refused",
            Self::ApprovalPending => "approval_pending",
            Self::DirectChatMembers => "direct_chat_members",
            Self::TooLarge => "too_large",
            Self::UriTooLong => "uri_too_long",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::RequestTimeout => "request_timeout",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }
}

/// Maps a field path (`message.chat_id`) to what is wrong with it.
pub type FieldErrors = BTreeMap<String, Vec<String>>;

/// A failure as it is reported to a client.
#[derive(Debug)]
pub struct Error {
    /// The stable name.
    pub code: Code,
    /// A message for people.
    pub message: String,
    /// The invalid fields, if any.
    pub errors: FieldErrors,
    /// The cause of a server error, for the log.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// Whether the same call may succeed if it is repeated at once (such as after a database deadlock).
    pub retryable: bool,
    /// When a rate-limited call may be retried, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

impl Error {
    /// Creates an error that has a message and nothing else.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            errors: FieldErrors::new(),
            source: None,
            retryable: false,
            retry_after_ms: None,
        }
    }

    /// Creates an error about one field.
    pub fn field(code: Code, field: impl Into<String>, problem: impl Into<String>) -> Self {
        let (field, problem) = (field.into(), problem.into());
        let mut error = Self::new(code, format!("{field}: {problem}"));
        error.errors.insert(field, vec![problem]);
        error
    }

    /// Names a field as another command does.
    #[must_use]
    pub fn rename(mut self, from: &str, to: &str) -> Self {
        if let Some(problems) = self.errors.remove(from) {
            if let Some(problem) = self.message.strip_prefix(from) {
                self.message = format!("{to}{problem}");
            }
            self.errors.insert(to.to_owned(), problems);
        }
        self
    }

    /// Creates `validation_failed` for one field.
    pub fn invalid(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::field(Code::ValidationFailed, field, problem)
    }

    /// Creates `not_found`, naming what is missing.
    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("no such {what}"))
    }

    /// Creates `forbidden`; the message says what is required.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(Code::Forbidden, message)
    }

    /// Creates `rate_limited`: the caller may retry after this many milliseconds.
    pub fn rate_limited(message: impl Into<String>, retry_after_ms: u64) -> Self {
        let mut error = Self::new(Code::RateLimited, message);
        error.retry_after_ms = Some(retry_after_ms);
        error
    }

    /// Creates the error for a conflict with a concurrent change. The same command sees that change when it is retried.
    pub fn again(what: &'static str) -> Self {
        let mut error = Self::internal(what);
        error.retryable = true;
        error
    }

    /// Creates `unavailable`: the request may be retried.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Code::Unavailable, message)
    }

    /// Creates the error for too many transactions that wait for locked rows: the command may be retried a little
    /// later.
    pub fn busy() -> Self {
        let mut error = Self::unavailable("too many commands wait for the same lock");
        error.retryable = true;
        error
    }

    /// Returns whether this is [`Error::busy`].
    pub fn is_busy(&self) -> bool {
        self.retryable && self.code == Code::Unavailable
    }

    /// Returns whether a statement waited for a lock for longer than PostgreSQL's `lock_timeout` (SQLSTATE 55P03).
    pub fn is_lock_timeout(&self) -> bool {
        let source = self.source.as_deref().and_then(|source| source.downcast_ref::<DbErr>());
        matches!(source.and_then(driver_error), Some(SqlxError::Database(error))
            if error.code().as_deref() == Some("55P03"))
    }

    /// Creates a server error; the cause is logged.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let mut error = Self::new(Code::Internal, "internal error; the server's log has the cause");
        error.source = Some(source.into());
        error
    }

    /// Adds a cause to the error, for the log.
    fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns whether the server is at fault: the caller did nothing wrong and may retry later.
    pub fn is_ours(&self) -> bool {
        matches!(self.code, Code::Unavailable | Code::Internal)
    }

    /// Returns the cause and the causes behind it, for the log and for responses with `DEBUG` on.
    pub fn chain(&self) -> String {
        let mut text = String::new();
        let mut next: Option<&(dyn std::error::Error + 'static)> = self.source.as_deref().map(|it| it as _);
        while let Some(error) = next {
            let said = error.to_string();
            // Many errors repeat the text of their cause.
            if !text.ends_with(&said) {
                if !text.is_empty() {
                    text.push_str(": ");
                }
                text.push_str(&said);
            }
            next = error.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)?;
        if self.source.is_some() { write!(f, " ({})", self.chain()) } else { Ok(()) }
    }
}

impl std::error::Error for Error {}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        match Fault::of(&error) {
            Fault::Away => Self::unavailable("the database does not answer").caused_by(error),
            Fault::CannotWrite => {
                Self::unavailable("the database cannot store anything at the moment").caused_by(error)
            }
            fault => {
                let retryable = matches!(fault, Fault::Collision | Fault::Twin);
                let mut internal = Self::internal(error);
                internal.retryable = retryable;
                internal
            }
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let code = error.sqlite_error().map_or(0, |it| it.extended_code);
        match (error.sqlite_error_code(), Fault::of_sqlite_code(&code.to_string())) {
            (Some(ErrorCode::DatabaseBusy), _) => {
                Self::unavailable("another process holds the database").caused_by(error)
            }
            (_, Fault::CannotWrite) => {
                Self::unavailable("the database cannot store anything at the moment").caused_by(error)
            }
            _ => Self::internal(error),
        }
    }
}

/// Returns the database driver's error, if there is one in a database error.
pub fn driver_error(error: &DbErr) -> Option<&SqlxError> {
    let (DbErr::Conn(RuntimeErr::SqlxError(error))
    | DbErr::Exec(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return None;
    };
    Some(error)
}

/// Returns whether a prepared statement no longer fits the tables because their schema has changed. PostgreSQL reports
/// this with SQLSTATE 0A000 (feature not supported), which it also uses for other errors.
pub fn is_outdated_plan(error: &SqlxError) -> bool {
    matches!(error, SqlxError::Database(error)
        if error.code().as_deref() == Some("0A000") && error.message().contains("cached plan"))
}

/// The kind of a database error.
enum Fault {
    /// The database cannot be reached, is starting or is shutting down.
    Away,
    /// The database answers but accepts no changes: its disk is full or broken, or it is read-only.
    CannotWrite,
    /// The database aborted this transaction to resolve a conflict, or the schema changed.
    Collision,
    /// A unique value already exists: a retry finds it.
    Twin,
    /// The statement itself is at fault.
    Other,
}

impl Fault {
    /// Classifies an error: by SQLSTATE for PostgreSQL (its manual, appendix A), by result code for SQLite.
    fn of(error: &DbErr) -> Self {
        if matches!(error, DbErr::ConnectionAcquire(_)) {
            return Self::Away;
        }
        if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) {
            return Self::Twin;
        }
        match driver_error(error).map_or(Self::Other, Self::of_driver) {
            // If the database refuses a connection, whatever the error, no statement is to blame. PostgreSQL on a full
            // disk reports "could not write init file" as an internal error.
            Self::Other if matches!(error, DbErr::Conn(_)) => Self::Away,
            fault => fault,
        }
    }

    fn of_driver(error: &SqlxError) -> Self {
        match error {
            SqlxError::Database(_) if is_outdated_plan(error) => Self::Collision,
            SqlxError::Database(error) => match error.code().as_deref() {
                Some("40P01" | "40001" | "5" | "6" | "517") => Self::Collision,
                Some(code) if code.len() == 5 => Self::of_sqlstate(code),
                Some(code) => Self::of_sqlite_code(code),
                None => Self::Other,
            },
            SqlxError::Io(_)
            | SqlxError::Tls(_)
            | SqlxError::Protocol(_)
            | SqlxError::PoolTimedOut
            | SqlxError::PoolClosed
            | SqlxError::WorkerCrashed => Self::Away,
            _ => Self::Other,
        }
    }

    fn of_sqlstate(code: &str) -> Self {
        match code {
            // A full disk, a failing disk, and a read-only server or transaction.
            "53100" | "58030" | "25006" => Self::CannotWrite,
            // A time limit was exceeded: for a lock, a statement or an idle transaction. Every connection has these
            // limits.
            "55P03" | "57014" | "25P03" => Self::Away,
            _ if ["08", "53", "57P"].iter().any(|class| code.starts_with(class)) => Self::Away,
            _ => Self::Other,
        }
    }

    /// Classifies an error by its primary result code, the lowest byte of an extended one (sqlite.org/rescode.html).
    fn of_sqlite_code(code: &str) -> Self {
        const READ_ONLY: u32 = 8;
        const IO_ERROR: u32 = 10;
        const FULL: u32 = 13;
        const CANNOT_OPEN: u32 = 14;
        match code.parse::<u32>().map(|code| code & 0xff) {
            Ok(READ_ONLY | IO_ERROR | FULL | CANNOT_OPEN) => Self::CannotWrite,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::sync::Arc;

    use sea_orm::sqlx::error::{DatabaseError, ErrorKind};

    use super::*;

    /// An error of PostgreSQL with this SQLSTATE.
    #[derive(Debug)]
    struct Answered(&'static str);

    impl fmt::Display for Answered {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl std::error::Error for Answered {}

    impl DatabaseError for Answered {
        fn message(&self) -> &str {
            self.0
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.0.into())
        }

        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }

        fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
            self
        }
    }

    #[test]
    fn a_database_that_cannot_is_unavailable_and_a_statement_that_is_wrong_is_our_fault() {
        let answered =
            |state| RuntimeErr::SqlxError(Arc::new(SqlxError::Database(Box::new(Answered(state)))));
        for state in ["53100", "53300", "58030", "25006", "57P01", "57P03", "57014", "55P03", "08006"] {
            assert_eq!(Error::from(DbErr::Query(answered(state))).code, Code::Unavailable, "{state}");
            assert_eq!(Error::from(DbErr::Exec(answered(state))).code, Code::Unavailable, "{state}");
        }
        for state in ["XX000", "42P01", "22P02"] {
            assert_eq!(Error::from(DbErr::Query(answered(state))).code, Code::Internal, "{state}");
            assert_eq!(Error::from(DbErr::Conn(answered(state))).code, Code::Unavailable, "{state}");
        }
    }
}

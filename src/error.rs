//! The one error type: a stable code, a sentence for people, the fields at fault, and for our
//! own faults the cause, which is logged and never told. It knows no HTTP status and no socket.

use std::collections::BTreeMap;
use std::fmt;

use sea_orm::sqlx::Error as SqlxError;
use sea_orm::{DbErr, RuntimeErr, SqlErr};

/// What every fallible function returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, by the names clients rely on (contract, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// A field is missing, of the wrong type or out of range; `errors` names it.
    ValidationFailed,
    /// Unknown user or wrong password.
    InvalidCredentials,
    /// No token came with the request.
    TokenMissing,
    /// Forged, malformed, or of the wrong kind.
    TokenInvalid,
    /// Its time is over.
    TokenExpired,
    /// Its session was ended.
    SessionEnded,
    /// A refresh token came back after its successor had been used.
    RefreshReused,
    /// Allowed to see, not to do.
    Forbidden,
    /// The account is banned, for a time or for good.
    UserBanned,
    /// One of the two has blocked the other.
    Blocked,
    /// `CONTACT_POLICY=mutual`: the two do not follow each other.
    ContactRequired,
    /// The account's e-mail has to be confirmed first.
    EmailUnverified,
    /// Nothing there that the caller may know of.
    NotFound,
    /// The path exists, for other methods.
    MethodNotAllowed,
    /// The path speaks WebSocket only.
    UpgradeRequired,
    /// No command has that name.
    UnknownEvent,
    /// Another account has this phone.
    PhoneTaken,
    /// Another account has this e-mail.
    EmailTaken,
    /// Another account has this username.
    UsernameTaken,
    /// The `client_id` was used for something else.
    ClientIdConflict,
    /// The same text in the same chat, too soon.
    DuplicateMessage,
    /// A direct chat waits for the recipient's approval.
    ApprovalPending,
    /// A direct chat has exactly two members.
    DirectChatMembers,
    /// More bytes than the settings let in.
    TooLarge,
    /// A longer address than is read here.
    UriTooLong,
    /// The body comes in a form that is not read here.
    UnsupportedMediaType,
    /// A request's body did not come in time.
    RequestTimeout,
    /// Too often; `retry_after_ms` says when to come back.
    RateLimited,
    /// Busy or shutting down; worth trying again.
    Unavailable,
    /// Our fault.
    Internal,
}

impl Code {
    /// All of them.
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

    /// The name on the wire.
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

/// Field path (`message.chat_id`) to what is wrong with it.
pub type FieldErrors = BTreeMap<String, Vec<String>>;

/// A failure that a client is told about.
#[derive(Debug)]
pub struct Error {
    /// Stable name.
    pub code: Code,
    /// A sentence for a person.
    pub message: String,
    /// The fields at fault, if any.
    pub errors: FieldErrors,
    /// The cause of our own faults, for the log.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// The same call may succeed if it is made again at once (a database deadlock).
    pub retryable: bool,
    /// When a call that came too often may come again, milliseconds.
    pub retry_after_ms: Option<u64>,
}

impl Error {
    /// A failure with a sentence and nothing else.
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

    /// A failure that one field is to blame for.
    pub fn field(code: Code, field: impl Into<String>, problem: impl Into<String>) -> Self {
        let (field, problem) = (field.into(), problem.into());
        let mut error = Self::new(code, format!("{field}: {problem}"));
        error.errors.insert(field, vec![problem]);
        error
    }

    /// `validation_failed` for one field.
    pub fn invalid(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::field(Code::ValidationFailed, field, problem)
    }

    /// `not_found`, naming what is not there.
    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("no such {what}"))
    }

    /// `forbidden`, saying what it takes.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(Code::Forbidden, message)
    }

    /// `rate_limited`: come again in this many milliseconds.
    pub fn rate_limited(message: impl Into<String>, retry_after_ms: u64) -> Self {
        let mut error = Self::new(Code::RateLimited, message);
        error.retry_after_ms = Some(retry_after_ms);
        error
    }

    /// Somebody else acted in the same moment: the same command, begun again, sees what they did.
    pub fn again(what: &'static str) -> Self {
        let mut error = Self::internal(what);
        error.retryable = true;
        error
    }

    /// `unavailable`: worth trying again.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Code::Unavailable, message)
    }

    /// Too many wait for rows that other transactions hold: worth beginning again, a while later.
    pub fn busy() -> Self {
        let mut error = Self::unavailable("too many commands wait for the same lock");
        error.retryable = true;
        error
    }

    /// Whether it is [`Error::busy`].
    pub fn is_busy(&self) -> bool {
        self.retryable && self.code == Code::Unavailable
    }

    /// Whether a lock was waited for as long as `lock_timeout` of PostgreSQL allows (SQLSTATE 55P03).
    pub fn is_lock_timeout(&self) -> bool {
        let source = self.source.as_deref().and_then(|source| source.downcast_ref::<DbErr>());
        matches!(source.and_then(driver_error), Some(SqlxError::Database(error))
            if error.code().as_deref() == Some("55P03"))
    }

    /// Our own fault; the cause goes to the log.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let mut error = Self::new(Code::Internal, "internal error; the server's log has the cause");
        error.source = Some(source.into());
        error
    }

    /// The same failure with its cause, for the log.
    fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether the fault is the server's: whoever asked did nothing wrong, and may ask again later.
    pub fn is_ours(&self) -> bool {
        matches!(self.code, Code::Unavailable | Code::Internal)
    }

    /// The cause and what caused it, for the log and for `DEBUG` answers.
    pub fn chain(&self) -> String {
        let mut text = String::new();
        let mut next: Option<&(dyn std::error::Error + 'static)> = self.source.as_deref().map(|it| it as _);
        while let Some(error) = next {
            let said = error.to_string();
            // Many errors repeat what caused them.
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

/// The error of the driver below, if that is what an error of the database is.
pub fn driver_error(error: &DbErr) -> Option<&SqlxError> {
    let (DbErr::Conn(RuntimeErr::SqlxError(error))
    | DbErr::Exec(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return None;
    };
    Some(error)
}

/// Whether a prepared statement no longer fits the tables, which somebody changed meanwhile. PostgreSQL says so with
/// SQLSTATE 0A000 (feature not supported), which other refusals have, too.
pub fn is_outdated_plan(error: &SqlxError) -> bool {
    matches!(error, SqlxError::Database(error)
        if error.code().as_deref() == Some("0A000") && error.message().contains("cached plan"))
}

/// What kind of trouble the database is in.
enum Fault {
    /// It cannot be reached, or is just going or coming.
    Away,
    /// It answers, but takes no changes: its disk is full or broken, or it is read-only.
    CannotWrite,
    /// It chose a victim between two that waited for each other, or somebody changed its tables.
    Collision,
    /// A unique value was there already: whoever looks again finds it.
    Twin,
    /// The statement itself.
    Other,
}

impl Fault {
    /// PostgreSQL by SQLSTATE (its manual, appendix A), SQLite by result code.
    fn of(error: &DbErr) -> Self {
        if matches!(error, DbErr::ConnectionAcquire(_)) {
            return Self::Away;
        }
        if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) {
            return Self::Twin;
        }
        match driver_error(error).map_or(Self::Other, Self::of_driver) {
            // Whatever a database says instead of taking a connection, no statement is to blame. PostgreSQL on a full disk
            // says "could not write init file" as an internal error.
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
            // A full disk, one that fails, and a server or transaction that is read-only.
            "53100" | "58030" | "25006" => Self::CannotWrite,
            // Over one of the time limits that every connection has: of a lock, a statement, an idle transaction.
            "55P03" | "57014" | "25P03" => Self::Away,
            _ if ["08", "53", "57P"].iter().any(|class| code.starts_with(class)) => Self::Away,
            _ => Self::Other,
        }
    }

    /// By the primary result code, which is the lowest byte of an extended one (sqlite.org/rescode.html).
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

    /// What PostgreSQL answers with this SQLSTATE.
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

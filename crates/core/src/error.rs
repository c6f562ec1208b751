//! Errors in terms that a caller understands: a [`Code`] from the table of codes, a detail, and the invalid fields.
//!
//! ```
//! use groundwork_core::{Code, Error, Kind};
//!
//! const LENT: Code = Code::new("lent", Kind::Conflict, "The book is on loan");
//!
//! let error = LENT.error("the book is due on Monday");
//! assert_eq!(error.code(), LENT);
//! assert_eq!(Error::internal("a secret cause").code().name, "internal");
//! ```

use std::hash::{Hash, Hasher};

use sea_orm::{DbErr, SqlErr};

use crate::{FieldError, FieldErrors, db::failure};

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind of a refusal. `groundwork-web` maps each to one HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request cannot be parsed, for example because the body is not valid JSON.
    Malformed,
    /// The caller is not known.
    Unauthenticated,
    /// The caller is known, but not allowed to do this.
    Forbidden,
    /// The resource does not exist, or the caller may not know of it.
    NotFound,
    /// The path exists, but does not support the method.
    MethodNotAllowed,
    /// The resource existed, but no longer does.
    Gone,
    /// The request conflicts with the current state.
    Conflict,
    /// The resource has changed since the caller last read it.
    PreconditionFailed,
    /// The request must name the version of the resource that the caller has read.
    PreconditionRequired,
    /// The request took too long to arrive.
    Timeout,
    /// The request is larger than allowed.
    TooLarge,
    /// The media type is not supported.
    Unsupported,
    /// The input has the wrong shape or is out of bounds.
    Invalid,
    /// The caller does too much at once or in a short time.
    TooMany,
    /// An error of the service itself.
    Internal,
    /// The service is temporarily unable to handle the request.
    Unavailable,
}

/// An entry of the table of error codes. Two codes are equal if their names are.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    /// The stable name for programs, in `snake_case`.
    pub name: &'static str,
    /// The kind of refusal, which determines the HTTP status.
    pub kind: Kind,
    /// A short summary, the same for each occurrence (RFC 9457, section 3.1.3).
    pub title: &'static str,
    /// The detail of a typical occurrence, for the documentation.
    pub example: &'static str,
}

impl PartialEq for Code {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Code {}

impl Hash for Code {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Code {
    /// Creates a code. Its title is also its example.
    pub const fn new(name: &'static str, kind: Kind, title: &'static str) -> Self {
        Self { name, kind, title, example: title }
    }

    /// Returns the same code with the detail of a typical occurrence.
    #[must_use]
    pub const fn example(self, detail: &'static str) -> Self {
        Self { example: detail, ..self }
    }

    /// Returns an error with this code. `detail` describes this occurrence.
    pub fn error(self, detail: impl Into<String>) -> Error {
        Error::Refused(Box::new(Refusal { code: self, detail: detail.into(), field_errors: Vec::new() }))
    }
}

/// The codes of the library crates. A service adds its own.
pub mod codes {
    use super::{Code, Kind};

    /// The body is not valid JSON.
    pub const MALFORMED: Code = Code::new("malformed", Kind::Malformed, "The request is malformed")
        .example("the body is not valid JSON: EOF while parsing an object at line 1 column 1");
    /// The request carries no access token.
    pub const UNAUTHENTICATED: Code =
        Code::new("unauthenticated", Kind::Unauthenticated, "An access token is required")
            .example("an access token is required");
    /// An access or refresh token that this service did not issue.
    pub const INVALID_TOKEN: Code =
        Code::new("invalid_token", Kind::Unauthenticated, "The token is not valid")
            .example("the access token is not valid");
    /// An access or refresh token that has expired.
    pub const TOKEN_EXPIRED: Code =
        Code::new("token_expired", Kind::Unauthenticated, "The token has expired")
            .example("the access token has expired");
    /// The session of the token has ended: by signing out, by reuse of a refresh token, or by an administrator.
    pub const SESSION_ENDED: Code =
        Code::new("session_ended", Kind::Unauthenticated, "The session has ended")
            .example("the session of the access token has ended");
    /// Signing in failed. The same for an unknown name, a wrong password and an inactive account.
    pub const BAD_CREDENTIALS: Code =
        Code::new("bad_credentials", Kind::Unauthenticated, "The name or the password is wrong")
            .example("the name or the password is wrong, or the account is not active");
    /// The token lacks a scope.
    pub const MISSING_SCOPE: Code = Code::new("missing_scope", Kind::Forbidden, "The token lacks a scope");
    /// The caller may see the resource, but not do this to it.
    pub const FORBIDDEN: Code = Code::new("forbidden", Kind::Forbidden, "Not allowed");
    /// The resource does not exist, or the caller may not know of it.
    pub const NOT_FOUND: Code = Code::new("not_found", Kind::NotFound, "Not found");
    /// The path exists, but does not support the method.
    pub const METHOD_NOT_ALLOWED: Code =
        Code::new("method_not_allowed", Kind::MethodNotAllowed, "Method not allowed");
    /// A unique value is in use.
    pub const CONFLICT: Code = Code::new("conflict", Kind::Conflict, "Conflict with the current state");
    /// The row has changed since the caller last read it.
    pub const PRECONDITION_FAILED: Code =
        Code::new("precondition_failed", Kind::PreconditionFailed, "The resource has changed")
            .example("the resource has changed since; its ETag is now \"2026-11-21T10:00:00.000000Z\"");
    /// The request must name the version of the row that the caller has read, in `If-Match`.
    pub const PRECONDITION_REQUIRED: Code =
        Code::new("precondition_required", Kind::PreconditionRequired, "If-Match is required")
            .example("send the ETag of the version that you have seen as If-Match");
    /// The client took too long to send the body.
    pub const REQUEST_TIMEOUT: Code =
        Code::new("request_timeout", Kind::Timeout, "The request took too long to arrive")
            .example("the body must arrive within 15 s");
    /// The body is larger than the limit of the service.
    pub const TOO_LARGE: Code = Code::new("too_large", Kind::TooLarge, "The body is too large")
        .example("the body must have at most 65536 bytes");
    /// The operation does not support the media type of the body.
    pub const UNSUPPORTED_MEDIA_TYPE: Code =
        Code::new("unsupported_media_type", Kind::Unsupported, "Media type not supported")
            .example("the body must be application/json");
    /// The input has the wrong shape or is out of bounds. The problem lists every invalid field.
    pub const INVALID: Code =
        Code::new("invalid", Kind::Invalid, "The input is invalid").example("the input is invalid");
    /// The idempotency key was used with another request.
    pub const IDEMPOTENCY_KEY_REUSED: Code = Code::new(
        "idempotency_key_reused",
        Kind::Invalid,
        "The idempotency key was used with another request",
    )
    .example("this key was used for a different request");
    /// The result of the first request with an idempotency key no longer exists.
    pub const GONE: Code = Code::new("gone", Kind::Gone, "The result no longer exists")
        .example("the first request with this Idempotency-Key succeeded; its result has been deleted, or you may no longer see it");
    /// An error of the service itself. Its cause is only in the log.
    pub const INTERNAL: Code = Code::new("internal", Kind::Internal, "Internal error")
        .example("the service failed to handle the request; its log has the cause under the request id");
    /// The database cannot be reached, or no connection is free.
    pub const UNAVAILABLE: Code = Code::new("unavailable", Kind::Unavailable, "Temporarily unavailable")
        .example("the database can't be reached; try again in a moment");
    /// Too many concurrent requests use the same resource, such as the lock of one row.
    pub const BUSY: Code = Code::new("busy", Kind::Unavailable, "Too many requests at once")
        .example("other requests are changing the same data; try again in a moment");
    /// A database statement exceeded its time limit and was cancelled.
    pub const QUERY_TIMEOUT: Code = Code::new(
        "query_timeout",
        Kind::Unavailable,
        "The request took too long",
    )
    .example(
        "the database took too long, and the request was cancelled; request less data, or try again later",
    );
    /// The database has no space left on its disk.
    pub const STORAGE_FULL: Code = Code::new("storage_full", Kind::Unavailable, "No storage space left")
        .example("the database has no storage space left; nothing was changed");

    /// The codes that every operation may fail with if it uses the database.
    pub const DATABASE: &[Code] = &[UNAVAILABLE, BUSY, QUERY_TIMEOUT, STORAGE_FULL];

    /// All codes of the library crates, for the table that a service publishes.
    pub const ALL: &[Code] = &[
        MALFORMED,
        UNAUTHENTICATED,
        INVALID_TOKEN,
        TOKEN_EXPIRED,
        SESSION_ENDED,
        BAD_CREDENTIALS,
        MISSING_SCOPE,
        FORBIDDEN,
        NOT_FOUND,
        METHOD_NOT_ALLOWED,
        CONFLICT,
        PRECONDITION_FAILED,
        PRECONDITION_REQUIRED,
        REQUEST_TIMEOUT,
        TOO_LARGE,
        UNSUPPORTED_MEDIA_TYPE,
        INVALID,
        IDEMPOTENCY_KEY_REUSED,
        GONE,
        INTERNAL,
        UNAVAILABLE,
        BUSY,
        QUERY_TIMEOUT,
        STORAGE_FULL,
    ];
}

/// The one error type of the libraries.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is refused. The detail is safe to show to the caller.
    #[error("{}: {}", .0.code.name, .0.detail)]
    Refused(Box<Refusal>),
    /// The database failed. The cause is never shown to the caller.
    #[error("database: {0}")]
    Database(#[from] DbErr),
    /// Another part of the service failed. The cause is never shown to the caller.
    #[error("internal: {0}")]
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

/// A refusal, as the caller sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The entry of the table of codes.
    pub code: Code,
    /// A sentence for people about this occurrence.
    pub detail: String,
    /// The invalid fields of the input, if any.
    pub field_errors: Vec<FieldError>,
}

impl Error {
    /// Returns an [`Error::Internal`] with that cause.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }

    /// Returns an error with the code `not_found`. `thing` is the name of what is missing, such as `bookmark`.
    pub fn not_found(thing: &str) -> Self {
        codes::NOT_FOUND.error(format!("there is no such {thing}"))
    }

    /// Returns an error with the code `invalid` and one field error.
    pub fn invalid(field: &str, code: &str, message: impl Into<String>) -> Self {
        FieldErrors::from(FieldError::new(field, code, message)).into_error()
    }

    /// Returns the code that the caller sees.
    pub fn code(&self) -> Code {
        match self {
            Self::Refused(refusal) => refusal.code,
            Self::Database(error) => failure::code(error),
            Self::Internal(_) => codes::INTERNAL,
        }
    }

    /// Returns the same error once more, for another caller whose work failed by the same cause.
    #[must_use]
    pub fn copy(&self) -> Self {
        match self {
            Self::Refused(refusal) => Self::Refused(refusal.clone()),
            Self::Database(cause) => Self::Database(cause.clone()),
            Self::Internal(cause) => Self::internal(cause.to_string()),
        }
    }

    /// Returns whether a statement outside a transaction that failed with this error had no effect for certain, and may
    /// succeed if it is run again: the database answered that it failed, by a lock or its data. After any other error it may
    /// have taken effect, as the connection was lost, or would fail again.
    pub fn had_no_effect(&self) -> bool {
        matches!(self, Self::Database(error) if failure::had_no_effect(error))
    }

    /// Adds field errors to a refusal. Other errors stay as they are.
    #[must_use]
    pub fn with_field_errors(mut self, errors: FieldErrors) -> Self {
        if let Self::Refused(refusal) = &mut self {
            refusal.field_errors.extend(errors.into_vec());
        }
        self
    }

    /// Returns whether the error is a foreign key violation.
    pub fn is_foreign_key_violation(&self) -> bool {
        matches!(self, Self::Database(error)
            if matches!(error.sql_err(), Some(SqlErr::ForeignKeyConstraintViolation(_))))
    }

    /// Returns whether the error is a unique violation.
    pub fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Database(error)
            if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))))
    }
}

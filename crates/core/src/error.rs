//! What can go wrong, in terms that a caller understands: a [`Code`] of the one table, a sentence, and the errors.
//!
//! ```
//! use groundwork_core::{Code, Error, Kind};
//!
//! const LENT: Code = Code::new("lent", Kind::Conflict, "The book is lent");
//!
//! let error = LENT.error("it comes back on Monday");
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
    /// Not in the language that was agreed on (no JSON, for instance).
    Malformed,
    /// It isn't known who calls.
    Unauthenticated,
    /// Known, but not allowed.
    Forbidden,
    /// Not there, or not the caller's to know of.
    NotFound,
    /// There, but not with this method.
    MethodNotAllowed,
    /// It existed, and no longer does.
    Gone,
    /// At odds with the present state.
    Conflict,
    /// Changed since the caller last saw it.
    PreconditionFailed,
    /// Only done for a caller who says which state they have seen.
    PreconditionRequired,
    /// Slower than is allowed.
    Timeout,
    /// Larger than is taken.
    TooLarge,
    /// In a format that isn't taken.
    Unsupported,
    /// Of the wrong shape or out of bounds.
    Invalid,
    /// The service's own error.
    Internal,
    /// The service can't answer just now.
    Unavailable,
}

/// An entry of the table of error codes: a stable word, its kind and its title. Two are equal where their names are.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    /// The stable word, in `snake_case`.
    pub name: &'static str,
    /// What kind of refusal it is.
    pub kind: Kind,
    /// A short sentence, the same at each occurrence (RFC 9457, section 3.1.3).
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
    /// An entry of the table.
    pub const fn new(name: &'static str, kind: Kind, title: &'static str) -> Self {
        Self { name, kind, title, example: title }
    }

    /// The same code with the detail of a typical occurrence.
    #[must_use]
    pub const fn example(self, detail: &'static str) -> Self {
        Self { example: detail, ..self }
    }

    /// An occurrence of it, with what is particular to this one.
    pub fn error(self, detail: impl Into<String>) -> Error {
        Error::Refused(Box::new(Refusal { code: self, detail: detail.into(), field_errors: Vec::new() }))
    }
}

/// The codes of the library crates. A service adds its own.
pub mod codes {
    use super::{Code, Kind};

    /// The body is no JSON.
    pub const MALFORMED: Code = Code::new("malformed", Kind::Malformed, "The request can't be read")
        .example("the body is not valid JSON: EOF while parsing an object at line 1 column 1");
    /// The request carries no access token.
    pub const UNAUTHENTICATED: Code = Code::new("unauthenticated", Kind::Unauthenticated, "Sign in first")
        .example("an access token is required");
    /// An access or refresh token that is none of ours.
    pub const INVALID_TOKEN: Code =
        Code::new("invalid_token", Kind::Unauthenticated, "The token is not valid")
            .example("the access token is not valid");
    /// A token whose time is over.
    pub const TOKEN_EXPIRED: Code =
        Code::new("token_expired", Kind::Unauthenticated, "The token has expired")
            .example("the access token has expired");
    /// A token whose session was ended: by signing out, by reuse of a refresh token, or by an administrator.
    pub const SESSION_ENDED: Code =
        Code::new("session_ended", Kind::Unauthenticated, "The session has ended")
            .example("the session of the access token has ended");
    /// Wrong name or password; the same for an unknown name, a wrong password and an inactive account.
    pub const BAD_CREDENTIALS: Code =
        Code::new("bad_credentials", Kind::Unauthenticated, "Name or password is wrong")
            .example("the name or the password is wrong, or the account is not active");
    /// The token lacks a scope.
    pub const MISSING_SCOPE: Code = Code::new("missing_scope", Kind::Forbidden, "The token lacks a scope");
    /// The caller may see it, but not do this to it.
    pub const FORBIDDEN: Code = Code::new("forbidden", Kind::Forbidden, "Not allowed");
    /// Not there, or not the caller's to know of.
    pub const NOT_FOUND: Code = Code::new("not_found", Kind::NotFound, "Not found");
    /// The path is there, the method isn't.
    pub const METHOD_NOT_ALLOWED: Code =
        Code::new("method_not_allowed", Kind::MethodNotAllowed, "Method not allowed here");
    /// A unique value is in use.
    pub const CONFLICT: Code = Code::new("conflict", Kind::Conflict, "At odds with the present state");
    /// The row was changed since the caller last saw it.
    pub const PRECONDITION_FAILED: Code =
        Code::new("precondition_failed", Kind::PreconditionFailed, "Changed meanwhile")
            .example("it was changed meanwhile; its ETag is \"2026-11-21T10:00:00.000000Z\"");
    /// The caller has to say which state of the row they have seen.
    pub const PRECONDITION_REQUIRED: Code =
        Code::new("precondition_required", Kind::PreconditionRequired, "If-Match is needed")
            .example("send the ETag of what you have seen as If-Match");
    /// The client takes too long to send the body.
    pub const REQUEST_TIMEOUT: Code =
        Code::new("request_timeout", Kind::Timeout, "The request takes too long to arrive")
            .example("the body must arrive within 15 s");
    /// The body is over the limit.
    pub const TOO_LARGE: Code = Code::new("too_large", Kind::TooLarge, "The body is too large")
        .example("the body must have at most 65536 bytes");
    /// The body's media type isn't taken here.
    pub const UNSUPPORTED_MEDIA_TYPE: Code =
        Code::new("unsupported_media_type", Kind::Unsupported, "Media type not supported")
            .example("the body must be application/json");
    /// Wrong shape or out of bounds; the errors are named.
    pub const INVALID: Code =
        Code::new("invalid", Kind::Invalid, "The input is invalid").example("the input is invalid");
    /// An idempotency key that was used with another request.
    pub const IDEMPOTENCY_KEY_REUSED: Code = Code::new(
        "idempotency_key_reused",
        Kind::Invalid,
        "The idempotency key was used with another request",
    )
    .example("this Idempotency-Key was used with another method, path or body");
    /// The result of the first request with an idempotency key no longer exists.
    pub const GONE: Code = Code::new("gone", Kind::Gone, "The result no longer exists")
        .example("the first request with this Idempotency-Key succeeded; its result was deleted since, or you may no longer see it");
    /// The service's own error.
    pub const INTERNAL: Code = Code::new("internal", Kind::Internal, "Something went wrong here")
        .example("something went wrong here; the log knows more under the request id");
    /// The database can't be reached or has no connection free.
    pub const UNAVAILABLE: Code = Code::new("unavailable", Kind::Unavailable, "Not available just now")
        .example("the database can't be reached; try again in a moment");
    /// Too many requests want the same thing at once, such as one thread's lock.
    pub const BUSY: Code = Code::new("busy", Kind::Unavailable, "Too many requests at once")
        .example("others are changing the same data; try again in a moment");
    /// A statement took longer than it may, and was cancelled.
    pub const QUERY_TIMEOUT: Code =
        Code::new("query_timeout", Kind::Unavailable, "The request took too long").example(
            "the database took too long and the work was cancelled; ask for less, or try again later",
        );
    /// The database has no space left on its disk.
    pub const STORAGE_FULL: Code = Code::new("storage_full", Kind::Unavailable, "No storage space left")
        .example("the database has no storage space left; nothing was changed");

    /// What every operation that uses the database may fail with, through no fault of the caller.
    pub const DATABASE: &[Code] = &[UNAVAILABLE, BUSY, QUERY_TIMEOUT, STORAGE_FULL];

    /// All of them, for the table that a service shows.
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
    /// What the caller asked for can't be done, and here is why. Safe to show.
    #[error("{}: {}", .0.code.name, .0.detail)]
    Refused(Box<Refusal>),
    /// The database failed. Never shown.
    #[error("database: {0}")]
    Database(#[from] DbErr),
    /// Something else of ours failed. Never shown.
    #[error("internal: {0}")]
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

/// A refusal: what a caller is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which entry of the table.
    pub code: Code,
    /// What is particular to this occurrence, for a person.
    pub detail: String,
    /// The faulty fields, where the input is to blame.
    pub field_errors: Vec<FieldError>,
}

impl Error {
    /// An [`Error::Internal`] from any error or text.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }

    /// The code `not_found` for a thing of that name.
    pub fn not_found(thing: &str) -> Self {
        codes::NOT_FOUND.error(format!("there is no such {thing}"))
    }

    /// The code `invalid` for one field.
    pub fn invalid(field: &str, code: &str, message: impl Into<String>) -> Self {
        FieldErrors::from(FieldError::new(field, code, message)).into_error()
    }

    /// The code that a caller gets to see.
    pub fn code(&self) -> Code {
        match self {
            Self::Refused(refusal) => refusal.code,
            Self::Database(error) => failure::code(error),
            Self::Internal(_) => codes::INTERNAL,
        }
    }

    /// Adds the faulty fields.
    #[must_use]
    pub fn with_field_errors(mut self, errors: FieldErrors) -> Self {
        if let Self::Refused(refusal) = &mut self {
            refusal.field_errors.extend(errors.into_vec());
        }
        self
    }

    /// Returns whether a foreign key refers to no row.
    pub fn is_foreign_key_violation(&self) -> bool {
        matches!(self, Self::Database(error)
            if matches!(error.sql_err(), Some(SqlErr::ForeignKeyConstraintViolation(_))))
    }

    /// Whether a unique constraint was hit.
    pub fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Database(error)
            if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))))
    }
}

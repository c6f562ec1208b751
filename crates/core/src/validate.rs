//! Errors in what a caller sent: all of them at once, each with its field.
//!
//! ```
//! use groundwork_core::FieldErrors;
//!
//! let mut errors = FieldErrors::new();
//! errors.length("title", "", 1, 20);
//! errors.check(false, "due", "past", "must be in the future");
//! let errors = errors.into_vec();
//! assert_eq!((errors[0].code.as_str(), errors[1].field.as_str()), ("too_short", "due"));
//! ```

use serde::Serialize;
use utoipa::ToSchema;

use crate::error::{Error, codes};

/// One error of one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Where: a field's name, with dots and indexes for what lies deeper (`add.3`).
    #[schema(example = "username")]
    pub field: String,
    /// A stable word for programs.
    #[schema(example = "too_short")]
    pub code: String,
    /// A sentence for people, naming the bound.
    #[schema(example = "must have at least 3 characters")]
    pub message: String,
}

impl FieldError {
    /// A error of `field`.
    pub fn new(field: impl Into<String>, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), code: code.into(), message: message.into() }
    }
}

/// The errors found so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// No error yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a error.
    pub fn add(&mut self, field: impl Into<String>, code: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError::new(field, code, message));
    }

    /// Notes a error unless `ok`.
    pub fn check(&mut self, ok: bool, field: &str, code: &str, message: impl Into<String>) {
        if !ok {
            self.add(field, code, message);
        }
    }

    /// Checks that `text` has between `min` and `max` characters (Unicode scalar values, as in JSON Schema).
    pub fn length(&mut self, field: &str, text: &str, min: usize, max: usize) {
        let count = text.chars().count();
        self.check(count >= min, field, "too_short", format!("must have at least {min} characters"));
        self.check(count <= max, field, "too_long", format!("must have at most {max} characters"));
    }

    /// Takes over what `other` found in something that lies at `path` (`items.3`).
    pub fn nest(&mut self, path: &str, other: Self) {
        for mut error in other.0 {
            let dot = if error.field.is_empty() { "" } else { "." };
            error.field = format!("{path}{dot}{}", error.field);
            self.0.push(error);
        }
    }

    /// Takes over what `other` found; a field that already has a error with that code is not named twice.
    pub fn merge(&mut self, other: Self) {
        for error in other.0 {
            if !self.0.iter().any(|known| known.field == error.field && known.code == error.code) {
                self.0.push(error);
            }
        }
    }

    /// Those of a field, without those of the input as a whole.
    #[must_use]
    pub fn of_fields(self) -> Self {
        Self(self.0.into_iter().filter(|error| !error.field.is_empty()).collect())
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The errors, in the order in which they were found.
    pub fn into_vec(self) -> Vec<FieldError> {
        self.0
    }

    /// `Ok` where there is none, otherwise an error with code `invalid` that carries them all.
    pub fn into_result(self) -> Result<(), Error> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(codes::INVALID.error("the input is invalid").with_field_errors(self))
        }
    }
}

impl From<FieldError> for FieldErrors {
    fn from(error: FieldError) -> Self {
        Self(vec![error])
    }
}

/// Input that knows its own rules, beyond the shape that its type gives it.
pub trait Validate {
    /// Notes each rule that the value breaks.
    fn validate(&self, errors: &mut FieldErrors);

    /// `Ok`, or an error with code `invalid` naming every error.
    fn check(&self) -> Result<(), Error> {
        let mut errors = FieldErrors::new();
        self.validate(&mut errors);
        errors.into_result()
    }
}

//! Validation errors: all of them at once, each with its field, and at most as many as fit in a small response.
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

use std::fmt::Display;

use serde::Serialize;
use utoipa::ToSchema;

use crate::error::{Error, codes};

/// One error of one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The path of the field, with dots for nested fields and items of arrays: `add.3`. Empty for the input as a whole.
    #[schema(example = "username")]
    pub field: String,
    /// The stable code of the error, for programs.
    #[schema(example = "too_short")]
    pub code: String,
    /// A message for people, which names the bound.
    #[schema(example = "must have at least 3 characters")]
    pub message: String,
}

/// The maximum number of characters of a field's name. A longer one is truncated, as it may come from the caller.
const MAX_FIELD: usize = 100;
/// The maximum number of characters of a message.
const MAX_MESSAGE: usize = 500;

impl FieldError {
    /// Creates an error of `field`. A name over 100 characters or a message over 500 is truncated.
    pub fn new(field: impl Into<String>, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: cut(field.into(), MAX_FIELD),
            code: code.into(),
            message: cut(message.into(), MAX_MESSAGE),
        }
    }
}

/// Truncates `text` to at most `max` characters, the last of which is then an ellipsis.
fn cut(mut text: String, max: usize) -> String {
    if text.char_indices().nth(max).is_some()
        && let Some((end, _)) = text.char_indices().nth(max.saturating_sub(1))
    {
        text.truncate(end);
        text.push('…');
        text.shrink_to_fit();
    }
    text
}

/// The errors found so far. Keeps the first [`MAX`](Self::MAX) and counts the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors {
    first: Vec<FieldError>,
    more: usize,
}

impl FieldErrors {
    /// The maximum number of errors that are kept and reported.
    pub const MAX: usize = 50;

    /// Creates an empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an error.
    pub fn add(&mut self, field: impl Into<String>, code: impl Into<String>, message: impl Into<String>) {
        if self.first.len() < Self::MAX {
            self.first.push(FieldError::new(field, code, message));
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    /// Adds an error if `ok` is false.
    pub fn check(&mut self, ok: bool, field: &str, code: &str, message: impl Into<String>) {
        if !ok {
            self.add(field, code, message);
        }
    }

    /// Checks that `text` has between `min` and `max` characters (Unicode scalar values, as in JSON Schema).
    pub fn length(&mut self, field: &str, text: &str, min: usize, max: usize) {
        let count = text.chars().count();
        self.check(
            count >= min,
            field,
            "too_short",
            format!("must have at least {}", counted(min, "character")),
        );
        self.check(
            count <= max,
            field,
            "too_long",
            format!("must have at most {}", counted(max, "character")),
        );
    }

    /// Adds the errors of `other`, with `path` (such as `items.3`) in front of their fields.
    pub fn nest(&mut self, path: &str, other: Self) {
        for error in other.first {
            let dot = if error.field.is_empty() { "" } else { "." };
            self.add(format!("{path}{dot}{}", error.field), error.code, error.message);
        }
        self.more = self.more.saturating_add(other.more);
    }

    /// Adds the errors of `other`, except those whose field already has an error with that code.
    pub fn merge(&mut self, other: Self) {
        for error in other.first {
            if !self.first.iter().any(|known| known.field == error.field && known.code == error.code) {
                self.add(error.field, error.code, error.message);
            }
        }
        self.more = self.more.saturating_add(other.more);
    }

    /// Returns the errors of single fields, without those of the input as a whole.
    #[must_use]
    pub fn of_fields(mut self) -> Self {
        self.first.retain(|error| !error.field.is_empty());
        self
    }

    /// Returns whether there is no error.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty() && self.more == 0
    }

    /// Returns the errors in the order in which they were added, at most [`MAX`](Self::MAX). If there are more, the
    /// last item has an empty field, the code `more_errors` and their number.
    pub fn into_vec(self) -> Vec<FieldError> {
        let mut all = self.first;
        if self.more > 0 {
            all.push(FieldError::new("", "more_errors", format!("and {}", counted(self.more, "more error"))));
        }
        all
    }

    /// Returns `Ok` if there is no error, and otherwise an error with the code `invalid` that contains them all.
    pub fn into_result(self) -> Result<(), Error> {
        if self.is_empty() { Ok(()) } else { Err(self.into_error()) }
    }

    /// Returns an error with the code `invalid` that contains the errors.
    pub fn into_error(self) -> Error {
        codes::INVALID.error("the input is invalid").with_field_errors(self)
    }
}

impl From<FieldError> for FieldErrors {
    fn from(error: FieldError) -> Self {
        Self { first: vec![error], more: 0 }
    }
}

/// Returns `count` and `noun`, in the plural unless `count` is 1: `1 character`, `20 characters`.
pub fn counted<N: Copy + Display + PartialEq + From<u8>>(count: N, noun: &str) -> String {
    format!("{count} {noun}{}", if count == N::from(1) { "" } else { "s" })
}

/// Input with rules that its schema cannot express.
pub trait Validate {
    /// Adds an error for each rule that the value breaks.
    fn validate(&self, errors: &mut FieldErrors);

    /// Returns `Ok`, or an error with the code `invalid` that lists every broken rule.
    fn check(&self) -> Result<(), Error> {
        let mut errors = FieldErrors::new();
        self.validate(&mut errors);
        errors.into_result()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_in_the_singular_and_the_plural() {
        assert_eq!(counted(1_u64, "item"), "1 item");
        assert_eq!((counted(0_u64, "item"), counted(2_u64, "item")), ("0 items".into(), "2 items".into()));
        let mut errors = FieldErrors::new();
        errors.length("title", "", 1, 20);
        assert_eq!(errors.into_vec()[0].message, "must have at least 1 character");
    }

    #[test]
    fn keeps_the_first_errors_and_counts_the_others() {
        let mut errors = FieldErrors::new();
        for index in 0..173 {
            errors.add(format!("field{index}"), "unknown_field", "is not a known field");
        }
        let mut all = FieldErrors::new();
        all.add("first", "bad_value", "is wrong");
        all.nest("items.3", errors.clone());
        all.merge(errors);
        let all = all.into_vec();
        assert_eq!(all.len(), FieldErrors::MAX + 1);
        assert_eq!(all[1].field, "items.3.field0");
        let last = all.last().unwrap();
        assert_eq!((last.field.as_str(), last.code.as_str()), ("", "more_errors"));
        assert_eq!(last.message, "and 297 more errors");
    }

    #[test]
    fn cuts_a_name_that_the_caller_made_up() {
        let error = FieldError::new("ü".repeat(60_000), "unknown_field", "x".repeat(60_000));
        assert_eq!((error.field.chars().count(), error.message.chars().count()), (100, 500));
        assert!(error.field.ends_with("ü…"));
        assert_eq!(FieldError::new("ü".repeat(100), "", "").field, "ü".repeat(100));
    }
}

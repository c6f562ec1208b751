//! Faults in what a caller gave: all of them at once, each with its field.
//!
//! ```
//! use groundwork_core::Faults;
//!
//! let mut faults = Faults::new();
//! faults.length("title", "", 1, 20);
//! faults.check(false, "due", "past", "must be in the future");
//! let faults = faults.into_vec();
//! assert_eq!((faults[0].code.as_str(), faults[1].field.as_str()), ("too_short", "due"));
//! ```

use serde::Serialize;
use utoipa::ToSchema;

use crate::error::{Error, codes};

/// One fault of one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Fault {
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

impl Fault {
    /// A fault of `field`.
    pub fn new(field: impl Into<String>, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), code: code.into(), message: message.into() }
    }
}

/// The faults found so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// No fault yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a fault.
    pub fn add(&mut self, field: impl Into<String>, code: impl Into<String>, message: impl Into<String>) {
        self.0.push(Fault::new(field, code, message));
    }

    /// Notes a fault unless `ok`.
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
        for mut fault in other.0 {
            let dot = if fault.field.is_empty() { "" } else { "." };
            fault.field = format!("{path}{dot}{}", fault.field);
            self.0.push(fault);
        }
    }

    /// Takes over what `other` found; a field that already has a fault with that code is not named twice.
    pub fn merge(&mut self, other: Self) {
        for fault in other.0 {
            if !self.0.iter().any(|known| known.field == fault.field && known.code == fault.code) {
                self.0.push(fault);
            }
        }
    }

    /// Those of a field, without those of the input as a whole.
    #[must_use]
    pub fn of_fields(self) -> Self {
        Self(self.0.into_iter().filter(|fault| !fault.field.is_empty()).collect())
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The faults, in the order in which they were found.
    pub fn into_vec(self) -> Vec<Fault> {
        self.0
    }

    /// `Ok` where there is none, otherwise an error with code `invalid` that carries them all.
    pub fn into_result(self) -> Result<(), Error> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(codes::INVALID.error("the input has faults").with_faults(self))
        }
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

/// Input that knows its own rules, beyond the shape that its type gives it.
pub trait Validate {
    /// Notes each rule that the value breaks.
    fn validate(&self, faults: &mut Faults);

    /// `Ok`, or an error with code `invalid` naming every fault.
    fn check(&self) -> Result<(), Error> {
        let mut faults = Faults::new();
        self.validate(&mut faults);
        faults.into_result()
    }
}

//! Texts whose bounds are part of their type, so that the JSON Schema and the check can't differ.
//!
//! ```
//! use groundwork_core::{FieldErrors, Text};
//!
//! /// The title of a note.
//! type Title = Text<1, 20>;
//!
//! let mut errors = FieldErrors::new();
//! Title::from(" ").check("title", &mut errors);
//! Title::from("A title that is too long").check("title", &mut errors);
//! let codes: Vec<_> = errors.into_vec().into_iter().map(|error| error.code).collect();
//! assert_eq!(codes, ["blank", "too_long"]);
//! ```

use std::{borrow::Cow, fmt, marker::PhantomData, ops::Deref};

use sea_orm::{ActiveValue, IntoActiveValue};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::{
    __dev::ComposeSchema,
    ToSchema,
    openapi::{
        ObjectBuilder, RefOr, Schema, SchemaFormat,
        extensions::{Extensions, ExtensionsBuilder},
        schema::Type,
    },
};

use crate::FieldErrors;

/// A text of `MIN` to `MAX` characters (Unicode scalar values) in the format `F`. Unless `MIN` is 0 it is not blank.
///
/// Reading one from JSON does not check it: [`check`](Self::check) and the schema do, and name the field.
pub struct Text<const MIN: usize, const MAX: usize, F = AnyFormat>(String, PhantomData<fn() -> F>);

/// The format of a [`Text`].
pub trait TextFormat {
    /// The JSON Schema format; `None` for any text.
    const FORMAT: Option<&'static str>;
}

/// The format of any text.
#[derive(Clone, Copy, Debug)]
pub struct AnyFormat;
/// An e-mail address (RFC 5321, section 4.1.2).
#[derive(Clone, Copy, Debug)]
pub struct EmailFormat;
/// A URI (RFC 3986).
#[derive(Clone, Copy, Debug)]
pub struct UriFormat;

/// A password, which a form does not show.
#[derive(Clone, Copy, Debug)]
pub struct PasswordFormat;

impl TextFormat for PasswordFormat {
    const FORMAT: Option<&'static str> = Some("password");
}
impl TextFormat for AnyFormat {
    const FORMAT: Option<&'static str> = None;
}
impl TextFormat for EmailFormat {
    const FORMAT: Option<&'static str> = Some("email");
}
impl TextFormat for UriFormat {
    const FORMAT: Option<&'static str> = Some("uri");
}

impl<const MIN: usize, const MAX: usize, F> Text<MIN, MAX, F> {
    /// Adds an error of `field` for each rule that the text breaks.
    pub fn check(&self, field: &str, errors: &mut FieldErrors) {
        errors.check(MIN == 0 || !self.0.trim().is_empty(), field, "blank", "must not be blank");
        errors.length(field, &self.0, MIN, MAX);
        errors.check(!self.0.contains('\0'), field, "bad_value", "must not contain NUL");
    }
}

impl<const MIN: usize, const MAX: usize, F> Deref for Text<MIN, MAX, F> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const MIN: usize, const MAX: usize, F> Clone for Text<MIN, MAX, F> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<const MIN: usize, const MAX: usize, F> Default for Text<MIN, MAX, F> {
    fn default() -> Self {
        Self(String::new(), PhantomData)
    }
}

impl<const MIN: usize, const MAX: usize, F> PartialEq for Text<MIN, MAX, F> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<const MIN: usize, const MAX: usize, F> Eq for Text<MIN, MAX, F> {}

impl<const MIN: usize, const MAX: usize, F> fmt::Debug for Text<MIN, MAX, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<const MIN: usize, const MAX: usize, F> fmt::Display for Text<MIN, MAX, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MIN: usize, const MAX: usize, F> From<String> for Text<MIN, MAX, F> {
    fn from(text: String) -> Self {
        Self(text, PhantomData)
    }
}

impl<const MIN: usize, const MAX: usize, F> From<&str> for Text<MIN, MAX, F> {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl<const MIN: usize, const MAX: usize, F> From<Text<MIN, MAX, F>> for String {
    fn from(text: Text<MIN, MAX, F>) -> Self {
        text.0
    }
}

impl<const MIN: usize, const MAX: usize, F> IntoActiveValue<String> for Text<MIN, MAX, F> {
    fn into_active_value(self) -> ActiveValue<String> {
        ActiveValue::Set(self.0)
    }
}

impl<const MIN: usize, const MAX: usize, F> Serialize for Text<MIN, MAX, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, const MIN: usize, const MAX: usize, F> Deserialize<'de> for Text<MIN, MAX, F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Into::into)
    }
}

impl<const MIN: usize, const MAX: usize, F: TextFormat> ComposeSchema for Text<MIN, MAX, F> {
    fn compose(_: Vec<RefOr<Schema>>) -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(F::FORMAT.map(|format| SchemaFormat::Custom(format.to_owned())))
            .min_length((MIN > 0).then_some(MIN))
            .max_length(Some(MAX))
            .extensions(Some(inline()))
            .into()
    }
}

impl<const MIN: usize, const MAX: usize, F: TextFormat> ToSchema for Text<MIN, MAX, F> {
    fn name() -> Cow<'static, str> {
        format!("Text_{MIN}_{MAX}_{}", F::FORMAT.unwrap_or("any")).into()
    }
}

/// The extension that marks a schema to be inlined rather than referred to by name.
pub const INLINE: &str = "x-inline";

pub(crate) fn inline() -> Extensions {
    ExtensionsBuilder::new().add(INLINE, true).build()
}

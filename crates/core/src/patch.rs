//! A field of a patch: absent, null and a value are three different things.
//!
//! ```
//! use groundwork_core::Patch;
//!
//! #[derive(serde::Deserialize)]
//! struct NotePatch {
//!     #[serde(default)]
//!     text: Patch<String>,
//! }
//!
//! let patch: NotePatch = serde_json::from_str(r#"{"text": null}"#).unwrap();
//! assert_eq!(patch.text, Patch::Null);
//! let patch: NotePatch = serde_json::from_str("{}").unwrap();
//! assert!(patch.text.is_absent());
//! ```

use sea_orm::{ActiveValue, IntoActiveValue, Value, sea_query::Nullable};
use serde::{Deserialize, Deserializer};

/// A field of a nullable column that a patch may leave alone, clear or set. Put `#[serde(default)]` and
/// `#[schema(value_type = Option<T>)]` on the field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// Not mentioned: it stays as it is.
    #[default]
    Absent,
    /// `null`: it is cleared.
    Null,
    /// It is set to this.
    Value(T),
}

impl<T> Patch<T> {
    /// The value, where there is one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// Whether the field was not mentioned.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// What a nullable column becomes: `None` where it stays as it is.
    pub fn into_change(self) -> Option<Option<T>> {
        match self {
            Self::Absent => None,
            Self::Null => Some(None),
            Self::Value(value) => Some(Some(value)),
        }
    }
}

/// For a nullable column. A field for another column is an `Option`, which can only be absent or a value.
impl<T: Into<Value> + Nullable> IntoActiveValue<Option<T>> for Patch<T> {
    fn into_active_value(self) -> ActiveValue<Option<T>> {
        self.into_change().map_or(ActiveValue::NotSet, ActiveValue::Set)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Null, Self::Value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        name: Patch<String>,
    }

    #[test]
    fn tells_absent_null_and_value_apart() {
        let read = |json: &str| serde_json::from_str::<Body>(json).unwrap().name;
        assert_eq!(read("{}"), Patch::Absent);
        assert_eq!(read(r#"{"name":null}"#), Patch::Null);
        assert_eq!(read(r#"{"name":"x"}"#), Patch::Value("x".to_owned()));
    }
}

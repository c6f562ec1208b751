//! The fields of a patch. Their types say whether a field may be null: [`Change`] is absent or a value, and
//! [`NullableChange`] is absent, null or a value.
//!
//! ```
//! use groundwork_core::{Change, NullableChange};
//!
//! #[derive(serde::Deserialize, utoipa::ToSchema)]
//! struct NotePatch {
//!     /// The title. Every note has one.
//!     #[serde(default)]
//!     title: Change<String>,
//!     /// The text, or null for none.
//!     #[serde(default)]
//!     text: NullableChange<String>,
//! }
//!
//! let patch: NotePatch = serde_json::from_str(r#"{"text": null}"#).unwrap();
//! assert_eq!((patch.title, patch.text), (Change::Absent, NullableChange::Null));
//! assert!(serde_json::from_str::<NotePatch>(r#"{"title": null}"#).is_err());
//! ```

use std::borrow::Cow;

use sea_orm::{ActiveValue, IntoActiveValue, Value, sea_query::Nullable};
use serde::{Deserialize, Deserializer};
use utoipa::{
    __dev::ComposeSchema,
    ToSchema,
    openapi::{
        ObjectBuilder, Ref, RefOr, Schema,
        schema::{AllOfBuilder, OneOfBuilder, SchemaType, Type},
    },
};

use crate::text::inline;

/// A field that a patch keeps or sets. Null is refused. Put `#[serde(default)]` on the field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// The field is absent: the column stays as it is.
    #[default]
    Absent,
    /// The column is set to this value.
    Value(T),
}

/// A field that a patch keeps, clears or sets. Put `#[serde(default)]` on the field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NullableChange<T> {
    /// The field is absent: the column stays as it is.
    #[default]
    Absent,
    /// The field is `null`: the column is cleared.
    Null,
    /// The column is set to this value.
    Value(T),
}

impl<T> Change<T> {
    /// Returns the value, or `None` if the field is absent.
    pub fn value(&self) -> Option<&T> {
        self.as_ref().into_value()
    }

    /// Returns the value, or `None` if the field is absent.
    pub fn into_value(self) -> Option<T> {
        match self {
            Self::Absent => None,
            Self::Value(value) => Some(value),
        }
    }

    /// Returns whether the field is absent.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    fn as_ref(&self) -> Change<&T> {
        match self {
            Self::Absent => Change::Absent,
            Self::Value(value) => Change::Value(value),
        }
    }
}

impl<T> NullableChange<T> {
    /// Returns the value, or `None` if the field is absent or null.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// Returns whether the field is absent.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Returns the new value of a nullable column, or `None` if it stays as it is.
    pub fn into_change(self) -> Option<Option<T>> {
        match self {
            Self::Absent => None,
            Self::Null => Some(None),
            Self::Value(value) => Some(Some(value)),
        }
    }
}

impl<V: Into<Value>, T: IntoActiveValue<V>> IntoActiveValue<V> for Change<T> {
    fn into_active_value(self) -> ActiveValue<V> {
        self.into_value().map_or(ActiveValue::NotSet, IntoActiveValue::into_active_value)
    }
}

impl<V: Into<Value> + Nullable, T: Into<V>> IntoActiveValue<Option<V>> for NullableChange<T> {
    fn into_active_value(self) -> ActiveValue<Option<V>> {
        self.into_change().map_or(ActiveValue::NotSet, |value| ActiveValue::Set(value.map(Into::into)))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::Value)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for NullableChange<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Null, Self::Value))
    }
}

/// Inlines the schema of a plain value, and refers to any other by name.
fn is_plain(schema: &RefOr<Schema>) -> bool {
    matches!(schema, RefOr::T(Schema::Object(object))
        if object.properties.is_empty() && object.enum_values.is_none())
}

fn value_schema<T: ToSchema>() -> RefOr<Schema> {
    Some(T::schema()).filter(is_plain).unwrap_or_else(|| Ref::from_schema_name(T::name()).into())
}

impl<T: ToSchema> ComposeSchema for Change<T> {
    fn compose(_: Vec<RefOr<Schema>>) -> RefOr<Schema> {
        AllOfBuilder::new().item(value_schema::<T>()).extensions(Some(inline())).into()
    }
}

impl<T: ToSchema> ComposeSchema for NullableChange<T> {
    fn compose(_: Vec<RefOr<Schema>>) -> RefOr<Schema> {
        let null = ObjectBuilder::new().schema_type(SchemaType::Type(Type::Null));
        OneOfBuilder::new().item(value_schema::<T>()).item(null).extensions(Some(inline())).into()
    }
}

impl<T: ToSchema> ToSchema for Change<T> {
    fn name() -> Cow<'static, str> {
        "Change".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        let schema = T::schema();
        if !is_plain(&schema) {
            schemas.push((T::name().into_owned(), schema));
        }
        T::schemas(schemas);
    }
}

impl<T: ToSchema> ToSchema for NullableChange<T> {
    fn name() -> Cow<'static, str> {
        "NullableChange".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Change::<T>::schemas(schemas);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        name: Change<String>,
        #[serde(default)]
        bio: NullableChange<String>,
    }

    #[test]
    fn tells_absent_null_and_value_apart() {
        let read = |json: &str| serde_json::from_str::<Body>(json);
        let body = read("{}").unwrap();
        assert_eq!((body.name, body.bio), (Change::Absent, NullableChange::Absent));
        assert_eq!(read(r#"{"bio":null}"#).unwrap().bio, NullableChange::Null);
        assert!(read(r#"{"name":null}"#).is_err());
        let body = read(r#"{"name":"x","bio":"y"}"#).unwrap();
        assert_eq!((body.name.into_value(), body.bio), (Some("x".into()), NullableChange::Value("y".into())));
    }

    #[test]
    fn becomes_a_column() {
        let absent: ActiveValue<String> = Change::<String>::Absent.into_active_value();
        assert_eq!(absent, ActiveValue::NotSet);
        let null: ActiveValue<Option<String>> = NullableChange::<String>::Null.into_active_value();
        assert_eq!(null, ActiveValue::Set(None));
        let value: ActiveValue<Option<String>> = NullableChange::Value("x".to_owned()).into_active_value();
        assert_eq!(value, ActiveValue::Set(Some("x".to_owned())));
    }
}

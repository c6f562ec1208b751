//! Creating several rows in one request, all or none.

use std::borrow::Cow;

use groundwork_core::{Error, FieldErrors, Validate};
use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Ref, RefOr, Schema,
        schema::{ArrayBuilder, ObjectBuilder},
    },
};

/// The most items in one request.
pub const MAX_BULK: usize = 100;

/// The error of one item, with its position in front of the fields.
pub(super) fn at_item(error: Error, index: usize) -> Error {
    let Error::Refused(refusal) = error else {
        return error;
    };
    let place = format!("items.{index}");
    let mut errors = FieldErrors::new();
    for error in refusal.field_errors {
        errors.nest(&place, error.into());
    }
    if errors.is_empty() {
        errors.add(place, refusal.code.name, refusal.detail.clone());
    }
    refusal.code.error(refusal.detail).with_field_errors(errors)
}

/// The rows to create.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bulk<T> {
    /// From 1 to 100 items.
    pub items: Vec<T>,
}

/// The created rows.
#[derive(Debug, Serialize)]
pub struct BulkOf<T> {
    /// The rows, in the order of the request.
    pub items: Vec<T>,
}

impl<T: Validate> Validate for Bulk<T> {
    fn validate(&self, errors: &mut FieldErrors) {
        for (index, item) in self.items.iter().enumerate() {
            let mut of_item = FieldErrors::new();
            item.validate(&mut of_item);
            errors.nest(&format!("items.{index}"), of_item);
        }
    }
}

fn items<T: ToSchema>() -> ArrayBuilder {
    ArrayBuilder::new().items(Ref::from_schema_name(T::name()))
}

fn push<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}

impl<T: ToSchema> PartialSchema for Bulk<T> {
    fn schema() -> RefOr<Schema> {
        let items = items::<T>().min_items(Some(1)).max_items(Some(MAX_BULK));
        ObjectBuilder::new()
            .description(Some("The items to create, all or none."))
            .property("items", items)
            .required("items")
            .additional_properties(Some(utoipa::openapi::schema::AdditionalProperties::<Schema>::FreeForm(
                false,
            )))
            .into()
    }
}

impl<T: ToSchema> ToSchema for Bulk<T> {
    fn name() -> Cow<'static, str> {
        format!("Bulk_{}", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        push::<T>(schemas);
    }
}

impl<T: ToSchema> PartialSchema for BulkOf<T> {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .description(Some("The created items, in the order of the request."))
            .property("items", items::<T>())
            .required("items")
            .into()
    }
}

impl<T: ToSchema> ToSchema for BulkOf<T> {
    fn name() -> Cow<'static, str> {
        format!("BulkOf_{}", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        push::<T>(schemas);
    }
}

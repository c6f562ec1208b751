//! The query of a list: pages or cursors, and the filters that the entity allows.
//!
//! ```no_run
//! use groundwork_core::{Listable, PageRequest};
//! use groundwork_web::{List, Problem};
//!
//! async fn count<E: Listable>(list: List<E, PageRequest>) -> Result<String, Problem> {
//!     let List { request, query } = list; // both within their bounds
//!     let _matching = query.is_ordered();
//!     Ok(format!("page {}", request.page))
//! }
//! ```

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use groundwork_core::{
    FieldErrors, ListQuery, Listable, PageRequest, Result,
    error::codes,
    sea_orm::{ColumnTrait, ColumnType, IdenStatic},
};
use serde::de::DeserializeOwned;
use utoipa::{
    ToSchema,
    openapi::{
        KnownFormat, ObjectBuilder, Required, SchemaFormat,
        path::{Parameter, ParameterBuilder, ParameterIn},
        schema::{Schema, Type},
    },
};

use crate::{
    Problem,
    http::extract::{example_errors, parameters, query_pairs, shaped, split_known},
    openapi::describe::{DescribeInput, OperationDoc},
};

/// A list's query: `P` is what there is besides the filters of `E`, a page or a cursor to begin with.
///
/// A field whose name is that of a variable part of the path can't be filtered by.
///
/// Errors: `invalid`, also for a field that is not open to filters.
#[derive(Clone, Debug)]
pub struct List<E: Listable, P = PageRequest> {
    /// The page or cursor, and the list's own parameters.
    pub request: P,
    /// The filters, the order and the search.
    pub query: ListQuery<E>,
}

impl<E: Listable, P: DeserializeOwned + ToSchema + 'static> FromRequest for List<E, P> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let read = || {
            let pairs = query_pairs(request)?;
            let (value, rest) = split_known::<P>(&pairs)?;
            let path = request.match_info();
            let (fixed, rest): (Vec<_>, Vec<_>) =
                rest.into_iter().partition(|(name, _)| path.get(field_of(name)).is_some());
            let (query, mut errors) = match ListQuery::parse(rest) {
                Ok(query) => (query, FieldErrors::new()),
                Err(errors) => (ListQuery::default(), errors),
            };
            for (name, _) in fixed {
                errors.add(name, "unknown_parameter", "is not known here");
            }
            Ok(Self { request: shaped(&value, errors)?, query })
        };
        ready(read())
    }
}

impl<E: Listable, P: ToSchema + 'static> DescribeInput for List<E, P> {
    fn describe(doc: &mut OperationDoc) {
        doc.parameters.extend(parameters::<P>(&ParameterIn::Query));
        let of_path: Vec<_> = doc.parameters.iter().map(|parameter| parameter.name.clone()).collect();
        let columns = E::FIELDS.iter().filter(|column| !of_path.iter().any(|name| name == column.as_str()));
        doc.parameters.extend(columns.map(|column| filter(*column)));
        let names = E::FIELDS.iter().map(IdenStatic::as_str).collect::<Vec<_>>().join("`, `");
        doc.parameters.push(text(
            "order_by",
            &format!("Fields with commas between, `-` before one for descending: `{names}`."),
        ));
        if !E::SEARCH.is_empty() {
            let names = E::SEARCH.iter().map(IdenStatic::as_str).collect::<Vec<_>>().join("`, `");
            doc.parameters.push(text("search", &format!("Rows with this text in one of `{names}`.")));
        }
        doc.error(&[codes::INVALID]);
        doc.field_error_example(example_errors::<P>());
    }
}

/// The field of a filter: `seq` of `seq__gt`.
fn field_of(name: &str) -> &str {
    name.split_once("__").map_or(name, |(field, _)| field)
}

fn text(name: &str, description: &str) -> Parameter {
    parameter(name, description, ObjectBuilder::new().schema_type(Type::String).build())
}

fn filter<C: ColumnTrait>(column: C) -> Parameter {
    let name = column.as_str();
    let string = |format| ObjectBuilder::new().schema_type(Type::String).format(Some(format)).build();
    let (schema, operators) = match column.def().get_column_type() {
        ColumnType::Boolean => (ObjectBuilder::new().schema_type(Type::Boolean).build(), "neq, isnull"),
        ColumnType::SmallInteger | ColumnType::Integer | ColumnType::BigInteger => {
            (ObjectBuilder::new().schema_type(Type::Integer).build(), "neq, gt, gte, lt, lte, in, isnull")
        }
        ColumnType::Uuid => (string(SchemaFormat::KnownFormat(KnownFormat::Uuid)), "neq, in, isnull"),
        ColumnType::DateTime => {
            (string(SchemaFormat::KnownFormat(KnownFormat::DateTime)), "neq, gt, gte, lt, lte, in, isnull")
        }
        _ => {
            let schema = ObjectBuilder::new().schema_type(Type::String).build();
            (schema, "neq, gt, gte, lt, lte, in, ilike, isnull")
        }
    };
    let description =
        format!("Rows with this value. Also `{name}__` with one of {operators} (comma-separated for `in`).");
    parameter(name, &description, schema)
}

fn parameter(name: &str, description: &str, schema: impl Into<Schema>) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema.into()))
        .build()
}

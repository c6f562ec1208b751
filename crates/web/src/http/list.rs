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
    CursorRequest, FieldErrors, ListQuery, Listable, PageRequest, Result,
    error::codes,
    filter::{QueryParameter, filter_parameters, order_parameter, search_parameter},
};
use serde::de::DeserializeOwned;
use utoipa::{
    ToSchema,
    openapi::{
        Required,
        path::{Parameter, ParameterBuilder, ParameterIn, ParameterStyle},
        schema::Schema,
    },
};

use crate::{
    Problem,
    http::extract::{parameters, query_pairs, shaped, split_known},
    openapi::describe::{DescribeInput, OperationDoc},
};

/// The query of a list. `P` are its parameters besides the filters of `E`, such as a page. The caller may choose the order
/// if `ORDERED`.
///
/// A field cannot be filtered by if its name is that of a path parameter.
///
/// Errors: `invalid`, also for a field that does not allow filters.
#[derive(Clone, Debug)]
pub struct List<E: Listable, P = PageRequest, const ORDERED: bool = true> {
    /// The page or cursor, and the other parameters of the list.
    pub request: P,
    /// The filters, the order and the search.
    pub query: ListQuery<E>,
}

/// The query of a list by cursor, whose order is fixed: it has no `order_by`.
pub type CursorList<E, P = CursorRequest> = List<E, P, false>;

impl<E: Listable, P: DeserializeOwned + ToSchema + 'static, const ORDERED: bool> FromRequest
    for List<E, P, ORDERED>
{
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let read = || {
            let pairs = query_pairs(request)?;
            let (value, rest) = split_known::<P>(&pairs)?;
            let path = request.match_info();
            let (fixed, rest): (Vec<_>, Vec<_>) =
                rest.into_iter().partition(|(name, _)| path.get(field_of(name)).is_some());
            let parsed = if ORDERED { ListQuery::parse(rest) } else { ListQuery::parse_unordered(rest) };
            let (query, mut errors) = match parsed {
                Ok(query) => (query, FieldErrors::new()),
                Err(errors) => (ListQuery::default(), errors),
            };
            for (name, _) in fixed {
                errors.add(name, "unknown_parameter", "is not a known parameter");
            }
            Ok(Self { request: shaped(&value, errors)?, query })
        };
        ready(read())
    }
}

impl<E: Listable, P: ToSchema + 'static, const ORDERED: bool> DescribeInput for List<E, P, ORDERED> {
    fn describe(doc: &mut OperationDoc) {
        let path: Vec<_> = doc.parameters.iter().map(|parameter| parameter.name.clone()).collect();
        let own = parameters::<P>(&ParameterIn::Query);
        let order = ORDERED.then(order_parameter::<E>);
        let others = order.into_iter().chain(search_parameter::<E>()).chain(filter_parameters::<E>());
        // A parameter of the list replaces a filter of the same name, as it does in parsing.
        let others: Vec<_> = others
            .filter(|other| path.iter().all(|name| name != field_of(&other.name)))
            .filter(|other| own.iter().all(|own| own.name != other.name))
            .collect();
        doc.parameters.extend(own);
        doc.parameters.extend(others.into_iter().map(parameter));
        doc.error(&[codes::INVALID]);
        doc.validates::<P>();
    }
}

/// Returns the field of a filter: `seq` of `seq__gt`.
fn field_of(name: &str) -> &str {
    name.split_once("__").map_or(name, |(field, _)| field)
}

fn parameter(QueryParameter { name, description, schema }: QueryParameter) -> Parameter {
    let parameter = ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(description));
    let is_list = matches!(schema, Schema::Array(_));
    let parameter = parameter.schema(Some(schema));
    if is_list {
        // The items are separated by commas; the parameter is not repeated.
        parameter.style(Some(ParameterStyle::Form)).explode(Some(false)).build()
    } else {
        parameter.build()
    }
}

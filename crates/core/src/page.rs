//! Lists by page number: `{items, total, total_is_exact, page, size, pages}`.
//!
//! ```
//! use groundwork_core::{Page, PageRequest, Total};
//!
//! let request = PageRequest { page: 2, size: 20 };
//! let page = Page::new(vec!["a"], Total::exact(21), request);
//! assert_eq!((request.offset().unwrap(), page.pages), (20, 2));
//! assert!(PageRequest { page: 1000, size: 100 }.offset().is_err(), "no list skips 99,900 rows");
//!
//! // Rows are counted up to a bound, so a page of a list of a million costs the same as one of a short list.
//! let bound = request.count_bound();
//! assert_eq!(Total::counted(bound + 1, bound), Total { count: bound, is_exact: false });
//! ```

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Ref, RefOr, Schema,
        schema::{ArrayBuilder, ObjectBuilder, Type},
    },
};

use crate::{Error, Result};

/// A page number and a page size.
///
/// The database reads the rows of every page before the requested one, so a request may skip at most
/// [`MAX_OFFSET`](Self::MAX_OFFSET) rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct PageRequest {
    /// The number of the page, from 1. At most 10000 items may come before it.
    #[serde(default = "first_page")]
    #[schema(default = 1, minimum = 1)]
    pub page: u64,
    /// The number of items per page, from 1 to 100.
    #[serde(default = "default_size")]
    #[schema(default = 20, minimum = 1, maximum = 100)]
    pub size: u64,
}

impl PageRequest {
    /// The maximum number of rows before the page: `(page - 1) * size`.
    pub const MAX_OFFSET: u64 = 10_000;

    /// How many rows are counted beyond the page.
    pub const COUNTED_BEYOND: u64 = 1000;

    /// Returns the number of rows before the page.
    ///
    /// # Errors
    /// `invalid` on `page` for more than [`MAX_OFFSET`](Self::MAX_OFFSET).
    pub fn offset(self) -> Result<u64> {
        let offset = self.rows_before();
        if offset > Self::MAX_OFFSET {
            let bound = Self::MAX_OFFSET;
            return Err(Error::invalid(
                "page",
                "out_of_range",
                format!(
                    "(page - 1) * size must be at most {bound}; use a filter, or a list with a cursor, to read further"
                ),
            ));
        }
        Ok(offset)
    }

    /// Returns up to which number the rows of the list are counted.
    pub fn count_bound(self) -> u64 {
        self.rows_before().saturating_add(self.size).saturating_add(Self::COUNTED_BEYOND)
    }

    fn rows_before(self) -> u64 {
        self.page.saturating_sub(1).saturating_mul(self.size)
    }
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { page: first_page(), size: default_size() }
    }
}

fn first_page() -> u64 {
    1
}

fn default_size() -> u64 {
    20
}

/// The number of items of a list, or a lower bound of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    /// The number of items, at least.
    pub count: u64,
    /// Whether there are exactly that many.
    pub is_exact: bool,
}

impl Total {
    /// The exact number.
    pub fn exact(count: u64) -> Self {
        Self { count, is_exact: true }
    }

    /// The total of a list of which `counted` rows were counted, one more than `bound` at most.
    pub fn counted(counted: u64, bound: u64) -> Self {
        Self { count: counted.min(bound), is_exact: counted <= bound }
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// The number of items, or a lower bound of it.
    pub total: u64,
    /// Whether `total` and `pages` are exact.
    pub total_is_exact: bool,
    /// The number of this page, from 1.
    pub page: u64,
    /// The number of items per page.
    pub size: u64,
    /// The number of pages, or a lower bound of it.
    pub pages: u64,
}

impl<T> Page<T> {
    /// Creates the page for `request`.
    pub fn new(items: Vec<T>, total: Total, request: PageRequest) -> Self {
        Self {
            items,
            total: total.count,
            total_is_exact: total.is_exact,
            page: request.page,
            size: request.size,
            pages: total.count.div_ceil(request.size.max(1)),
        }
    }

    /// Returns the same page with each item converted.
    pub fn map<U>(self, turn: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(turn).collect(),
            total: self.total,
            total_is_exact: self.total_is_exact,
            page: self.page,
            size: self.size,
            pages: self.pages,
        }
    }
}

/// Written by hand: a derived schema of a generic type would not name the schema of its items.
impl<T: ToSchema> PartialSchema for Page<T> {
    fn schema() -> RefOr<Schema> {
        let number = |description: &str, example: u64| {
            let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
            number.description(Some(description)).examples([serde_json::json!(example)])
        };
        let total = format!(
            "The number of items. Items are counted up to {} beyond this page; if there are more, `total` is a lower bound.",
            PageRequest::COUNTED_BEYOND
        );
        let is_exact = ObjectBuilder::new()
            .schema_type(Type::Boolean)
            .description(Some("Whether `total` and `pages` are exact. If false, they are lower bounds."))
            .examples([serde_json::json!(true)]);
        let page = ObjectBuilder::new()
            .description(Some("One page of a list."))
            .property("items", ArrayBuilder::new().items(Ref::from_schema_name(T::name())))
            .property("total", number(&total, 1))
            .property("total_is_exact", is_exact)
            .property("page", number("The number of this page, from 1.", 1))
            .property("size", number("The number of items per page.", 20))
            .property("pages", number("The number of pages; a lower bound if `total` is one.", 1));
        let required = ["items", "total", "total_is_exact", "page", "size", "pages"];
        required.into_iter().fold(page, ObjectBuilder::required).into()
    }
}

impl<T: ToSchema> ToSchema for Page<T> {
    fn name() -> Cow<'static, str> {
        format!("Page_{}", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}

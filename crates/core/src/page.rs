//! Lists by page number: `{items, total, page, size, pages}`.
//!
//! ```
//! use groundwork_core::{Page, PageRequest};
//!
//! let request = PageRequest { page: 2, size: 20 };
//! let page = Page::new(vec!["a"], 21, request);
//! assert_eq!((request.offset(page.total).unwrap(), page.pages), (Some(20), 2));
//! assert!(PageRequest { page: 1000, size: 100 }.offset(100_000).is_err(), "no list skips 99,900 rows");
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

    /// Returns the number of rows before the page, or `None` if the page is beyond the last of `total` rows.
    ///
    /// # Errors
    /// `invalid` on `page` for more than [`MAX_OFFSET`](Self::MAX_OFFSET).
    pub fn offset(self, total: u64) -> Result<Option<u64>> {
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
        Ok(Some(offset).filter(|offset| *offset < total))
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

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// The total number of items.
    pub total: u64,
    /// The number of this page, from 1.
    pub page: u64,
    /// The number of items per page.
    pub size: u64,
    /// The number of pages.
    pub pages: u64,
}

impl<T> Page<T> {
    /// Creates the page for `request`.
    pub fn new(items: Vec<T>, total: u64, request: PageRequest) -> Self {
        Self {
            items,
            total,
            page: request.page,
            size: request.size,
            pages: total.div_ceil(request.size.max(1)),
        }
    }

    /// Returns the same page with each item converted.
    pub fn map<U>(self, turn: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(turn).collect(),
            total: self.total,
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
        let page = ObjectBuilder::new()
            .description(Some("One page of a list."))
            .property("items", ArrayBuilder::new().items(Ref::from_schema_name(T::name())))
            .property("total", number("The total number of items.", 1))
            .property("page", number("The number of this page, from 1.", 1))
            .property("size", number("The number of items per page.", 20))
            .property("pages", number("The number of pages.", 1));
        ["items", "total", "page", "size", "pages"].into_iter().fold(page, ObjectBuilder::required).into()
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

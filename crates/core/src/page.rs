//! Lists by page number: `{items, total, page, size, pages}`.
//!
//! ```
//! use groundwork_core::{Page, PageRequest};
//!
//! let request = PageRequest::new(2, 20).unwrap();
//! let page = Page::new(vec!["a"], 21, request);
//! assert_eq!((request.offset(page.total).unwrap(), page.pages), (Some(20), 2));
//! assert!(PageRequest::new(0, 101).is_err());
//! assert!(PageRequest::new(1000, 100).is_err(), "no list skips 99,900 rows");
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

use crate::{Error, FieldErrors, Result};

/// The number of a page, and its size.
///
/// A list by page reads and skips the rows of every page before it, so that a request may skip at most
/// [`MAX_OFFSET`](Self::MAX_OFFSET) rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct PageRequest {
    /// The number of the page, from 1. At most 10000 items may come before it.
    #[serde(default = "first_page")]
    #[schema(default = 1, minimum = 1, maximum = 10_001)]
    pub page: u64,
    /// The number of items per page, from 1 to 100.
    #[serde(default = "default_size")]
    #[schema(default = 20, minimum = 1, maximum = 100)]
    pub size: u64,
}

impl PageRequest {
    /// The maximum number of rows before the page: `(page - 1) * size`.
    pub const MAX_OFFSET: u64 = 10_000;
    /// The maximum number of items of a page.
    pub const MAX_SIZE: u64 = 100;

    /// A page within the bounds. Errors: `out_of_range` for `page` or `size`.
    pub fn new(page: u64, size: u64) -> Result<Self, FieldErrors> {
        let request = Self { page, size };
        let mut errors = FieldErrors::new();
        errors.check(page >= 1, "page", "out_of_range", "must be at least 1");
        errors.check((1..=Self::MAX_SIZE).contains(&size), "size", "out_of_range", "must be from 1 to 100");
        if errors.is_empty() && request.rows_before() > Self::MAX_OFFSET {
            errors.add("page", "out_of_range", too_deep());
        }
        if errors.is_empty() { Ok(request) } else { Err(errors) }
    }

    /// The number of rows before the page; `None` if the page is beyond the last of `total` rows, so that there is
    /// nothing to read.
    ///
    /// # Errors
    /// `invalid` on `page` for more than [`MAX_OFFSET`](Self::MAX_OFFSET).
    pub fn offset(self, total: u64) -> Result<Option<u64>> {
        let offset = self.rows_before();
        if offset > Self::MAX_OFFSET {
            return Err(Error::invalid("page", "out_of_range", too_deep()));
        }
        Ok(Some(offset).filter(|offset| *offset < total))
    }

    fn rows_before(self) -> u64 {
        self.page.saturating_sub(1).saturating_mul(self.size)
    }
}

fn too_deep() -> String {
    format!(
        "(page - 1) * size must be at most {}; use a filter, or a list with a cursor, to read further",
        PageRequest::MAX_OFFSET
    )
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
    /// How many items there are in all.
    pub total: u64,
    /// Which page this is, from 1.
    pub page: u64,
    /// How many items a page holds.
    pub size: u64,
    /// How many pages there are.
    pub pages: u64,
}

impl<T> Page<T> {
    /// The page that `request` asked for.
    pub fn new(items: Vec<T>, total: u64, request: PageRequest) -> Self {
        Self {
            items,
            total,
            page: request.page,
            size: request.size,
            pages: total.div_ceil(request.size.max(1)),
        }
    }

    /// The same page with each item turned into something else.
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

/// The schemas of a generic type are written by hand: a derived one would not name that of its items.
impl<T: ToSchema> PartialSchema for Page<T> {
    fn schema() -> RefOr<Schema> {
        let number = |description: &str, example: u64| {
            let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
            number.description(Some(description)).examples([serde_json::json!(example)])
        };
        let page = ObjectBuilder::new()
            .description(Some("One page of a list."))
            .property("items", ArrayBuilder::new().items(Ref::from_schema_name(T::name())))
            .property("total", number("How many items there are in all.", 1))
            .property("page", number("Which page this is, from 1.", 1))
            .property("size", number("How many items a page holds.", 20))
            .property("pages", number("How many pages there are.", 1));
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

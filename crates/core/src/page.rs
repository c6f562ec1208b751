//! Lists by page number: `{items, total, page, size, pages}`.
//!
//! ```
//! use groundwork_core::{Page, PageRequest};
//!
//! let request = PageRequest::new(2, 20).unwrap();
//! let page = Page::new(vec!["a"], 21, request);
//! assert_eq!((request.offset(), page.pages), (20, 2));
//! assert!(PageRequest::new(0, 101).is_err());
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

use crate::FieldErrors;

/// Which page, and how large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct PageRequest {
    /// The page, from 1 to 1000000.
    #[serde(default = "first_page")]
    #[schema(default = 1, minimum = 1, maximum = 1_000_000)]
    pub page: u64,
    /// Items per page, from 1 to 100.
    #[serde(default = "default_size")]
    #[schema(default = 20, minimum = 1, maximum = 100)]
    pub size: u64,
}

impl PageRequest {
    /// The last page that can be asked for.
    pub const MAX_PAGE: u64 = 1_000_000;
    /// The most items of a page.
    pub const MAX_SIZE: u64 = 100;

    /// A page within the bounds, or the errors by name.
    pub fn new(page: u64, size: u64) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::new();
        errors.check(
            (1..=Self::MAX_PAGE).contains(&page),
            "page",
            "out_of_range",
            "must be from 1 to 1000000",
        );
        errors.check((1..=Self::MAX_SIZE).contains(&size), "size", "out_of_range", "must be from 1 to 100");
        if errors.is_empty() { Ok(Self { page, size }) } else { Err(errors) }
    }

    /// How many rows come before the page.
    pub fn offset(self) -> u64 {
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

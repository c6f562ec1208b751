//! Lists by cursor: `{items, next_cursor, prev_cursor}`. Rows added between two requests are never skipped or repeated,
//! and every page costs the same.
//!
//! ```
//! use groundwork_core::{Cursor, CursorRequest};
//!
//! let next = Cursor { key: 42, backward: false }.encode("numbers").unwrap();
//! let request = CursorRequest { limit: 10, cursor: Some(next) };
//! assert_eq!(request.position::<i32>("numbers").unwrap().unwrap().key, 42);
//! assert!(request.position::<i32>("letters").is_err(), "the cursor of another list");
//! ```

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Ref, RefOr, Schema,
        schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type},
    },
};

use crate::{Error, Result};

/// A position in a list, and the size of the page.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub struct CursorRequest {
    /// The number of items, from 1 to 100.
    #[serde(default = "default_limit")]
    #[schema(default = 50, minimum = 1, maximum = 100)]
    pub limit: u64,
    /// `next_cursor` or `prev_cursor` of an earlier response of the same list.
    #[serde(default)]
    #[schema(max_length = 1024)]
    pub cursor: Option<String>,
}

impl CursorRequest {
    /// Requests the first page.
    pub fn first(limit: u64) -> Self {
        Self { limit, cursor: None }
    }

    /// Returns where the page begins, or `None` for the first page. `list` is the name of the list. Errors: `invalid` on
    /// `cursor` for a cursor of another list.
    pub fn position<K: DeserializeOwned>(&self, list: &str) -> Result<Option<Cursor<K>>> {
        let refused = || Error::invalid("cursor", "foreign_cursor", "is not a cursor of this list");
        let Some(text) = &self.cursor else { return Ok(None) };
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| refused())?;
        let wire: Wire<String, K> = serde_json::from_slice(&bytes).map_err(|_| refused())?;
        if wire.list != list {
            return Err(refused());
        }
        Ok(Some(Cursor { key: wire.key, backward: wire.backward }))
    }
}

impl Default for CursorRequest {
    fn default() -> Self {
        Self::first(default_limit())
    }
}

fn default_limit() -> u64 {
    50
}

/// A position in a list: after the row with this key, or before it when going backward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor<K> {
    /// The sort key of the row.
    pub key: K,
    /// Whether to go backward.
    pub backward: bool,
}

#[derive(Serialize, Deserialize)]
struct Wire<L, K> {
    #[serde(rename = "l")]
    list: L,
    #[serde(rename = "k")]
    key: K,
    #[serde(rename = "b", default)]
    backward: bool,
}

impl<K: Serialize> Cursor<K> {
    /// Encodes the cursor as opaque text for the list of that name.
    pub fn encode(&self, list: &str) -> Result<String> {
        let wire = Wire { list, key: &self.key, backward: self.backward };
        Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(&wire).map_err(Error::internal)?))
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorPage<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// The cursor of the next page; null on the last page.
    pub next_cursor: Option<String>,
    /// The cursor of the previous page; null on the first page.
    pub prev_cursor: Option<String>,
}

impl<T> CursorPage<T> {
    /// Assembles a page from rows in list order, of which the caller read `limit + 1`. The extra row, last when going
    /// forward and first when going backward, only shows that there are more.
    pub fn assemble<K: Serialize>(
        mut rows: Vec<T>,
        limit: u64,
        list: &str,
        position: Option<&Cursor<K>>,
        key: impl Fn(&T) -> K,
    ) -> Result<Self> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        let backward = position.is_some_and(|cursor| cursor.backward);
        if more && backward {
            rows.remove(0);
        }
        rows.truncate(limit);
        let (has_next, has_prev) = if backward { (true, more) } else { (more, position.is_some()) };
        let cursor = |row: Option<&T>, backward| {
            row.map(|row| Cursor { key: key(row), backward }.encode(list)).transpose()
        };
        Ok(Self {
            next_cursor: cursor(rows.last().filter(|_| has_next), false)?,
            prev_cursor: cursor(rows.first().filter(|_| has_prev), true)?,
            items: rows,
        })
    }

    /// Returns the same page with `turn` applied to each item.
    pub fn map<U>(self, turn: impl FnMut(T) -> U) -> CursorPage<U> {
        CursorPage {
            items: self.items.into_iter().map(turn).collect(),
            next_cursor: self.next_cursor,
            prev_cursor: self.prev_cursor,
        }
    }

    /// Returns the same page with other items.
    pub fn with_items<U>(self, items: Vec<U>) -> CursorPage<U> {
        CursorPage { items, next_cursor: self.next_cursor, prev_cursor: self.prev_cursor }
    }
}

/// Written by hand as that of [`Page`](crate::Page) is.
impl<T: ToSchema> PartialSchema for CursorPage<T> {
    fn schema() -> RefOr<Schema> {
        let cursor = |description: &str| {
            let types = SchemaType::from_iter([Type::String, Type::Null]);
            ObjectBuilder::new().schema_type(types).description(Some(description))
        };
        ObjectBuilder::new()
            .description(Some("One page of a list, with cursors to the next and the previous page."))
            .property("items", ArrayBuilder::new().items(Ref::from_schema_name(T::name())))
            .property("next_cursor", cursor("The cursor of the next page; null on the last page."))
            .property("prev_cursor", cursor("The cursor of the previous page; null on the first page."))
            .required("items")
            .into()
    }
}

impl<T: ToSchema> ToSchema for CursorPage<T> {
    fn name() -> Cow<'static, str> {
        format!("CursorPage_{}", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(all: &[u32], request: &CursorRequest) -> CursorPage<u32> {
        let position = request.position::<u32>("numbers").unwrap();
        let take = usize::try_from(request.limit).unwrap() + 1;
        let rows: Vec<u32> = match &position {
            None => all.iter().copied().take(take).collect(),
            Some(cursor) if cursor.backward => {
                let before: Vec<_> = all.iter().copied().filter(|n| *n < cursor.key).collect();
                before[before.len().saturating_sub(take)..].to_vec()
            }
            Some(cursor) => all.iter().copied().filter(|n| *n > cursor.key).take(take).collect(),
        };
        CursorPage::assemble(rows, request.limit, "numbers", position.as_ref(), |n| *n).unwrap()
    }

    #[test]
    fn goes_forward_to_the_end_and_back_to_the_beginning() {
        let all: Vec<u32> = (1..=5).collect();
        let first = page(&all, &CursorRequest::first(2));
        assert_eq!((first.items, first.prev_cursor), (vec![1, 2], None));
        let second = page(&all, &CursorRequest { limit: 2, cursor: first.next_cursor });
        assert_eq!(second.items, [3, 4]);
        let third = page(&all, &CursorRequest { limit: 2, cursor: second.next_cursor });
        assert_eq!((third.items, third.next_cursor), (vec![5], None));
        let back = page(&all, &CursorRequest { limit: 2, cursor: third.prev_cursor });
        assert_eq!(back.items, [3, 4]);
        let start = page(&all, &CursorRequest { limit: 2, cursor: back.prev_cursor });
        assert_eq!((start.items, start.prev_cursor), (vec![1, 2], None));
    }

    #[test]
    fn refuses_a_cursor_of_another_list_and_garbage() {
        let foreign = Cursor { key: 1_u32, backward: false }.encode("letters").unwrap();
        for text in [foreign.as_str(), "", "garbage", "eyJsIjoi"] {
            let request = CursorRequest { limit: 2, cursor: Some(text.to_owned()) };
            let error = request.position::<u32>("numbers").unwrap_err();
            assert_eq!(error.code().name, "invalid", "{text}");
        }
    }
}

//! The table `bookmarks`, and what comes in and goes out about it.

use groundwork_auth::Caller;
use groundwork_core::{FieldErrors, Listable, Patch, Timestamp, Uuid, Validate, base, common_base};
use groundwork_web::{Resource, RowPolicy};
use sea_orm::{DeriveIntoActiveModel, entity::prelude::*};
use sea_orm_migration::{
    schema::{boolean, string_len, text, text_null, uuid},
    sea_query::{Index, IndexCreateStatement, TableCreateStatement},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A bookmark.
#[sea_orm::compact_model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, ToSchema)]
#[sea_orm(table_name = "bookmarks")]
#[schema(as = Bookmark)]
pub struct Model {
    /// The id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was deleted, or null.
    pub deleted_at: Option<Timestamp>,
    /// Whose it is.
    pub owner_id: Uuid,
    /// Where it leads. Nobody has the same one twice.
    #[schema(example = "https://example.org")]
    pub url: String,
    /// What it is about.
    #[schema(example = "An example")]
    pub title: String,
    /// A note on it.
    pub note: Option<String>,
    /// Words to find it by, with spaces between.
    #[schema(example = "examples reading")]
    pub tags: String,
    /// Whether it stays on top.
    pub pinned: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
#[expect(missing_docs, reason = "there are none")]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

common_base!();

impl Listable for Entity {
    const FIELDS: &'static [Column] = &[
        Column::Id,
        Column::Url,
        Column::Title,
        Column::Tags,
        Column::Pinned,
        Column::CreatedAt,
        Column::UpdatedAt,
    ];
    const SEARCH: &'static [Column] = &[Column::Url, Column::Title, Column::Note, Column::Tags];
}

/// The table in its first form. Never changes: what comes later is a further migration.
pub fn table_v1() -> (TableCreateStatement, Vec<IndexCreateStatement>) {
    let table = base::table_v1("bookmarks")
        .col(uuid("owner_id"))
        .col(text("url"))
        .col(string_len("title", 200))
        .col(text_null("note"))
        .col(string_len("tags", 200))
        .col(boolean("pinned"))
        .take();
    let unique = Index::create()
        .name("ux_bookmarks_owner_url")
        .table("bookmarks")
        .col("owner_id")
        .col("url")
        .unique()
        .take();
    (table, vec![unique])
}

/// A new bookmark.
#[derive(Clone, Debug, Deserialize, ToSchema, DeriveIntoActiveModel)]
#[serde(deny_unknown_fields)]
pub struct NewBookmark {
    /// Where it leads.
    #[schema(example = "https://example.org", format = "uri", max_length = 2000)]
    pub url: String,
    /// What it is about.
    #[schema(example = "An example", min_length = 1, max_length = 200)]
    pub title: String,
    /// A note on it.
    #[serde(default)]
    #[schema(example = "Read it twice.", max_length = 2000)]
    pub note: Option<String>,
    /// Words to find it by, with spaces between.
    #[serde(default)]
    #[schema(example = "examples reading", max_length = 200)]
    pub tags: String,
    /// Whether it stays on top.
    #[serde(default)]
    pub pinned: bool,
}

/// A change of a bookmark.
#[derive(Clone, Debug, Default, Deserialize, ToSchema, DeriveIntoActiveModel)]
#[serde(deny_unknown_fields)]
pub struct BookmarkPatch {
    /// Where it leads.
    #[serde(default)]
    #[schema(value_type = String, example = "https://example.org", format = "uri", max_length = 2000)]
    pub url: Option<String>,
    /// What it is about.
    #[serde(default)]
    #[schema(value_type = String, example = "An example", min_length = 1, max_length = 200)]
    pub title: Option<String>,
    /// A note on it.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "Read it twice.", max_length = 2000)]
    pub note: Patch<String>,
    /// Words to find it by, with spaces between.
    #[serde(default)]
    #[schema(value_type = String, example = "examples reading", max_length = 200)]
    pub tags: Option<String>,
    /// Whether it stays on top.
    #[serde(default)]
    #[schema(value_type = bool)]
    pub pinned: Option<bool>,
}

impl Validate for NewBookmark {
    fn validate(&self, errors: &mut FieldErrors) {
        errors.check(!self.title.trim().is_empty(), "title", "blank", "must not be blank");
    }
}

impl Validate for BookmarkPatch {
    fn validate(&self, errors: &mut FieldErrors) {
        let blank = self.title.as_ref().is_some_and(|title| title.trim().is_empty());
        errors.check(!blank, "title", "blank", "must not be blank");
    }
}

impl Resource for Entity {
    type Create = NewBookmark;
    type Patch = BookmarkPatch;
    type Output = Model;
    const NAME: &'static str = "bookmark";
    const PATH: &'static str = "/bookmarks";
    const SCOPES: (&'static str, &'static str) = ("bookmarks:read", "bookmarks:write");
    fn policy(caller: &Caller) -> RowPolicy<Self> {
        RowPolicy::own(Column::OwnerId, caller)
    }
}

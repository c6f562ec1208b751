//! The table `bookmarks`, its request and response types, and its row policy.

use groundwork_auth::Caller;
use groundwork_core::{
    Change, FieldErrors, Listable, NullableChange, Text, Timestamp, Uuid, Validate, base, common_base,
    text::UriFormat,
};
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
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was deleted, or null.
    pub deleted_at: Option<Timestamp>,
    /// The user who owns it.
    pub owner_id: Uuid,
    /// The URL, unique for each owner.
    #[schema(example = "https://example.org")]
    pub url: String,
    /// The title.
    #[schema(example = "An example")]
    pub title: String,
    /// A note.
    pub note: Option<String>,
    /// Tags, separated by spaces.
    #[schema(example = "examples reading")]
    pub tags: String,
    /// Whether the bookmark is pinned.
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

/// The table and its indexes in their first version. Never changes: a later change is another migration.
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

/// The URL of a bookmark.
pub type Url = Text<1, 2000, UriFormat>;
/// What a bookmark is about.
pub type Title = Text<1, 200>;
/// A note on a bookmark.
pub type Note = Text<1, 2000>;
/// Words to find a bookmark by, with spaces between.
pub type Tags = Text<0, 200>;

/// A new bookmark.
#[derive(Clone, Debug, Deserialize, ToSchema, DeriveIntoActiveModel)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"url": "https://example.org", "title": "An example", "tags": "examples reading"}))]
pub struct NewBookmark {
    /// The URL, unique for each owner.
    pub url: Url,
    /// The title.
    pub title: Title,
    /// A note.
    #[serde(default)]
    pub note: NullableChange<Note>,
    /// Tags, separated by spaces.
    #[serde(default)]
    pub tags: Tags,
    /// Whether the bookmark is pinned.
    #[serde(default)]
    pub pinned: bool,
}

/// A change of a bookmark. An absent field stays as it is. A field that is not in the request stays as it is.
#[derive(Clone, Debug, Default, Deserialize, ToSchema, DeriveIntoActiveModel)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"title": "An example", "pinned": true}))]
pub struct BookmarkPatch {
    /// The URL, unique for each owner.
    #[serde(default)]
    pub url: Change<Url>,
    /// The title.
    #[serde(default)]
    pub title: Change<Title>,
    /// A note on it, or null for none.
    #[serde(default)]
    pub note: NullableChange<Note>,
    /// Tags, separated by spaces.
    #[serde(default)]
    pub tags: Change<Tags>,
    /// Whether the bookmark is pinned.
    #[serde(default)]
    pub pinned: Change<bool>,
}

impl Validate for NewBookmark {
    fn validate(&self, errors: &mut FieldErrors) {
        self.title.check("title", errors);
    }
}

impl Validate for BookmarkPatch {
    fn validate(&self, errors: &mut FieldErrors) {
        if let Some(title) = self.title.value() {
            title.check("title", errors);
        }
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

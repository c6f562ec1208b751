//! What clients may do with the tables.

use messenger_auth::{Caller, Group, Groups};
use messenger_web::{Resource, Rows};

use crate::bookmark::{BookmarkPatch, Column, Entity, Model, NewBookmark};

/// What users may do.
pub const GROUPS: Groups = Groups(&[Group {
    name: "regular",
    scopes: &["bookmarks:read", "bookmarks:write"],
}]);

impl Resource for Entity {
    type Create = NewBookmark;
    type Patch = BookmarkPatch;
    type Output = Model;
    const NAME: &'static str = "bookmark";
    const PATH: &'static str = "/bookmarks";
    const SCOPES: (&'static str, &'static str) = ("bookmarks:read", "bookmarks:write");
    fn rows(caller: &Caller) -> Rows<Self> {
        Rows::own(Column::OwnerId, caller)
    }
}

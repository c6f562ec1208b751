//! The resource `entry`: an entry belongs to the owner of its notebook.

use groundwork_auth::Caller;
use groundwork_core::{Change, FieldErrors, Listable, Timestamp, Uuid, Validate, base, common_base};
use groundwork_web::{Resource, RowPolicy};
use sea_orm::{Condition, DeriveIntoActiveModel, QuerySelect, QueryTrait, entity::prelude::*};
use sea_orm_migration::{
    schema::{text, uuid},
    sea_query::{ForeignKey, IndexCreateStatement, TableCreateStatement},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::notebook;

#[sea_orm::compact_model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, ToSchema)]
#[sea_orm(table_name = "entries")]
#[schema(as = EntryView)]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
    pub notebook_id: Uuid,
    pub text: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

common_base!();

impl Listable for Entity {
    const FIELDS: &'static [Column] = &[Column::Text];
}

pub fn table_v1() -> (TableCreateStatement, Vec<IndexCreateStatement>) {
    let mut notebook = ForeignKey::create()
        .name("fk_entries_notebook")
        .from("entries", "notebook_id")
        .to("notebooks", "id")
        .take();
    let table = base::table_v1("entries")
        .col(uuid("notebook_id"))
        .col(text("text"))
        .foreign_key(&mut notebook)
        .take();
    (table, Vec::new())
}

#[derive(Clone, Debug, Deserialize, ToSchema, DeriveIntoActiveModel)]
#[serde(deny_unknown_fields)]
pub struct NewEntry {
    pub notebook_id: Uuid,
    pub text: String,
}

#[derive(Clone, Debug, Deserialize, ToSchema, DeriveIntoActiveModel)]
#[serde(deny_unknown_fields)]
pub struct EntryPatch {
    #[serde(default)]
    pub notebook_id: Change<Uuid>,
    #[serde(default)]
    pub text: Change<String>,
}

impl Validate for NewEntry {
    fn validate(&self, _: &mut FieldErrors) {}
}

impl Validate for EntryPatch {
    fn validate(&self, _: &mut FieldErrors) {}
}

impl Resource for Entity {
    type Create = NewEntry;
    type Patch = EntryPatch;
    type Output = Model;
    const NAME: &'static str = "entry";
    const PATH: &'static str = "/entries";
    const SCOPES: (&'static str, &'static str) = ("entries:read", "entries:write");
    fn policy(caller: &Caller) -> RowPolicy<Self> {
        let own = notebook::Entity::find()
            .select_only()
            .column(notebook::Column::Id)
            .filter(notebook::Column::OwnerId.eq(caller.user_id))
            .filter(notebook::Column::DeletedAt.is_null());
        RowPolicy::matching(Condition::all(), Column::NotebookId.in_subquery(own.into_query()).into())
    }
}

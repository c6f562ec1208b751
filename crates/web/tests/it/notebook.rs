//! The resource `notebook`.

use groundwork_auth::Caller;
use groundwork_core::{
    Change, FieldErrors, Listable, NullableChange, Timestamp, Uuid, Validate, base, common_base,
};
use groundwork_web::{Resource, RowPolicy};
use sea_orm::{DeriveIntoActiveModel, entity::prelude::*};
use sea_orm_migration::{
    schema::{text, uuid_null},
    sea_query::{IndexCreateStatement, TableCreateStatement},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[sea_orm::compact_model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, ToSchema)]
#[sea_orm(table_name = "notebooks")]
#[schema(as = NotebookView)]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
    pub owner_id: Option<Uuid>,
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
    (base::table_v1("notebooks").col(uuid_null("owner_id")).col(text("text")).take(), Vec::new())
}

#[derive(Clone, Debug, Deserialize, ToSchema, DeriveIntoActiveModel)]
#[serde(deny_unknown_fields)]
pub struct NewNotebook {
    pub text: String,
}

#[derive(Clone, Debug, Deserialize, ToSchema, DeriveIntoActiveModel)]
#[serde(deny_unknown_fields)]
pub struct NotebookPatch {
    #[serde(default)]
    pub text: Change<String>,
    #[serde(default)]
    pub owner_id: NullableChange<Uuid>,
}

impl Validate for NewNotebook {
    fn validate(&self, _: &mut FieldErrors) {}
}

impl Validate for NotebookPatch {
    fn validate(&self, _: &mut FieldErrors) {}
}

/// May change everybody's notebooks.
pub const ADMINISTRATOR: u128 = 99;

impl Resource for Entity {
    type Create = NewNotebook;
    type Patch = NotebookPatch;
    type Output = Model;
    const NAME: &'static str = "notebook";
    const PATH: &'static str = "/notebooks";
    const SCOPES: (&'static str, &'static str) = ("notebooks:read", "notebooks:write");
    fn policy(caller: &Caller) -> RowPolicy<Self> {
        if caller.user_id == Uuid::from_u128(ADMINISTRATOR) {
            return RowPolicy::all();
        }
        RowPolicy::own(Column::OwnerId, caller)
    }
}

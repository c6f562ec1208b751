//! The resource `page`.

use groundwork_auth::Caller;
use groundwork_core::{Change, FieldErrors, Listable, Timestamp, Uuid, Validate, base, common_base};
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
#[sea_orm(table_name = "pages")]
#[schema(as = PageView)]
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
    (base::table_v1("pages").col(uuid_null("owner_id")).col(text("text")).take(), Vec::new())
}

#[derive(Clone, Debug, Deserialize, ToSchema, DeriveIntoActiveModel)]
#[serde(deny_unknown_fields)]
pub struct NewPage {
    pub text: String,
}

#[derive(Clone, Debug, Deserialize, ToSchema, DeriveIntoActiveModel)]
#[serde(deny_unknown_fields)]
pub struct PagePatch {
    #[serde(default)]
    pub text: Change<String>,
}

impl Validate for NewPage {
    fn validate(&self, _: &mut FieldErrors) {}
}

impl Validate for PagePatch {
    fn validate(&self, _: &mut FieldErrors) {}
}

impl Resource for Entity {
    type Create = NewPage;
    type Patch = PagePatch;
    type Output = Model;
    const NAME: &'static str = "page";
    const PATH: &'static str = "/pages";
    const SCOPES: (&'static str, &'static str) = ("pages:read", "pages:write");
    fn policy(caller: &Caller) -> RowPolicy<Self> {
        RowPolicy::public_own(Column::OwnerId, caller)
    }
}

//! Create, read, update and delete over HTTP, from one declaration.
//!
//! A [`Resource`] names its types, its scopes and the rows that a caller may see and change. [`Crud`] mounts and documents
//! the operations: list with filters, order, search and pages; get, create, bulk create, update, delete (soft) and restore. A
//! resource cannot be mounted without a [`RowPolicy`], and no operation returns deleted rows or rows of others.
//!
//! ```
//! # mod note {
//! # use groundwork_core::{FieldErrors, Listable, Timestamp, Uuid, Validate, common_base};
//! # use sea_orm::{DeriveIntoActiveModel, entity::prelude::*};
//! # #[sea_orm::compact_model]
//! # #[derive(Clone, Debug, PartialEq, DeriveEntityModel, serde::Serialize, utoipa::ToSchema)]
//! # #[sea_orm(table_name = "notes")]
//! # pub struct Model {
//! #     #[sea_orm(primary_key, auto_increment = false)]
//! #     pub id: Uuid,
//! #     pub created_at: Timestamp,
//! #     pub updated_at: Timestamp,
//! #     pub deleted_at: Option<Timestamp>,
//! #     pub owner_id: Uuid,
//! #     pub title: String,
//! # }
//! # #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
//! # pub enum Relation {}
//! # impl ActiveModelBehavior for ActiveModel {}
//! # common_base!();
//! # impl Listable for Entity {
//! #     const FIELDS: &'static [Column] = &[Column::Title];
//! # }
//! # #[derive(serde::Deserialize, utoipa::ToSchema, DeriveIntoActiveModel)]
//! # pub struct NewNote { pub title: String }
//! # #[derive(serde::Deserialize, utoipa::ToSchema, DeriveIntoActiveModel)]
//! # pub struct NotePatch { #[serde(default)] pub title: groundwork_core::Change<String> }
//! # impl Validate for NewNote { fn validate(&self, _: &mut FieldErrors) {} }
//! # impl Validate for NotePatch { fn validate(&self, _: &mut FieldErrors) {} }
//! use groundwork_auth::Caller;
//! use groundwork_web::{Resource, RowPolicy};
//!
//! impl Resource for Entity {
//!     type Create = NewNote;
//!     type Patch = NotePatch;
//!     type Output = Model;
//!     const NAME: &'static str = "note";
//!     const PATH: &'static str = "/notes";
//!     const SCOPES: (&'static str, &'static str) = ("notes:read", "notes:write");
//!     fn policy(caller: &Caller) -> RowPolicy<Self> {
//!         RowPolicy::own(Column::OwnerId, caller)
//!     }
//! }
//! # }
//!
//! let mut routes = groundwork_web::Routes::new();
//! groundwork_web::Crud::<note::Entity>::mount(routes.prefix("/api/v1"));
//! assert!(routes.codes().iter().any(|code| code.name == "precondition_failed"));
//! ```

mod bulk;
mod controller;
mod handlers;
mod policy;
mod readers;

use std::{
    future::{Future, ready},
    marker::PhantomData,
};

use groundwork_auth::{Caller, Scope};
use groundwork_core::{
    Code, Listable, Result, Tx, Validate,
    error::codes,
    sea_orm::{EntityTrait, IntoActiveModel},
};
use serde::{Serialize, de::DeserializeOwned};
use utoipa::ToSchema;

pub use bulk::{Bulk, BulkOf, MAX_BULK};
pub use handlers::Crud;
pub use policy::RowPolicy;
pub use readers::{Readers, owner_of};

/// A row of a resource.
pub type RowOf<R> = <R as EntityTrait>::Model;
/// A row of a resource, to be written.
pub type NewRowOf<R> = <R as EntityTrait>::ActiveModel;
/// A column of a resource.
pub type ColumnOf<R> = <R as EntityTrait>::Column;

/// A table whose rows clients list, create, update and delete. Implemented for its entity.
pub trait Resource: Listable {
    /// The input of a create.
    type Create: DeserializeOwned
        + ToSchema
        + Validate
        + IntoActiveModel<NewRowOf<Self>>
        + Send
        + Sync
        + 'static;
    /// The fields of a change: each a [`Change`](groundwork_core::Change), or for a nullable column a
    /// [`NullableChange`](groundwork_core::NullableChange).
    type Patch: DeserializeOwned
        + ToSchema
        + Validate
        + IntoActiveModel<NewRowOf<Self>>
        + Send
        + Sync
        + 'static;
    /// A row as clients see it.
    type Output: From<RowOf<Self>> + Serialize + ToSchema + 'static;

    /// The name in the singular: `bookmark`. Events are named `bookmark.created` and so on.
    const NAME: &'static str;
    /// The path: `/bookmarks`. Its last segment is the tag in the document and the prefix of the operation ids.
    const PATH: &'static str;
    /// The scopes for reading and for changing: `("bookmarks:read", "bookmarks:write")`.
    const SCOPES: (&'static str, &'static str);
    /// The code of the error for a unique value that is in use.
    const CONFLICT: Code = codes::CONFLICT;
    /// Whether updates and deletes require `If-Match`.
    const REQUIRE_IF_MATCH: bool = false;
    /// The codes that the hooks below refuse with, for the document.
    const ERRORS: &'static [Code] = &[];

    /// The rows that the caller may see and change.
    fn policy(caller: &Caller) -> RowPolicy<Self>;

    /// Called before a row is created. May change the row, or refuse it.
    fn before_create(
        _tx: &Tx,
        _caller: &Caller,
        _row: &mut NewRowOf<Self>,
    ) -> impl Future<Output = Result<()>> + Send {
        ready(Ok(()))
    }

    /// Called before a row is updated. May change the new row, or refuse it.
    fn before_update(
        _tx: &Tx,
        _caller: &Caller,
        _old: &RowOf<Self>,
        _new: &mut NewRowOf<Self>,
    ) -> impl Future<Output = Result<()>> + Send {
        ready(Ok(()))
    }

    /// Called before a row is deleted. May refuse it.
    fn before_delete(
        _tx: &Tx,
        _caller: &Caller,
        _row: &RowOf<Self>,
    ) -> impl Future<Output = Result<()>> + Send {
        ready(Ok(()))
    }
}

/// The scope for reading a resource.
#[derive(Clone, Copy, Debug)]
pub struct Reading<R>(PhantomData<R>);

/// The scope for writing a resource.
#[derive(Clone, Copy, Debug)]
pub struct Writing<R>(PhantomData<R>);

impl<R: Resource> Scope for Reading<R> {
    const NAME: &'static str = R::SCOPES.0;
    const DESCRIPTION: &'static str = "List and read them";
}

impl<R: Resource> Scope for Writing<R> {
    const NAME: &'static str = R::SCOPES.1;
    const DESCRIPTION: &'static str = "Create, update, delete and restore them";
}

//! Create, read, update and delete over HTTP, from one declaration.
//!
//! A [`Resource`] names its types, its scopes and whose rows a caller may see and change; [`Crud`] mounts and documents
//! the rest: a list with filters, order, search and pages, get, create, bulk create, patch, soft delete and restore. It
//! can't be mounted without saying whose rows they are, and deleted and foreign rows are out by construction.
//!
//! ```
//! # mod note {
//! # use groundwork_core::{Faults, Listable, Timestamp, Uuid, Validate, common_base};
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
//! # pub struct NotePatch { #[serde(default)] #[schema(value_type = String)] pub title: Option<String> }
//! # impl Validate for NewNote { fn validate(&self, _: &mut Faults) {} }
//! # impl Validate for NotePatch { fn validate(&self, _: &mut Faults) {} }
//! use groundwork_auth::Caller;
//! use groundwork_web::{Resource, Rows};
//!
//! impl Resource for Entity {
//!     type Create = NewNote;
//!     type Patch = NotePatch;
//!     type Output = Model;
//!     const NAME: &'static str = "note";
//!     const PATH: &'static str = "/notes";
//!     const SCOPES: (&'static str, &'static str) = ("notes:read", "notes:write");
//!     fn rows(caller: &Caller) -> Rows<Self> {
//!         Rows::own(Column::OwnerId, caller)
//!     }
//! }
//! # }
//!
//! let mut routes = groundwork_web::Routes::new();
//! groundwork_web::Crud::<note::Entity>::mount(routes.prefix("/api/v1"));
//! assert!(routes.codes().iter().any(|code| code.name == "precondition_failed"));
//! ```

use std::{
    borrow::Cow,
    future::{Future, ready},
    marker::PhantomData,
};

use actix_web::web::Data;
use groundwork_auth::{Caller, Scope};
use groundwork_core::{
    Code, Controller, Db, Error, Faults, Listable, Page, Repository, Result, Tx, Uuid, Validate,
    error::codes,
    events::{self, NewEvent},
    sea_orm::{
        ActiveModelTrait, ActiveValue, ColumnTrait, Condition, EntityTrait, IntoActiveModel, Iterable, Value,
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Ref, RefOr, Schema,
        schema::{ArrayBuilder, ObjectBuilder},
    },
};

use crate::{
    Body, Created, ETagged, IdPath, IfMatch, Json, List, NoContent, Once, Path, Problem, Reply, Routes,
    Scoped, etag::etag_of,
};

/// A row of a resource.
pub type RowOf<R> = <R as EntityTrait>::Model;
/// A row of a resource to write.
pub type NewRowOf<R> = <R as EntityTrait>::ActiveModel;
/// A column of a resource.
pub type ColumnOf<R> = <R as EntityTrait>::Column;

/// The most items of a bulk create.
pub const MAX_BULK: usize = 100;

/// A table whose rows clients list, make, change and delete. Implemented for its entity.
pub trait Resource: Listable {
    /// What one is made from.
    type Create: DeserializeOwned
        + ToSchema
        + Validate
        + IntoActiveModel<NewRowOf<Self>>
        + Send
        + Sync
        + 'static;
    /// What one is changed by: each field an `Option`, or for a nullable column a [`Patch`](groundwork_core::Patch).
    type Patch: DeserializeOwned
        + ToSchema
        + Validate
        + IntoActiveModel<NewRowOf<Self>>
        + Send
        + Sync
        + 'static;
    /// What one looks like.
    type Output: From<RowOf<Self>> + Serialize + ToSchema + 'static;

    /// What one is called: `bookmark`. Events are `bookmark.created` and so on.
    const NAME: &'static str;
    /// Where they are: `/bookmarks`. Its last part is the tag in the document and begins the names of the operations.
    const PATH: &'static str;
    /// The scopes for reading and for changing: `("bookmarks:read", "bookmarks:write")`.
    const SCOPES: (&'static str, &'static str);
    /// The code of the error where a unique value is in use.
    const CONFLICT: Code = codes::CONFLICT;
    /// Whether a change has to say which state it has seen (`If-Match`).
    const REQUIRE_IF_MATCH: bool = false;
    /// What the hooks below refuse, for the document.
    const ERRORS: &'static [Code] = &[];

    /// Whose rows the caller may see and change.
    fn rows(caller: &Caller) -> Rows<Self>;

    /// Called with a row about to be made; may change it, or refuse it.
    fn before_create(
        _tx: &Tx,
        _caller: &Caller,
        _row: &mut NewRowOf<Self>,
    ) -> impl Future<Output = Result<()>> + Send {
        ready(Ok(()))
    }

    /// Called with a row and what it is about to become; may change that, or refuse it.
    fn before_update(
        _tx: &Tx,
        _caller: &Caller,
        _old: &RowOf<Self>,
        _new: &mut NewRowOf<Self>,
    ) -> impl Future<Output = Result<()>> + Send {
        ready(Ok(()))
    }

    /// Called with a row about to be deleted; may refuse it.
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

/// The scope for changing a resource.
#[derive(Clone, Copy, Debug)]
pub struct Writing<R>(PhantomData<R>);

impl<R: Resource> Scope for Reading<R> {
    const NAME: &'static str = R::SCOPES.0;
    const DESCRIPTION: &'static str = "Read them";
}

impl<R: Resource> Scope for Writing<R> {
    const NAME: &'static str = R::SCOPES.1;
    const DESCRIPTION: &'static str = "Make, change, delete and restore them";
}

/// Whose rows a caller may see and change, and what a row that they make is stamped with.
#[derive(Clone, Debug)]
pub struct Rows<E: EntityTrait> {
    readable: Condition,
    writable: Condition,
    stamp: Vec<(E::Column, Value)>,
}

impl<E: EntityTrait> Rows<E> {
    /// The caller's own: those that have their id in `owner`, which is set in the rows that they make.
    pub fn own(owner: ColumnOf<E>, caller: &Caller) -> Self {
        let own: Condition = owner.eq(caller.user_id).into();
        Self { readable: own.clone(), writable: own, stamp: vec![(owner, caller.user_id.into())] }
    }

    /// Everybody sees all of them; the caller changes their own.
    pub fn public_own(owner: ColumnOf<E>, caller: &Caller) -> Self {
        Self { readable: Condition::all(), ..Self::own(owner, caller) }
    }

    /// All of them, for everybody who has the scopes.
    pub fn all() -> Self {
        Self { readable: Condition::all(), writable: Condition::all(), stamp: Vec::new() }
    }

    /// Those that match, of which the caller changes those that also match `writable`.
    pub fn matching(readable: Condition, writable: Condition) -> Self {
        Self { writable: Condition::all().add(readable.clone()).add(writable), readable, stamp: Vec::new() }
    }

    /// Sets `column` in the rows that the caller makes.
    #[must_use]
    pub fn stamp(mut self, column: ColumnOf<E>, value: impl Into<Value>) -> Self {
        self.stamp.push((column, value.into()));
        self
    }
}

/// The resource's rows as the caller may see or change them.
struct View<R: Resource>(Condition, PhantomData<R>);

impl<R: Resource> Repository for View<R> {
    type Entity = R;

    fn row_rule(&self) -> Condition {
        self.0.clone()
    }
}

/// The controller of a resource for one request.
struct Session<'a, R: Resource> {
    caller: &'a Caller,
    rows: Rows<R>,
    view: View<R>,
    if_match: IfMatch,
}

impl<'a, R: Resource> Session<'a, R> {
    fn reading(caller: &'a Caller) -> Self {
        let rows = R::rows(caller);
        let view = View(rows.readable.clone(), PhantomData);
        Self { caller, rows, view, if_match: IfMatch::default() }
    }

    fn writing(caller: &'a Caller, if_match: IfMatch) -> Self {
        let rows = R::rows(caller);
        let view = View(rows.writable.clone(), PhantomData);
        Self { caller, rows, view, if_match }
    }

    /// A row that can be seen but not changed is forbidden; one that can't be seen is not found.
    async fn explain(&self, tx: &Tx, id: Uuid, error: Error) -> Error {
        let seen = View::<R>(self.rows.readable.clone(), PhantomData).get(tx, id).await;
        match seen {
            Ok(Some(_)) if error.code() == codes::NOT_FOUND => {
                codes::FORBIDDEN.error(format!("this {} isn't yours to change", R::NAME))
            }
            _ => error,
        }
    }

    async fn note(&self, tx: &Tx, verb: &str, row: &RowOf<R>) -> Result<()> {
        let event = NewEvent::new(format!("{}.{verb}", R::NAME)).by(self.caller.user_id);
        events::append(tx, event.with(json!({"id": R::id_of(row)}))).await
    }
}

impl<R: Resource> Controller for Session<'_, R> {
    type Repository = View<R>;
    type Create = R::Create;
    type Patch = R::Patch;

    const NAME: &'static str = R::NAME;
    const CONFLICT: Code = R::CONFLICT;

    fn repository(&self) -> &View<R> {
        &self.view
    }

    fn new_row(&self, input: R::Create) -> NewRowOf<R> {
        let mut row = input.into_active_model();
        for (column, value) in &self.rows.stamp {
            row.set(*column, value.clone());
        }
        row
    }

    fn apply(&self, patch: R::Patch, row: &mut NewRowOf<R>) {
        let patch = patch.into_active_model();
        for column in ColumnOf::<R>::iter() {
            if let ActiveValue::Set(value) = patch.get(column) {
                row.set(column, value);
            }
        }
    }

    async fn before_create(&self, tx: &Tx, row: &mut NewRowOf<R>) -> Result<()> {
        R::before_create(tx, self.caller, row).await
    }

    async fn after_create(&self, tx: &Tx, row: &RowOf<R>) -> Result<()> {
        self.note(tx, "created", row).await
    }

    async fn before_update(&self, tx: &Tx, old: &RowOf<R>, new: &mut NewRowOf<R>) -> Result<()> {
        self.if_match.check(&etag_of::<R>(old), R::REQUIRE_IF_MATCH)?;
        R::before_update(tx, self.caller, old, new).await
    }

    async fn after_update(&self, tx: &Tx, _: &RowOf<R>, new: &RowOf<R>) -> Result<()> {
        self.note(tx, "updated", new).await
    }

    async fn before_delete(&self, tx: &Tx, row: &RowOf<R>) -> Result<()> {
        self.if_match.check(&etag_of::<R>(row), R::REQUIRE_IF_MATCH)?;
        R::before_delete(tx, self.caller, row).await
    }

    async fn after_delete(&self, tx: &Tx, row: &RowOf<R>) -> Result<()> {
        self.note(tx, "deleted", row).await
    }

    async fn after_restore(&self, tx: &Tx, row: &RowOf<R>) -> Result<()> {
        self.note(tx, "restored", row).await
    }
}

/// Mounts a [`Resource`].
#[derive(Clone, Copy, Debug)]
pub struct Crud<R>(PhantomData<R>);

impl<R: Resource> Crud<R> {
    /// Adds the resource's operations to the table, below the table's prefix.
    pub fn mount(routes: &mut Routes) {
        let (name, path) = (R::NAME, R::PATH);
        let tag = path.rsplit('/').next().unwrap_or(path);
        let one = format!("{path}/{{id}}");
        let id = |verb: &str| format!("{tag}_{verb}");
        let mark = |action: &str| json!({"name": name, "path": path, "action": action});
        routes.tag(tag, format!("Every {name}: list, make, change, delete, restore"));
        routes
            .get(path, id("list"), format!("List every {name}, with filters"), list::<R>)
            .extension("x-resource", mark("list"));
        routes
            .post(path, id("create"), format!("Make a {name}"), create::<R>)
            .errors(&[R::CONFLICT])
            .errors(R::ERRORS)
            .extension("x-resource", mark("create"));
        routes
            .post(
                &format!("{path}/bulk"),
                id("create_bulk"),
                format!("Make several of {tag}"),
                create_bulk::<R>,
            )
            .describe("At most 100, all or none; each faulty item is named.")
            .errors(&[R::CONFLICT])
            .errors(R::ERRORS)
            .extension("x-resource", mark("create_bulk"));
        routes
            .get(&one, id("get"), format!("One {name}"), get::<R>)
            .errors(&[codes::NOT_FOUND])
            .extension("x-resource", mark("get"));
        let changing = [codes::NOT_FOUND, codes::FORBIDDEN, R::CONFLICT];
        let required: &[Code] = if R::REQUIRE_IF_MATCH { &[codes::PRECONDITION_REQUIRED] } else { &[] };
        routes
            .patch(&one, id("update"), format!("Change a {name}"), update::<R>)
            .describe("A field that isn't mentioned stays as it is; null clears it.")
            .errors(&changing)
            .errors(required)
            .errors(R::ERRORS)
            .extension("x-resource", mark("update"));
        routes
            .delete(&one, id("delete"), format!("Delete a {name}"), delete::<R>)
            .describe("A soft delete: it can be restored.")
            .errors(&changing)
            .errors(required)
            .errors(R::ERRORS)
            .extension("x-resource", mark("delete"));
        routes
            .post(
                &format!("{one}/restore"),
                id("restore"),
                format!("Bring a deleted {name} back"),
                restore::<R>,
            )
            .errors(&changing)
            .extension("x-resource", mark("restore"));
    }
}

type Shown<R> = ETagged<Json<<R as Resource>::Output>>;

fn shown<R: Resource>(row: RowOf<R>) -> Shown<R> {
    ETagged { etag: etag_of::<R>(&row), answer: Json(row.into()) }
}

fn made<R: Resource>(row: RowOf<R>) -> ETagged<Created<R::Output>> {
    ETagged { etag: etag_of::<R>(&row), answer: Created(row.into()) }
}

async fn list<R: Resource>(
    caller: Scoped<Reading<R>>,
    db: Data<Db>,
    list: List<R>,
) -> Result<Json<Page<R::Output>>, Problem> {
    let page = Session::<R>::reading(&caller).list(db.reader(), &list.query, list.request).await?;
    Ok(Json(page.map(R::Output::from)))
}

async fn get<R: Resource>(
    caller: Scoped<Reading<R>>,
    db: Data<Db>,
    path: Path<IdPath>,
) -> Result<Shown<R>, Problem> {
    Ok(shown::<R>(Session::<R>::reading(&caller).get(db.reader(), path.0.id).await?))
}

async fn create<R: Resource>(
    caller: Scoped<Writing<R>>,
    db: Data<Db>,
    once: Once,
    body: Body<R::Create>,
) -> Result<Reply<ETagged<Created<R::Output>>>, Problem> {
    let session = Session::<R>::writing(&caller, IfMatch::default());
    once.run(&db, async |tx| Ok(made::<R>(session.create(tx, body.0).await?))).await
}

async fn create_bulk<R: Resource>(
    caller: Scoped<Writing<R>>,
    db: Data<Db>,
    once: Once,
    body: Body<Bulk<R::Create>>,
) -> Result<Reply<Created<BulkOf<R::Output>>>, Problem> {
    let session = Session::<R>::writing(&caller, IfMatch::default());
    let work = async |tx: &Tx| {
        let mut items = Vec::new();
        for (index, item) in body.0.items.into_iter().enumerate() {
            let made = session.create(tx, item).await.map_err(|error| at_item(error, index))?;
            items.push(made.into());
        }
        Ok(Created(BulkOf { items }))
    };
    once.run(&db, work).await
}

async fn update<R: Resource>(
    caller: Scoped<Writing<R>>,
    db: Data<Db>,
    path: Path<IdPath>,
    if_match: IfMatch,
    body: Body<R::Patch>,
) -> Result<Shown<R>, Problem> {
    let session = Session::<R>::writing(&caller, if_match);
    let tx = db.begin().await?;
    match session.update(&tx, path.0.id, body.0).await {
        Ok(row) => {
            tx.commit().await?;
            Ok(shown::<R>(row))
        }
        Err(error) => Err(session.explain(&tx, path.0.id, error).await.into()),
    }
}

async fn delete<R: Resource>(
    caller: Scoped<Writing<R>>,
    db: Data<Db>,
    path: Path<IdPath>,
    if_match: IfMatch,
) -> Result<NoContent, Problem> {
    let session = Session::<R>::writing(&caller, if_match);
    let tx = db.begin().await?;
    match session.delete(&tx, path.0.id).await {
        Ok(()) => {
            tx.commit().await?;
            Ok(NoContent)
        }
        Err(error) => Err(session.explain(&tx, path.0.id, error).await.into()),
    }
}

async fn restore<R: Resource>(
    caller: Scoped<Writing<R>>,
    db: Data<Db>,
    path: Path<IdPath>,
    once: Once,
) -> Result<Reply<Shown<R>>, Problem> {
    let session = Session::<R>::writing(&caller, IfMatch::default());
    once.run(&db, async |tx| Ok(shown::<R>(session.restore(tx, path.0.id).await?))).await
}

/// The error of one item of several, with its place.
fn at_item(error: Error, index: usize) -> Error {
    let Error::Refused(refusal) = error else {
        return error;
    };
    let place = format!("items.{index}");
    let mut faults = Faults::new();
    for fault in refusal.faults {
        faults.nest(&place, fault.into());
    }
    if faults.is_empty() {
        faults.add(place, refusal.code.name, refusal.detail.clone());
    }
    refusal.code.error(refusal.detail).with_faults(faults)
}

/// Several to make.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bulk<T> {
    /// From 1 to 100.
    pub items: Vec<T>,
}

/// Several that were made.
#[derive(Debug, Serialize)]
pub struct BulkOf<T> {
    /// In the order in which they were given.
    pub items: Vec<T>,
}

impl<T: Validate> Validate for Bulk<T> {
    fn validate(&self, faults: &mut Faults) {
        for (index, item) in self.items.iter().enumerate() {
            let mut of_item = Faults::new();
            item.validate(&mut of_item);
            faults.nest(&format!("items.{index}"), of_item);
        }
    }
}

fn items<T: ToSchema>() -> ArrayBuilder {
    ArrayBuilder::new().items(Ref::from_schema_name(T::name()))
}

fn push<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}

impl<T: ToSchema> PartialSchema for Bulk<T> {
    fn schema() -> RefOr<Schema> {
        let items = items::<T>().min_items(Some(1)).max_items(Some(MAX_BULK));
        ObjectBuilder::new()
            .description(Some("Several to make, all or none."))
            .property("items", items)
            .required("items")
            .additional_properties(Some(utoipa::openapi::schema::AdditionalProperties::<Schema>::FreeForm(
                false,
            )))
            .into()
    }
}

impl<T: ToSchema> ToSchema for Bulk<T> {
    fn name() -> Cow<'static, str> {
        format!("Bulk_{}", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        push::<T>(schemas);
    }
}

impl<T: ToSchema> PartialSchema for BulkOf<T> {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .description(Some("Several that were made, in the order in which they were given."))
            .property("items", items::<T>())
            .required("items")
            .into()
    }
}

impl<T: ToSchema> ToSchema for BulkOf<T> {
    fn name() -> Cow<'static, str> {
        format!("BulkOf_{}", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        push::<T>(schemas);
    }
}

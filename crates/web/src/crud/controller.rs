//! The rules of a resource for one request.

use std::marker::PhantomData;

use groundwork_auth::Caller;
use groundwork_core::{
    Code, Controller, Error, Repository, Result, Tx, Uuid,
    error::codes,
    events::{self, NewEvent, Subject},
    sea_orm::{ActiveModelTrait, ActiveValue, Condition, IntoActiveModel, Iterable},
};

use super::{
    ColumnOf, NewRowOf, Resource, RowOf, RowPolicy,
    readers::{owner_column, owner_in},
};
use crate::{IfMatch, http::etag::etag_of};

/// The resource's rows as the caller may see or change them.
pub(super) struct View<R: Resource>(Condition, PhantomData<R>);

impl<R: Resource> Repository for View<R> {
    type Entity = R;

    fn row_rule(&self) -> Condition {
        self.0.clone()
    }
}

/// The controller of a resource for one request.
pub(super) struct ResourceController<'a, R: Resource> {
    caller: &'a Caller,
    rows: RowPolicy<R>,
    view: View<R>,
    if_match: IfMatch,
    owner: Option<ColumnOf<R>>,
}

impl<'a, R: Resource> ResourceController<'a, R> {
    pub(super) fn reading(caller: &'a Caller) -> Self {
        let rows = R::policy(caller);
        let view = View(rows.readable.clone(), PhantomData);
        Self { caller, rows, view, if_match: IfMatch::default(), owner: None }
    }

    pub(super) fn writing(caller: &'a Caller, if_match: IfMatch) -> Self {
        let rows = R::policy(caller);
        let view = View(rows.writable.clone(), PhantomData);
        Self { caller, rows, view, if_match, owner: owner_column::<R>() }
    }

    /// Converts an error of changing the row `id`: a row that the caller may see but not change is
    /// `forbidden`, and one that the caller may not see is `not_found`.
    pub(super) async fn explain(&self, tx: &Tx, id: Uuid, error: Error) -> Error {
        if error.code() != codes::NOT_FOUND {
            return Self::explain_reference(error);
        }
        match View::<R>(self.rows.readable.clone(), PhantomData).get(tx, id).await {
            Ok(Some(_)) => codes::FORBIDDEN.error(format!("this {} is not yours to change", R::NAME)),
            _ => error,
        }
    }

    /// Converts an error of writing a row: a row that refers to a row that does not exist is `forbidden`.
    pub(super) fn explain_reference(error: Error) -> Error {
        if error.is_foreign_key_violation() { Self::not_yours() } else { error }
    }

    /// A change must leave a row that the caller may change (`WITH CHECK` in PostgreSQL's row-level security). Otherwise it
    /// could move a row to the parent of another user.
    async fn check(&self, tx: &Tx, row: &RowOf<R>) -> Result<()> {
        if self.view.get(tx, R::id_of(row)).await?.is_some() {
            return Ok(());
        }
        Err(Self::not_yours())
    }

    /// The error for a row that refers to a row that the caller may not use. It is the same if that row does not exist, so
    /// that it reveals nothing about the rows of others.
    fn not_yours() -> Error {
        codes::FORBIDDEN
            .error(format!("the {} refers to a resource that is not yours or does not exist", R::NAME))
    }

    fn owner_of(&self, row: &RowOf<R>) -> Option<Uuid> {
        self.owner.and_then(|column| owner_in::<R>(column, row))
    }

    /// Appends an event, which concerns the owner of the row.
    async fn note(&self, tx: &Tx, verb: &str, row: &RowOf<R>) -> Result<()> {
        let subject = Subject::new(R::NAME, R::id_of(row));
        let event = NewEvent::new(format!("{}.{verb}", R::NAME), subject).by(self.caller.user_id);
        events::append(tx, NewEvent { user_id: self.owner_of(row), ..event }).await
    }
}

impl<R: Resource> Controller for ResourceController<'_, R> {
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
        self.check(tx, row).await?;
        self.note(tx, "created", row).await
    }

    async fn before_update(&self, tx: &Tx, old: &RowOf<R>, new: &mut NewRowOf<R>) -> Result<()> {
        self.if_match.check(&etag_of::<R>(old), R::REQUIRE_IF_MATCH)?;
        R::before_update(tx, self.caller, old, new).await
    }

    async fn after_update(&self, tx: &Tx, old: &RowOf<R>, new: &RowOf<R>) -> Result<()> {
        self.check(tx, new).await?;
        // A former owner learns that the row is no longer theirs.
        if self.owner_of(old) != self.owner_of(new) {
            self.note(tx, "updated", old).await?;
        }
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
        self.check(tx, row).await?;
        self.note(tx, "restored", row).await
    }
}

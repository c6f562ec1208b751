//! The rules of one entity: validation, not-found and conflict errors, and hooks around each change.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/note.rs"));
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> groundwork_core::Result<()> {
//! # let (_folder, db) = open().await?;
//! use groundwork_core::{Controller, FieldErrors, Repository, Validate};
//! use sea_orm::ActiveValue::Set;
//!
//! #[derive(Clone)]
//! struct Title(String);
//!
//! impl Validate for Title {
//!     fn validate(&self, errors: &mut FieldErrors) {
//!         errors.length("title", &self.0, 1, 20);
//!     }
//! }
//!
//! struct NoteRules;
//!
//! impl Controller for NoteRules {
//!     type Repository = Notes;
//!     type Create = Title;
//!     type Patch = Title;
//!     const NAME: &'static str = "note";
//!
//!     fn repository(&self) -> &Notes {
//!         &Notes
//!     }
//!
//!     fn new_row(&self, title: Title) -> note::ActiveModel {
//!         note::ActiveModel { title: Set(title.0), ..Default::default() }
//!     }
//!
//!     fn apply(&self, title: Title, row: &mut note::ActiveModel) {
//!         row.title = Set(title.0);
//!     }
//! }
//!
//! let note = db.write(async |tx| NoteRules.create(tx, Title("One".into())).await).await?;
//! let update = async |tx: &_| NoteRules.update(tx, note.id, Title(String::new())).await;
//! assert_eq!(db.write(update).await.unwrap_err().code().name, "invalid");
//! db.write(async |tx| NoteRules.delete(tx, note.id).await).await?;
//! assert_eq!(NoteRules.get(db.reader(), note.id).await.unwrap_err().code().name, "not_found");
//! # Ok(())
//! # }
//! ```

use std::{
    future::{Future, ready},
    time::Duration,
};

use sea_orm::{ActiveModelTrait, ConnectionTrait, IntoActiveModel};
use uuid::Uuid;

use crate::{
    Code, CommonBase, CursorPage, CursorRequest, Error, ListQuery, Page, PageRequest, Repository, Result, Tx,
    Validate,
    db::conflict_as,
    error::codes,
    repository::{ActiveModel, Model},
};

/// A row of a controller's entity.
pub type Row<C> = Model<<C as Controller>::Repository>;
/// A row of a controller's entity to write.
pub type NewRow<C> = ActiveModel<<C as Controller>::Repository>;

type EntityOf<C> = <<C as Controller>::Repository as Repository>::Entity;

/// Create, read, update and delete with rules. A simple entity declares its types and how input becomes a row; other
/// rules go into hooks.
pub trait Controller: Sync {
    /// The repository of the rows.
    type Repository: Repository;
    /// The input of `create`.
    type Create: Validate + Send + Sync;
    /// The input of `update`.
    type Patch: Validate + Send + Sync;

    /// The entity's name in errors: `bookmark`.
    const NAME: &'static str;
    /// The error code for a unique value that is in use.
    const CONFLICT: Code = codes::CONFLICT;

    /// Returns the repository, limited to the rows that this caller may see and change.
    fn repository(&self) -> &Self::Repository;

    /// Converts `input` into a row. Id and times are added later.
    fn new_row(&self, input: Self::Create) -> NewRow<Self>;

    /// Sets the fields of `row` that `patch` changes, and no others.
    fn apply(&self, patch: Self::Patch, row: &mut NewRow<Self>);

    /// Runs before a row is inserted. May change the row or return an error.
    fn before_create(&self, _tx: &Tx, _row: &mut NewRow<Self>) -> impl Future<Output = Result<()>> + Send {
        ready(Ok(()))
    }

    /// Runs after a row was inserted.
    fn after_create(&self, _tx: &Tx, _row: &Row<Self>) -> impl Future<Output = Result<()>> + Send {
        ready(Ok(()))
    }

    /// Runs before a row is updated, with the old and the new row. May change the new row or return an error.
    fn before_update(
        &self,
        _tx: &Tx,
        _old: &Row<Self>,
        _new: &mut NewRow<Self>,
    ) -> impl Future<Output = Result<()>> + Send {
        ready(Ok(()))
    }

    /// Runs after a row was updated, with the old and the new row.
    fn after_update(
        &self,
        _tx: &Tx,
        _old: &Row<Self>,
        _new: &Row<Self>,
    ) -> impl Future<Output = Result<()>> + Send {
        ready(Ok(()))
    }

    /// Runs before a row is soft-deleted. May return an error.
    fn before_delete(&self, _tx: &Tx, _row: &Row<Self>) -> impl Future<Output = Result<()>> + Send {
        ready(Ok(()))
    }

    /// Runs after a row was soft-deleted.
    fn after_delete(&self, _tx: &Tx, _row: &Row<Self>) -> impl Future<Output = Result<()>> + Send {
        ready(Ok(()))
    }

    /// Runs after a row was restored.
    fn after_restore(&self, _tx: &Tx, _row: &Row<Self>) -> impl Future<Output = Result<()>> + Send {
        ready(Ok(()))
    }

    /// Creates a row. Errors: `invalid`, [`Self::CONFLICT`], and those of the hooks.
    fn create(&self, tx: &Tx, input: Self::Create) -> impl Future<Output = Result<Row<Self>>> + Send {
        async move {
            input.check()?;
            let mut row = self.new_row(input);
            self.before_create(tx, &mut row).await?;
            let row = self.repository().create(tx, row).await.map_err(conflict::<Self>)?;
            self.after_create(tx, &row).await?;
            Ok(row)
        }
    }

    /// Returns the row with that id. Errors: `not_found`.
    fn get<C: ConnectionTrait>(&self, conn: &C, id: Uuid) -> impl Future<Output = Result<Row<Self>>> + Send {
        async move { self.repository().get(conn, id).await?.ok_or_else(|| Error::not_found(Self::NAME)) }
    }

    /// Returns the row with that id and locks it until the transaction ends. Errors: `not_found`.
    fn lock(&self, tx: &Tx, id: Uuid) -> impl Future<Output = Result<Row<Self>>> + Send {
        async move { self.repository().lock(tx, id).await?.ok_or_else(|| Error::not_found(Self::NAME)) }
    }

    /// Returns a page of rows.
    fn list<C: ConnectionTrait>(
        &self,
        conn: &C,
        query: &ListQuery<<Self::Repository as Repository>::Entity>,
        page: PageRequest,
    ) -> impl Future<Output = Result<Page<Row<Self>>>> + Send {
        self.repository().list(conn, query, page)
    }

    /// Returns rows by cursor, newest first. Errors: `invalid` for a cursor of another list.
    fn list_by_cursor<C: ConnectionTrait>(
        &self,
        conn: &C,
        query: &ListQuery<<Self::Repository as Repository>::Entity>,
        request: &CursorRequest,
    ) -> impl Future<Output = Result<CursorPage<Row<Self>>>> + Send {
        self.repository().list_by_cursor(conn, Self::NAME, query, request)
    }

    /// Updates a row. Errors: `invalid`, `not_found`, [`Self::CONFLICT`], and those of the hooks.
    fn update(
        &self,
        tx: &Tx,
        id: Uuid,
        patch: Self::Patch,
    ) -> impl Future<Output = Result<Row<Self>>> + Send {
        async move {
            patch.check()?;
            let old = self.lock(tx, id).await?;
            let mut new = old.clone().into_active_model();
            self.apply(patch, &mut new);
            // Two changes within a microsecond, or by servers whose clocks disagree, are two states all the same.
            let later = EntityOf::<Self>::updated_at(&old) + Duration::from_micros(1);
            new.set(EntityOf::<Self>::UPDATED_AT, later.max(tx.now()).into());
            self.before_update(tx, &old, &mut new).await?;
            let changed = self.repository().update(tx, new).await.map_err(conflict::<Self>)?;
            let new = changed.ok_or_else(|| Error::not_found(Self::NAME))?;
            self.after_update(tx, &old, &new).await?;
            Ok(new)
        }
    }

    /// Soft-deletes a row. Errors: `not_found`, and those of the hooks.
    fn delete(&self, tx: &Tx, id: Uuid) -> impl Future<Output = Result<()>> + Send {
        async move {
            let row = self.lock(tx, id).await?;
            self.before_delete(tx, &row).await?;
            if !self.repository().soft_delete(tx, id).await? {
                return Err(Error::not_found(Self::NAME));
            }
            self.after_delete(tx, &row).await
        }
    }

    /// Restores a soft-deleted row. Errors: `not_found` if no deleted row has that id.
    fn restore(&self, tx: &Tx, id: Uuid) -> impl Future<Output = Result<Row<Self>>> + Send {
        async move {
            if !self.repository().restore(tx, id).await.map_err(conflict::<Self>)? {
                return Err(Error::not_found(&format!("deleted {}", Self::NAME)));
            }
            let row = self.get(tx, id).await?;
            self.after_restore(tx, &row).await?;
            Ok(row)
        }
    }
}

fn conflict<C: Controller + ?Sized>(error: Error) -> Error {
    conflict_as(error, || C::CONFLICT.error(format!("another {} has that value", C::NAME)))
}

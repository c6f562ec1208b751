//! The rules over one entity: validation, not-found and conflict errors, and hooks around each change.
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
//! let tx = db.begin().await?;
//! let note = NoteRules.create(&tx, Title("One".into())).await?;
//! let error = NoteRules.update(&tx, note.id, Title(String::new())).await.unwrap_err();
//! assert_eq!(error.code().name, "invalid");
//! NoteRules.delete(&tx, note.id).await?;
//! assert_eq!(NoteRules.get(&tx, note.id).await.unwrap_err().code().name, "not_found");
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

/// The rows of a controller's entity.
pub type Row<C> = Model<<C as Controller>::Repository>;
/// The rows to write of a controller's entity.
pub type NewRow<C> = ActiveModel<<C as Controller>::Repository>;

type EntityOf<C> = <<C as Controller>::Repository as Repository>::Entity;

/// Create, read, update and delete with rules. A plain entity gives its types, how input becomes a row, and
/// nothing more; a rule of its own goes into a hook.
pub trait Controller: Sync {
    /// Where the rows are.
    type Repository: Repository;
    /// What a new row is made from.
    type Create: Validate + Send + Sync;
    /// What a row is changed by.
    type Patch: Validate + Send + Sync;

    /// What one is called in an error: `bookmark`.
    const NAME: &'static str;
    /// The code of the error where a unique value is in use.
    const CONFLICT: Code = codes::CONFLICT;

    /// Where the rows are, as far as this caller may see and change them.
    fn repository(&self) -> &Self::Repository;

    /// The row that `input` asks for. Id and times are added later.
    fn new_row(&self, input: Self::Create) -> NewRow<Self>;

    /// Writes into `row` what `patch` changes, and nothing else.
    fn apply(&self, patch: Self::Patch, row: &mut NewRow<Self>);

    /// Called with a row about to be added; may change it, or refuse it.
    fn before_create(&self, _tx: &Tx, _row: &mut NewRow<Self>) -> impl Future<Output = Result<()>> + Send {
        ready(Ok(()))
    }

    /// Called with a row just added.
    fn after_create(&self, _tx: &Tx, _row: &Row<Self>) -> impl Future<Output = Result<()>> + Send {
        ready(Ok(()))
    }

    /// Called with a row and what it is about to become.
    fn before_update(
        &self,
        _tx: &Tx,
        _old: &Row<Self>,
        _new: &mut NewRow<Self>,
    ) -> impl Future<Output = Result<()>> + Send {
        ready(Ok(()))
    }

    /// Called with a row as it was and as it is now.
    fn after_update(
        &self,
        _tx: &Tx,
        _old: &Row<Self>,
        _new: &Row<Self>,
    ) -> impl Future<Output = Result<()>> + Send {
        ready(Ok(()))
    }

    /// Called with a row about to be soft-deleted; may refuse it.
    fn before_delete(&self, _tx: &Tx, _row: &Row<Self>) -> impl Future<Output = Result<()>> + Send {
        ready(Ok(()))
    }

    /// Called with a row just soft-deleted.
    fn after_delete(&self, _tx: &Tx, _row: &Row<Self>) -> impl Future<Output = Result<()>> + Send {
        ready(Ok(()))
    }

    /// Called with a row just brought back.
    fn after_restore(&self, _tx: &Tx, _row: &Row<Self>) -> impl Future<Output = Result<()>> + Send {
        ready(Ok(()))
    }

    /// Adds one. Errors: `invalid`, [`Self::CONFLICT`], and what the hooks refuse.
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

    /// The one with that id. Errors: `not_found`.
    fn get<C: ConnectionTrait>(&self, conn: &C, id: Uuid) -> impl Future<Output = Result<Row<Self>>> + Send {
        async move { self.repository().get(conn, id).await?.ok_or_else(|| Error::not_found(Self::NAME)) }
    }

    /// As [`get`](Self::get), and nobody else changes it until the transaction ends. Errors: `not_found`.
    fn lock(&self, tx: &Tx, id: Uuid) -> impl Future<Output = Result<Row<Self>>> + Send {
        async move { self.repository().lock(tx, id).await?.ok_or_else(|| Error::not_found(Self::NAME)) }
    }

    /// A page of them.
    fn list<C: ConnectionTrait>(
        &self,
        conn: &C,
        query: &ListQuery<<Self::Repository as Repository>::Entity>,
        page: PageRequest,
    ) -> impl Future<Output = Result<Page<Row<Self>>>> + Send {
        self.repository().list(conn, query, page)
    }

    /// Some of them by cursor, newest first. Errors: `invalid` for a cursor of another list.
    fn list_by_cursor<C: ConnectionTrait>(
        &self,
        conn: &C,
        query: &ListQuery<<Self::Repository as Repository>::Entity>,
        request: &CursorRequest,
    ) -> impl Future<Output = Result<CursorPage<Row<Self>>>> + Send {
        self.repository().list_by_cursor(conn, Self::NAME, query, request)
    }

    /// Changes one. Errors: `invalid`, `not_found`, [`Self::CONFLICT`], and what the hooks refuse.
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

    /// Soft-deletes one. Errors: `not_found`, and what the hooks refuse.
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

    /// Brings a soft-deleted one back. Errors: `not_found` where there is none deleted with that id.
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

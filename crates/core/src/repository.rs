//! Reads and writes the rows of one entity.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/note.rs"));
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> groundwork_core::Result<()> {
//! # let (_folder, db) = open().await?;
//! use groundwork_core::Repository;
//! use sea_orm::ActiveValue::Set;
//!
//! let row = note::ActiveModel { title: Set("One".into()), ..Default::default() };
//! let note = db.write(async |tx| Notes.create(tx, row).await).await?;
//! assert!(db.write(async |tx| Notes.soft_delete(tx, note.id).await).await?);
//! assert_eq!(Notes.get(db.reader(), note.id).await?, None);
//! assert!(db.write(async |tx| Notes.restore(tx, note.id).await).await?);
//! assert!(Notes.get(db.reader(), note.id).await?.is_some());
//! # Ok(())
//! # }
//! ```

use std::future::Future;

use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait,
    PaginatorTrait, QueryFilter, QuerySelect, Select, SelectExt, Value, prelude::Expr, sea_query::LockType,
};
use uuid::Uuid;

pub use crate::page_query::{
    Count, count_to, cursor_page_of, page_of, page_of_counted, page_of_rows, with_count,
};
use crate::{CommonBase, CursorPage, CursorRequest, ListQuery, Page, PageRequest, Result, Timestamp, Tx};

/// The rows of one entity, with soft delete. An implementation for a simple entity is one line:
/// `impl Repository for Bookmarks { type Entity = bookmark::Entity; }`
///
/// Invariant: every finder starts from [`alive`](Self::alive), which leaves out deleted and foreign rows. The
/// exception is [`with_deleted`](Self::with_deleted), whose name is visible in review.
///
/// Reads take any connection; writes take a [`Tx`] and never commit it.
pub trait Repository: Sync {
    /// The entity.
    type Entity: CommonBase;

    /// Returns the condition for the rows that this repository can see; all rows by default. Every method applies it.
    fn row_rule(&self) -> Condition {
        Condition::all()
    }

    /// Selects the rows that are neither deleted nor foreign.
    fn alive(&self) -> Select<Self::Entity> {
        self.with_deleted().filter(Self::Entity::DELETED_AT.is_null())
    }

    /// Selects all rows that are not foreign, deleted ones included.
    fn with_deleted(&self) -> Select<Self::Entity> {
        Self::Entity::find().filter(self.row_rule())
    }

    /// Returns the row with that id.
    fn get<C: ConnectionTrait>(
        &self,
        conn: &C,
        id: Uuid,
    ) -> impl Future<Output = Result<Option<Model<Self>>>> + Send {
        async move { Ok(self.alive().filter(Self::Entity::ID.eq(id)).one(conn).await?) }
    }

    /// Returns the row with that id and locks it until the transaction ends. Rows that refer to it by a foreign key can
    /// be inserted meanwhile.
    fn lock(&self, tx: &Tx, id: Uuid) -> impl Future<Output = Result<Option<Model<Self>>>> + Send {
        async move {
            let row = self.alive().filter(Self::Entity::ID.eq(id)).lock(LockType::NoKeyUpdate);
            Ok(row.one(tx).await?)
        }
    }

    /// Returns the first matching row by id.
    fn find_one<C: ConnectionTrait>(
        &self,
        conn: &C,
        matching: Condition,
    ) -> impl Future<Output = Result<Option<Model<Self>>>> + Send {
        async move { Ok(self.alive().filter(matching).one(conn).await?) }
    }

    /// Returns matching rows, at most `limit`.
    fn find<C: ConnectionTrait>(
        &self,
        conn: &C,
        matching: Condition,
        limit: u64,
    ) -> impl Future<Output = Result<Vec<Model<Self>>>> + Send {
        async move { Ok(self.alive().filter(matching).limit(limit).all(conn).await?) }
    }

    /// Returns whether any row matches.
    fn exists<C: ConnectionTrait>(
        &self,
        conn: &C,
        matching: Condition,
    ) -> impl Future<Output = Result<bool>> + Send {
        async move { Ok(self.alive().filter(matching).exists(conn).await?) }
    }

    /// Counts the matching rows.
    fn count<C: ConnectionTrait>(
        &self,
        conn: &C,
        matching: Condition,
    ) -> impl Future<Output = Result<u64>> + Send {
        async move { Ok(self.alive().filter(matching).count(conn).await?) }
    }

    /// Returns a page of the rows that match `query`, with the total.
    fn list<C: ConnectionTrait>(
        &self,
        conn: &C,
        query: &ListQuery<Self::Entity>,
        page: PageRequest,
    ) -> impl Future<Output = Result<Page<Model<Self>>>> + Send {
        page_of(conn, self.alive(), query, page)
    }

    /// Returns rows that match `query` by cursor, newest first. `list` names the list (see
    /// [`CursorRequest::position`]). The order of `query` is ignored.
    fn list_by_cursor<C: ConnectionTrait>(
        &self,
        conn: &C,
        list: &str,
        query: &ListQuery<Self::Entity>,
        request: &CursorRequest,
    ) -> impl Future<Output = Result<CursorPage<Model<Self>>>> + Send {
        async move {
            let matching = query.condition(conn.get_database_backend());
            let mut rows = self.alive().filter(matching).cursor_by(Self::Entity::ID);
            rows.desc();
            cursor_page_of(conn, list, request, rows, Self::Entity::id_of).await
        }
    }

    /// Inserts a row. Generates its id unless it is set; its times are those of the transaction.
    fn create(
        &self,
        tx: &Tx,
        mut row: ActiveModel<Self>,
    ) -> impl Future<Output = Result<Model<Self>>> + Send {
        async move {
            if !matches!(row.get(Self::Entity::ID), ActiveValue::Set(_)) {
                row.set(Self::Entity::ID, tx.new_id().into());
            }
            row.set(Self::Entity::CREATED_AT, tx.now().into());
            row.set(Self::Entity::UPDATED_AT, tx.now().into());
            Ok(row.insert(tx).await?)
        }
    }

    /// Writes the set fields of `row`, whose id must be set, and sets `updated_at` unless it is set. Returns `None` if the
    /// row is deleted, foreign or missing.
    fn update(
        &self,
        tx: &Tx,
        mut row: ActiveModel<Self>,
    ) -> impl Future<Output = Result<Option<Model<Self>>>> + Send {
        async move {
            if !matches!(row.get(Self::Entity::UPDATED_AT), ActiveValue::Set(_)) {
                row.set(Self::Entity::UPDATED_AT, tx.now().into());
            }
            let update = Self::Entity::update(row)
                .validate()?
                .filter(self.row_rule().add(Self::Entity::DELETED_AT.is_null()));
            match update.exec(tx).await {
                Ok(row) => Ok(Some(row)),
                Err(DbErr::RecordNotUpdated) => Ok(None),
                Err(error) => Err(error.into()),
            }
        }
    }

    /// Soft-deletes a row. Returns `false` if there was none.
    fn soft_delete(&self, tx: &Tx, id: Uuid) -> impl Future<Output = Result<bool>> + Send {
        set_deleted::<Self>(self, tx, id, Some(tx.now()))
    }

    /// Restores a deleted row. Returns `false` if there was none.
    fn restore(&self, tx: &Tx, id: Uuid) -> impl Future<Output = Result<bool>> + Send {
        set_deleted::<Self>(self, tx, id, None)
    }

    /// Removes a row permanently, deleted or not. Returns `false` if there was none.
    fn hard_delete(&self, tx: &Tx, id: Uuid) -> impl Future<Output = Result<bool>> + Send {
        async move {
            let matching = self.row_rule().add(Self::Entity::ID.eq(id));
            let done = Self::Entity::delete_many().filter(matching).exec(tx).await?;
            Ok(done.rows_affected > 0)
        }
    }
}

/// A row of a repository's entity.
pub type Model<R> = <<R as Repository>::Entity as EntityTrait>::Model;
/// A row of a repository's entity to write.
pub type ActiveModel<R> = <<R as Repository>::Entity as EntityTrait>::ActiveModel;

async fn set_deleted<R: Repository + ?Sized>(
    repository: &R,
    tx: &Tx,
    id: Uuid,
    deleted_at: Option<Timestamp>,
) -> Result<bool> {
    let column = R::Entity::DELETED_AT;
    let before = if deleted_at.is_some() { column.is_null() } else { column.is_not_null() };
    let done = R::Entity::update_many()
        .col_expr(column, Expr::value(Value::from(deleted_at)))
        .col_expr(R::Entity::UPDATED_AT, Expr::value(Value::from(tx.now())))
        .filter(repository.row_rule().add(R::Entity::ID.eq(id)).add(before))
        .exec(tx)
        .await?;
    Ok(done.rows_affected > 0)
}

//! Reading and writing the rows of one entity.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/note.rs"));
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> groundwork_core::Result<()> {
//! # let (_folder, db) = open().await?;
//! use groundwork_core::Repository;
//! use sea_orm::ActiveValue::Set;
//!
//! let tx = db.begin().await?;
//! let row = note::ActiveModel { title: Set("One".into()), ..Default::default() };
//! let note = Notes.create(&tx, row).await?;
//! assert!(Notes.soft_delete(&tx, note.id).await?);
//! assert_eq!(Notes.get(&tx, note.id).await?, None);
//! assert!(Notes.restore(&tx, note.id).await?);
//! tx.commit().await?;
//! assert!(Notes.get(db.reader(), note.id).await?.is_some());
//! # Ok(())
//! # }
//! ```

use std::future::Future;

use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait,
    PaginatorTrait, QueryFilter, QuerySelect, Select, SelectExt, Value, prelude::Expr,
};
use uuid::Uuid;

use crate::{
    CommonBase, Cursor, CursorPage, CursorRequest, ListQuery, Page, PageRequest, Result, Timestamp, Tx,
};

/// The rows of one entity, with soft delete. An implementation for a plain entity is one line:
/// `impl Repository for Bookmarks { type Entity = bookmark::Entity; }`
///
/// Invariant: every finder starts from [`alive`](Self::alive), which leaves out deleted and foreign rows. Going
/// round that has a name, [`with_deleted`](Self::with_deleted), and so shows in review.
///
/// Reading takes any connection; writing takes a [`Tx`], and never commits it.
pub trait Repository: Sync {
    /// The entity.
    type Entity: CommonBase;

    /// Which rows this repository may see at all; all of them by default. A repository of one user's rows says so
    /// here once, and every method keeps to it.
    fn row_rule(&self) -> Condition {
        Condition::all()
    }

    /// The rows that are neither deleted nor foreign.
    fn alive(&self) -> Select<Self::Entity> {
        self.with_deleted().filter(Self::Entity::DELETED_AT.is_null())
    }

    /// The deleted rows as well, but no foreign ones.
    fn with_deleted(&self) -> Select<Self::Entity> {
        Self::Entity::find().filter(self.row_rule())
    }

    /// The row with that id.
    fn get<C: ConnectionTrait>(
        &self,
        conn: &C,
        id: Uuid,
    ) -> impl Future<Output = Result<Option<Model<Self>>>> + Send {
        async move { Ok(self.alive().filter(Self::Entity::ID.eq(id)).one(conn).await?) }
    }

    /// As [`get`](Self::get), and nobody else changes the row until the transaction ends.
    fn lock(&self, tx: &Tx, id: Uuid) -> impl Future<Output = Result<Option<Model<Self>>>> + Send {
        async move { Ok(self.alive().filter(Self::Entity::ID.eq(id)).lock_exclusive().one(tx).await?) }
    }

    /// The first row that matches, by id.
    fn find_one<C: ConnectionTrait>(
        &self,
        conn: &C,
        matching: Condition,
    ) -> impl Future<Output = Result<Option<Model<Self>>>> + Send {
        async move { Ok(self.alive().filter(matching).one(conn).await?) }
    }

    /// The rows that match, at most `limit`.
    fn find<C: ConnectionTrait>(
        &self,
        conn: &C,
        matching: Condition,
        limit: u64,
    ) -> impl Future<Output = Result<Vec<Model<Self>>>> + Send {
        async move { Ok(self.alive().filter(matching).limit(limit).all(conn).await?) }
    }

    /// Whether any row matches.
    fn exists<C: ConnectionTrait>(
        &self,
        conn: &C,
        matching: Condition,
    ) -> impl Future<Output = Result<bool>> + Send {
        async move { Ok(self.alive().filter(matching).exists(conn).await?) }
    }

    /// How many rows match.
    fn count<C: ConnectionTrait>(
        &self,
        conn: &C,
        matching: Condition,
    ) -> impl Future<Output = Result<u64>> + Send {
        async move { Ok(self.alive().filter(matching).count(conn).await?) }
    }

    /// One page of the rows that `query` asks for, with the total.
    fn list<C: ConnectionTrait>(
        &self,
        conn: &C,
        query: &ListQuery<Self::Entity>,
        page: PageRequest,
    ) -> impl Future<Output = Result<Page<Model<Self>>>> + Send {
        page_of(conn, self.alive(), query, page)
    }

    /// Some rows that `query` asks for, newest first, from the cursor on. `list` names the list (see
    /// [`CursorRequest::position`]); an order in `query` is not regarded.
    fn list_by_cursor<C: ConnectionTrait>(
        &self,
        conn: &C,
        list: &str,
        query: &ListQuery<Self::Entity>,
        request: &CursorRequest,
    ) -> impl Future<Output = Result<CursorPage<Model<Self>>>> + Send {
        async move {
            let position: Option<Cursor<Uuid>> = request.position(list)?;
            let matching = query.condition(conn.get_database_backend());
            let mut cursor = self.alive().filter(matching).cursor_by(Self::Entity::ID);
            cursor.desc();
            match &position {
                Some(Cursor { key, backward: true }) => cursor.before(*key).last(request.limit + 1),
                Some(Cursor { key, backward: false }) => cursor.after(*key).first(request.limit + 1),
                None => cursor.first(request.limit + 1),
            };
            let rows = cursor.all(conn).await?;
            CursorPage::assemble(rows, request.limit, list, position.as_ref(), Self::Entity::id_of)
        }
    }

    /// Adds a row. Its id is made here unless it is set, and its times are the transaction's.
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

    /// Writes the set fields of `row`, whose id is set, and its `updated_at` unless that is set as well. `None` where the row is deleted,
    /// foreign or not there.
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

    /// Marks a row as deleted. `false` where there was none alive.
    fn soft_delete(&self, tx: &Tx, id: Uuid) -> impl Future<Output = Result<bool>> + Send {
        set_deleted::<Self>(self, tx, id, Some(tx.now()))
    }

    /// Brings a deleted row back. `false` where there was none deleted.
    fn restore(&self, tx: &Tx, id: Uuid) -> impl Future<Output = Result<bool>> + Send {
        set_deleted::<Self>(self, tx, id, None)
    }

    /// Removes a row for good, alive or deleted. `false` where there was none.
    fn hard_delete(&self, tx: &Tx, id: Uuid) -> impl Future<Output = Result<bool>> + Send {
        async move {
            let matching = self.row_rule().add(Self::Entity::ID.eq(id));
            let done = Self::Entity::delete_many().filter(matching).exec(tx).await?;
            Ok(done.rows_affected > 0)
        }
    }
}

/// The rows of a repository's entity.
pub type Model<R> = <<R as Repository>::Entity as EntityTrait>::Model;
/// The rows to write of a repository's entity.
pub type ActiveModel<R> = <<R as Repository>::Entity as EntityTrait>::ActiveModel;

/// One page of `select` as `query` asks for it, with the total.
pub async fn page_of<E: CommonBase, C: ConnectionTrait>(
    conn: &C,
    select: Select<E>,
    query: &ListQuery<E>,
    page: PageRequest,
) -> Result<Page<E::Model>> {
    let backend = conn.get_database_backend();
    let total = select.clone().filter(query.condition(backend)).count(conn).await?;
    let items = if page.offset() < total {
        query.apply(select, backend).offset(page.offset()).limit(page.size).all(conn).await?
    } else {
        Vec::new()
    };
    Ok(Page::new(items, total, page))
}

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

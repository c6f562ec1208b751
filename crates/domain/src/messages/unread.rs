//! The direct messages that a user has not read, and those that they have.
//!
//! They are on either side of the user's read position in each direct thread, so they are found thread by thread, each in the
//! index by `seq`. The index by receiver is in the order of a list, but has the messages of the other kind between them: up
//! to all others of the user.

use groundwork_core::{
    Page, PageRequest, Repository, Result, Uuid,
    repository::{Count, page_of_rows},
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, JoinType, Order, QueryFilter, QueryTrait, Select,
    prelude::Expr,
    sea_query::{Alias, ExprTrait, Query, SelectStatement},
};

use super::{
    entity::{Column, Entity},
    listed::shown,
    mailbox::read,
    repository::MessageRepository,
    types::Message,
};
use crate::threads::{
    ThreadType,
    entity::{Column as T, Entity as Threads},
    participant::{Column as P, Entity as Participants},
    repository::is_in,
    unread::{has_unread, unread_of_direct_threads},
};

/// Which of the messages that a user received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Those after the read position.
    Unread,
    /// Those up to the read position.
    Read,
}

/// Selects `id`, `created_at`, `thread_id` and `seq` of the newest `count` such messages of each direct thread of the user.
fn newest_of_each(user: Uuid, side: Side, count: u64, backend: DbBackend) -> SelectStatement {
    let columns = [Column::Id, Column::CreatedAt, Column::ThreadId, Column::Seq];
    let of = |column: Column| Expr::col((Entity, column));
    let position = Expr::col((Participants, P::LastReadSeq));
    let user_id = Expr::col((Participants, P::UserId));
    let mut newest = Query::select();
    newest
        .from(Entity)
        .and_where(of(Column::ThreadId).equals((Participants, P::ThreadId)))
        .and_where(of(Column::DeletedAt).is_null())
        .order_by((Entity, Column::Seq), Order::Desc)
        .limit(count);
    match side {
        // What users write to themselves was received, and is not unread.
        Side::Unread => {
            newest.and_where(of(Column::Seq).gt(position)).and_where(of(Column::SenderId).ne(user_id))
        }
        Side::Read => {
            newest.and_where(of(Column::Seq).lte(position)).and_where(of(Column::ReceiverId).eq(user_id))
        }
    };

    let found = Alias::new("newest");
    let mut select = Query::select();
    select
        .columns(columns.map(|column| (found.clone(), column)))
        .from(Participants)
        .inner_join(Threads, Expr::col((Threads, T::Id)).equals((Participants, P::ThreadId)))
        .cond_where(is_in(user))
        .and_where(T::Kind.eq(ThreadType::Direct));
    if side == Side::Unread {
        select.and_where(has_unread());
    }
    // Both read the index once for each thread, whatever the planner expects.
    if backend == DbBackend::Postgres {
        newest.columns(columns.map(|column| (Entity, column)));
        select.join_lateral(JoinType::InnerJoin, newest, found, Expr::cust("TRUE"));
    } else {
        newest.column((Entity, Column::Id));
        let is_one = Expr::col((found.clone(), Column::Id)).in_subquery(newest);
        select.join_as(JoinType::InnerJoin, Entity, found, is_one);
    }
    select.take()
}

/// Selects all such messages of the user.
pub(super) fn all(user: Uuid, side: Side, backend: DbBackend) -> Select<Entity> {
    let ids = newest_of_each(user, side, i64::MAX.unsigned_abs(), backend);
    let ids = Query::select().column(Column::Id).from_subquery(ids, Alias::new("parts")).take();
    MessageRepository.with_deleted().filter(Column::Id.in_subquery(ids))
}

/// How many such messages there are, if `unread` ones were counted.
pub(super) fn count(user: Uuid, side: Side, unread: i64, page: PageRequest, backend: DbBackend) -> Count {
    match side {
        Side::Unread => Count::exact(Query::select().expr(Expr::val(unread)).take()),
        Side::Read => Count::to_bound(newest_of_each(user, side, page.count_bound() + 1, backend), page),
    }
}

impl MessageRepository {
    /// A page of such messages without filters, newest first. `unread` is the number of those that the user has not read.
    ///
    /// Of each thread only its newest messages are read, as many as the page and those before it. Within a thread
    /// `created_at` never goes backwards, so none of the others can be on the page.
    pub(super) async fn page_of_side<C: ConnectionTrait>(
        self,
        conn: &C,
        user: Uuid,
        (side, unread): (Side, i64),
        page: PageRequest,
    ) -> Result<Page<Message>> {
        let (offset, backend) = (page.offset()?, conn.get_database_backend());
        let parts = newest_of_each(user, side, offset + page.size, backend);
        let mut ids = Query::select();
        ids.column(Column::Id).from_subquery(parts, Alias::new("parts")).offset(offset).limit(page.size);
        newest_first(&mut ids, Expr::col);
        let mut rows = shown(self.with_deleted().filter(Column::Id.in_subquery(ids))).into_query();
        newest_first(&mut rows, |column| Expr::col((Entity, column)));
        page_of_rows(conn, page, rows, count(user, side, unread, page, backend), read).await
    }

    /// How many direct messages the user has not read.
    pub(super) async fn count_unread<C: ConnectionTrait>(self, conn: &C, user: Uuid) -> Result<i64> {
        let row = conn.query_one(&unread_of_direct_threads(user)).await?;
        Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default())
    }
}

fn newest_first(select: &mut SelectStatement, column: impl Fn(Column) -> Expr) {
    select
        .order_by_expr(column(Column::CreatedAt), Order::Desc)
        .order_by_expr(column(Column::ThreadId), Order::Asc)
        .order_by_expr(column(Column::Seq), Order::Desc);
}

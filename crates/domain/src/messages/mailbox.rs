//! The direct messages of a user: inbox, outbox, and both together.
//!
//! A page is cut from an index first. Authors and receipts are looked up for its rows alone.

use groundwork_core::{
    Cursor, CursorPage, CursorRequest, ListQuery, Page, PageRequest, Repository, Result, Timestamp, Total,
    Uuid,
    clock::first_id_at,
    db::{CachedStatement, Columns},
    repository::{Count, count_to, page_of_counted, page_of_rows, with_count},
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, DbErr, JoinType, Order, QueryFilter, QueryOrder,
    QueryResult, QuerySelect, QueryTrait, Select,
    prelude::Expr,
    sea_query::{Alias, ExprTrait, Query, SelectStatement, UnionType},
};

use super::{
    entity::{Column, Entity},
    listed::{Listed, listed, shown},
    repository::MessageRepository,
    types::{Message, MessageRow},
    unread::{self, Side},
};
use crate::threads::{participant, repository::is_in};

/// The maximum difference between the clocks of several servers.
const CLOCK_SLACK: std::time::Duration = std::time::Duration::from_hours(1);

/// The number of unread messages up to which the newest of each thread are read.
const FEW_UNREAD: i64 = 1000;
/// The number of unread messages up to which all of them are passed on the way to the read ones.
const PASSED_UNREAD: i64 = 20_000;

/// Which part of a list to read: the user, the number of messages before it, its size, and how many to count at most.
type Part = (Uuid, u64, u64, u64);

/// A page of the inbox, and one of the outbox, without filters.
static INBOX: CachedStatement<Part> =
    CachedStatement::new(|part| whole_page(MessageRepository.received(part.0), part));
static OUTBOX: CachedStatement<Part> =
    CachedStatement::new(|part| whole_page(MessageRepository.sent(part.0), part));

fn whole_page(select: Select<Entity>, (_, offset, size, counted): Part) -> SelectStatement {
    // Without filters the statement is the same for both databases.
    let (rows, all) = page_of(select, &ListQuery::default(), DbBackend::Postgres, (offset, size));
    with_count(rows, count_to(all, counted))
}

/// Returns a page of `select`, and all of it.
fn page_of(
    select: Select<Entity>,
    query: &ListQuery<Entity>,
    backend: DbBackend,
    (offset, size): (u64, u64),
) -> (SelectStatement, SelectStatement) {
    let ids = select.select_only().column(Column::Id);
    let all = ids.clone().filter(query.condition(backend)).order_by_desc(Column::Id).into_query();
    let ids = query.apply(ids, backend).offset(offset).limit(size).into_query();
    let rows = MessageRepository.with_deleted().filter(Column::Id.in_subquery(ids));
    (query.ordered(shown(rows)).into_query(), all)
}

impl MessageRepository {
    /// The direct messages that the user received. A direct thread can be neither left nor deleted, and its participants see
    /// all of it.
    fn received(self, user: Uuid) -> Select<Entity> {
        self.alive().filter(Column::ReceiverId.eq(user))
    }

    /// A page of the direct messages that the user received, newest first: all, only unread, or only read ones.
    pub async fn inbox<C: ConnectionTrait>(
        self,
        conn: &C,
        user: Uuid,
        unread_only: Option<bool>,
        query: &ListQuery<Entity>,
        page: PageRequest,
    ) -> Result<Page<Message>> {
        let side = match unread_only {
            None => return mailbox_page(conn, (user, self.received(user), &INBOX), query, page).await,
            Some(true) => Side::Unread,
            Some(false) => Side::Read,
        };
        let few = if side == Side::Unread { FEW_UNREAD } else { PASSED_UNREAD };
        let unread = self.count_unread(conn, user).await?;
        if unread == 0 && side == Side::Unread {
            page.offset()?;
            return Ok(Page::new(Vec::new(), Total::exact(0), page));
        }
        match (unread > few, side, query.is_empty()) {
            (true, _, true) => {
                let newest = self.newest_of_side(conn, user, (side, unread), page).await?;
                let is_full = u64::try_from(newest.items.len()).is_ok_and(|found| found == page.size);
                // Those that are not among the newest received ones are looked for in each thread.
                if is_full { Ok(newest) } else { self.page_of_side(conn, user, (side, unread), page).await }
            }
            (false, Side::Unread, true) => self.page_of_side(conn, user, (side, unread), page).await,
            (false, Side::Unread, false) => {
                plain_page(conn, unread::all(user, side, conn.get_database_backend()), query, page).await
            }
            // Only few unread ones are between the read ones, or all may have to be read for the filter.
            (false, Side::Read, _) | (true, _, false) => {
                plain_page(conn, self.received_on(user, side), query, page).await
            }
        }
    }

    /// Of the direct messages that the user received those on that side of their read position.
    fn received_on(self, user: Uuid, side: Side) -> Select<Entity> {
        let mut select = self.received(user);
        QuerySelect::query(&mut select).join(JoinType::InnerJoin, participant::Entity, in_its_thread());
        select.filter(is_in(user)).filter(is_on(side, user, |column| Expr::col((Entity, column))))
    }

    /// As [`page_of_side`](Self::page_of_side), from the newest messages that the user received, about twice as many as the
    /// page and those before it. If the page is not full, it may lack messages.
    async fn newest_of_side<C: ConnectionTrait>(
        self,
        conn: &C,
        user: Uuid,
        (side, unread): (Side, i64),
        page: PageRequest,
    ) -> Result<Page<Message>> {
        use participant::{Column as P, Entity as Participants};
        let (offset, backend) = (page.offset()?, conn.get_database_backend());
        // Cut before the threads are looked up, so that it is read from the index by receiver.
        let newest = self
            .received(user)
            .select_only()
            .columns([Column::Id, Column::ThreadId, Column::Seq, Column::SenderId])
            .order_by_desc(Column::Id)
            .limit(2 * (offset + page.size) + PageRequest::COUNTED_BEYOND)
            .into_query();
        let found = Alias::new("newest");
        let of = |column: Column| Expr::col((found.clone(), column));
        let mut ids = Query::select();
        ids.expr(of(Column::Id))
            .from_subquery(newest, found.clone())
            .inner_join(
                Participants,
                Expr::col((Participants, P::ThreadId)).equals((found.clone(), Column::ThreadId)),
            )
            .cond_where(is_in(user))
            .cond_where(is_on(side, user, of))
            .order_by_expr(of(Column::Id), Order::Desc)
            .offset(offset)
            .limit(page.size);
        let rows = self.with_deleted().filter(Column::Id.in_subquery(ids)).order_by_desc(Column::Id);
        page_of_rows(
            conn,
            page,
            shown(rows).into_query(),
            unread::count(user, side, unread, page, backend),
            read,
        )
        .await
    }

    /// A page of the messages that the user sent, newest first.
    pub async fn outbox<C: ConnectionTrait>(
        self,
        conn: &C,
        user: Uuid,
        query: &ListQuery<Entity>,
        page: PageRequest,
    ) -> Result<Page<Message>> {
        mailbox_page(conn, (user, self.sent(user), &OUTBOX), query, page).await
    }

    /// The direct messages that `user` sent or received since `oldest`, newest first.
    ///
    /// Two index ranges are cut to the page size before they are merged, so the cost does not depend on the number of
    /// messages.
    pub async fn list_direct<C: ConnectionTrait>(
        self,
        conn: &C,
        user: Uuid,
        oldest: Timestamp,
        request: &CursorRequest,
    ) -> Result<CursorPage<Listed>> {
        let list = format!("direct:{user}");
        let position: Option<Cursor<Uuid>> = request.position(&list)?;
        let backward = position.as_ref().is_some_and(|cursor| cursor.backward);
        let order = if backward { Order::Asc } else { Order::Desc };
        let part = |of: Condition| {
            let mut part = Query::select();
            part.column(Column::Id)
                .from(Entity)
                .cond_where(of)
                .and_where(Column::DeletedAt.is_null())
                .and_where(Column::CreatedAt.gte(oldest))
                .and_where(Column::Id.gte(first_id_at(oldest - CLOCK_SLACK)))
                .order_by(Column::Id, order.clone())
                .limit(request.limit + 1);
            match &position {
                Some(Cursor { key, backward: true }) => part.and_where(Column::Id.gt(*key)),
                Some(Cursor { key, backward: false }) => part.and_where(Column::Id.lt(*key)),
                None => &mut part,
            };
            Query::select().column(Column::Id).from_subquery(part.take(), Alias::new("part")).take()
        };
        let sent = Condition::all().add(Column::SenderId.eq(user)).add(Column::ReceiverId.is_not_null());
        let received = Column::ReceiverId.eq(user).into();
        // A message to oneself is in both.
        let mut ids: SelectStatement = part(sent);
        ids.union(UnionType::Distinct, part(received))
            .order_by(Alias::new("id"), order)
            .limit(request.limit + 1);
        let rows = self.alive().filter(Column::Id.in_subquery(ids)).order_by_desc(Column::Id);
        let rows = conn.query_all(&listed(rows).into_query()).await?;
        let rows: Vec<Listed> = rows.iter().map(Listed::read).collect::<std::result::Result<_, _>>()?;
        CursorPage::assemble(rows, request.limit, &list, position.as_ref(), |row| row.message.id)
    }
}

/// The condition that a participant is one of the message's thread.
fn in_its_thread() -> Expr {
    Expr::col((participant::Entity, participant::Column::ThreadId)).equals((Entity, Column::ThreadId))
}

/// The condition that a received message with these columns is on that side of the user's read position in its thread.
fn is_on(side: Side, user: Uuid, of: impl Fn(Column) -> Expr) -> Condition {
    let position = Expr::col((participant::Entity, participant::Column::LastReadSeq));
    match side {
        Side::Unread => Condition::all().add(of(Column::Seq).gt(position)).add(of(Column::SenderId).ne(user)),
        Side::Read => of(Column::Seq).lte(position).into(),
    }
}

/// Returns a page of a list without filters from its cached statement, and every other page from `select`.
async fn mailbox_page<C: ConnectionTrait>(
    conn: &C,
    (user, select, cached): (Uuid, Select<Entity>, &CachedStatement<Part>),
    query: &ListQuery<Entity>,
    page: PageRequest,
) -> Result<Page<Message>> {
    if query.is_empty() {
        let part = (user, page.offset()?, page.size, page.count_bound() + 1);
        let statement = cached.with(conn.get_database_backend(), part);
        if let Some(found) = page_of_counted(conn, page, statement, read).await? {
            return Ok(found);
        }
    }
    plain_page(conn, select, query, page).await
}

async fn plain_page<C: ConnectionTrait>(
    conn: &C,
    select: Select<Entity>,
    query: &ListQuery<Entity>,
    page: PageRequest,
) -> Result<Page<Message>> {
    let (rows, all) = page_of(select, query, conn.get_database_backend(), (page.offset()?, page.size));
    page_of_rows(conn, page, rows, Count::to_bound(all, page), read).await
}

pub(super) fn read(row: &QueryResult) -> std::result::Result<Message, DbErr> {
    Ok(MessageRow::read(&mut Columns::of(row))?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cached_statement_is_the_one_that_is_built() {
        let part = (Uuid::from_u128(1), 2, 3, 4);
        for backend in [DbBackend::Postgres, DbBackend::Sqlite] {
            for cached in [&INBOX, &OUTBOX] {
                assert_eq!(cached.with(backend, part), cached.plain(backend, part));
            }
        }
    }
}

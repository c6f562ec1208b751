//! Queries for messages, each with the times when it was first delivered and read.

use std::collections::{HashMap, HashSet};

use groundwork_core::{
    Cursor, CursorPage, CursorRequest, ListQuery, Page, PageRequest, Repository, Result, Timestamp, Tx, Uuid,
    clock::first_id_at, repository::cursor_page_of,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, JoinType, Order,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    prelude::Expr,
    sea_query::{Alias, Asterisk, CaseStatement, ExprTrait, Func, Query, SelectStatement, UnionType},
};

use super::{
    entity::{Column, Entity, Model},
    first_receipt,
    receipt::{self, ReceiptKind},
    types::{Message, MessageRow, Receipt},
};
use crate::{
    threads::{self, participant, repository::is_in},
    users,
};

/// The maximum difference between the clocks of several servers.
const CLOCK_SLACK: std::time::Duration = std::time::Duration::from_hours(1);

/// The messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessageRepository;

impl Repository for MessageRepository {
    type Entity = Entity;
}

/// The order of a thread's messages in a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// The newest first.
    #[default]
    Descending,
    /// The oldest first.
    Ascending,
}

/// Which messages of a thread to list, and in which order.
///
/// With one bound and no cursor the first page is the one next to the bound: the messages right after `after`, or right
/// before `before`, in either order.
#[derive(Clone, Debug, Default)]
pub struct ThreadQuery {
    /// Filters.
    pub query: ListQuery<Entity>,
    /// The order of the list.
    pub direction: Direction,
    /// Only messages with a lower `seq`.
    pub before: Option<i64>,
    /// Only messages with a higher `seq`.
    pub after: Option<i64>,
}

impl ThreadQuery {
    fn condition(&self, backend: DbBackend) -> Condition {
        self.query
            .condition(backend)
            .add_option(self.before.map(|before| Column::Seq.lt(before)))
            .add_option(self.after.map(|after| Column::Seq.gt(after)))
    }

    /// Whether the bound is at the end of the list, so that the first page is the last one of the list.
    fn begins_at_its_end(&self) -> bool {
        match self.direction {
            Direction::Descending => self.after.is_some() && self.before.is_none(),
            Direction::Ascending => self.before.is_some() && self.after.is_none(),
        }
    }
}

/// The name of the list of a thread's messages, which its cursors carry.
fn thread_list(thread: Uuid, direction: Direction) -> String {
    format!("messages:{thread}:{direction:?}")
}

impl MessageRepository {
    /// The messages that the user can see, deleted ones included: those of the threads they are in, since they joined.
    fn seen_with_deleted(self, user: Uuid) -> Select<Entity> {
        use participant::{Column as P, Entity as Participants};
        let mut select = self.with_deleted();
        let query = QuerySelect::query(&mut select);
        query.join(
            JoinType::InnerJoin,
            Participants,
            Expr::col((Participants, P::ThreadId)).equals((Entity, Column::ThreadId)),
        );
        query.join(
            JoinType::InnerJoin,
            threads::entity::Entity,
            Expr::col((threads::entity::Entity, threads::entity::Column::Id))
                .equals((Entity, Column::ThreadId)),
        );
        select
            .filter(is_in(user))
            .filter(threads::entity::Column::DeletedAt.is_null())
            .filter(Expr::col((Entity, Column::Seq)).gt(Expr::col((Participants, P::JoinedSeq))))
    }

    /// The messages that the user can see.
    fn seen(self, user: Uuid) -> Select<Entity> {
        self.seen_with_deleted(user).filter(Column::DeletedAt.is_null())
    }

    /// The thread of a message, deleted or not.
    pub async fn thread_of<C: ConnectionTrait>(self, conn: &C, id: Uuid) -> Result<Option<Uuid>> {
        let thread = Entity::find_by_id(id).select_only().column(Column::ThreadId);
        Ok(thread.into_tuple().one(conn).await?)
    }

    /// Returns the message with that id if the user can see it.
    pub async fn get_seen<C: ConnectionTrait>(
        self,
        conn: &C,
        user: Uuid,
        id: Uuid,
    ) -> Result<Option<Message>> {
        one(conn, self.seen(user).filter(Column::Id.eq(id))).await
    }

    /// The messages that the user sent into threads that are not deleted, whether they are still in them or not.
    fn sent(self, user: Uuid) -> Select<Entity> {
        let mut select = self.alive();
        QuerySelect::query(&mut select).join(
            JoinType::InnerJoin,
            threads::entity::Entity,
            Expr::col((threads::entity::Entity, threads::entity::Column::Id))
                .equals((Entity, Column::ThreadId)),
        );
        select.filter(Column::SenderId.eq(user)).filter(threads::entity::Column::DeletedAt.is_null())
    }

    /// Returns the message with that id if the user sent it.
    pub async fn get_sent<C: ConnectionTrait>(
        self,
        conn: &C,
        user: Uuid,
        id: Uuid,
    ) -> Result<Option<Message>> {
        one(conn, self.sent(user).filter(Column::Id.eq(id))).await
    }

    /// Returns the message with that id, whoever can see it.
    pub async fn get_any<C: ConnectionTrait>(self, conn: &C, id: Uuid) -> Result<Option<Message>> {
        one(conn, self.alive().filter(Column::Id.eq(id))).await
    }

    /// The messages with these ids.
    pub async fn by_ids<C: ConnectionTrait>(
        self,
        conn: &C,
        ids: impl IntoIterator<Item = Uuid>,
    ) -> Result<HashMap<Uuid, Message>> {
        let ids: Vec<Uuid> = ids.into_iter().collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let found = all(conn, self.alive().filter(Column::Id.is_in(ids))).await?;
        Ok(found.into_iter().map(|message| (message.id, message)).collect())
    }

    /// The messages at these places, each a thread and a `seq`, deleted ones included, each with when it was deleted.
    pub async fn by_places_with_deleted<C: ConnectionTrait>(
        self,
        conn: &C,
        places: &HashSet<(Uuid, i64)>,
    ) -> Result<HashMap<(Uuid, i64), (Option<Timestamp>, Message)>> {
        if places.is_empty() {
            return Ok(HashMap::new());
        }
        let places = Query::select()
            .expr(Expr::col(Asterisk))
            .from_values(places.iter().copied(), Alias::new("places"))
            .take();
        let place = Expr::tuple([Column::ThreadId, Column::Seq].map(|column| Expr::col((Entity, column))));
        let select = self.with_deleted().filter(place.in_subquery(places));
        let rows = with_first_receipts(select).into_model::<MessageRow>().all(conn).await?;
        let found = rows.into_iter().map(|row| {
            let place = (row.message.thread_id, row.message.seq);
            (place, (row.message.deleted_at, row.into()))
        });
        Ok(found.collect())
    }

    /// The messages with these ids, in their order.
    async fn in_order<C: ConnectionTrait>(self, conn: &C, ids: &[Uuid]) -> Result<Vec<Message>> {
        let mut found = self.by_ids(conn, ids.iter().copied()).await?;
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }

    /// A page of the messages of a thread that the user can see.
    pub async fn list_of_thread<C: ConnectionTrait>(
        self,
        conn: &C,
        user: Uuid,
        thread: Uuid,
        wanted: &ThreadQuery,
        request: &CursorRequest,
    ) -> Result<CursorPage<Message>> {
        let list = thread_list(thread, wanted.direction);
        let matching = wanted.condition(conn.get_database_backend());
        let select = self.seen(user).filter(Column::ThreadId.eq(thread)).filter(matching);
        let mut rows = with_first_receipts(select).cursor_by(Column::Seq);
        if wanted.direction == Direction::Descending {
            rows.desc();
        }
        let mut rows = rows.into_model::<MessageRow>();
        if request.cursor.is_some() || !wanted.begins_at_its_end() {
            let page = cursor_page_of(conn, &list, request, rows, |row| row.message.seq).await?;
            return Ok(page.map(Message::from));
        }
        let rows = rows.last(request.limit + 1).all(conn).await?;
        let mut items: Vec<Message> = rows.into_iter().map(Message::from).collect();
        let has_more = items.len() > usize::try_from(request.limit).unwrap_or(usize::MAX);
        if has_more {
            items.remove(0);
        }
        let first = items.first().filter(|_| has_more);
        let prev_cursor =
            first.map(|first| Cursor { key: first.seq, backward: true }.encode(&list)).transpose()?;
        Ok(CursorPage { items, next_cursor: None, prev_cursor })
    }

    /// A message that the user can see with up to `before` messages before it and `after` after it, as a page of the
    /// thread's list.
    pub async fn context<C: ConnectionTrait>(
        self,
        conn: &C,
        user: Uuid,
        message: Message,
        (before, after): (u64, u64),
        direction: Direction,
    ) -> Result<CursorPage<Message>> {
        let beside = |bound: Condition, order: Order, count: u64| {
            let select = self.seen(user).filter(Column::ThreadId.eq(message.thread_id)).filter(bound);
            all(conn, select.order_by(Column::Seq, order).limit(count + 1))
        };
        let mut older = beside(Column::Seq.lt(message.seq).into(), Order::Desc, before).await?;
        let mut newer = beside(Column::Seq.gt(message.seq).into(), Order::Asc, after).await?;
        let cut = |messages: &mut Vec<Message>, count: u64| {
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            let has_more = messages.len() > count;
            messages.truncate(count);
            has_more
        };
        let (has_older, has_newer) = (cut(&mut older, before), cut(&mut newer, after));
        let list = thread_list(message.thread_id, direction);
        let mut items: Vec<Message> = older.into_iter().rev().chain([message]).chain(newer).collect();
        let (mut has_next, mut has_prev) = (has_newer, has_older);
        if direction == Direction::Descending {
            items.reverse();
            (has_next, has_prev) = (has_older, has_newer);
        }
        let cursor = |message: Option<&Message>, backward| {
            message.map(|message| Cursor { key: message.seq, backward }.encode(&list)).transpose()
        };
        Ok(CursorPage {
            next_cursor: cursor(items.last().filter(|_| has_next), false)?,
            prev_cursor: cursor(items.first().filter(|_| has_prev), true)?,
            items,
        })
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
    ) -> Result<CursorPage<Message>> {
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
        let rows = conn.query_all(&ids).await?;
        let mut ids: Vec<Uuid> =
            rows.iter().map(|row| row.try_get("", "id")).collect::<std::result::Result<_, _>>()?;
        if backward {
            ids.reverse();
        }
        let messages = self.in_order(conn, &ids).await?;
        CursorPage::assemble(messages, request.limit, &list, position.as_ref(), |message| message.id)
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
        use participant::{Column as P, Entity as Participants};
        // A direct thread can be neither left nor deleted, and its participants see all of it.
        let mut select = self.alive().filter(Column::ReceiverId.eq(user));
        if let Some(unread) = unread_only {
            QuerySelect::query(&mut select).join(
                JoinType::InnerJoin,
                Participants,
                Expr::col((Participants, P::ThreadId)).equals((Entity, Column::ThreadId)),
            );
            let seq = Expr::col((Entity, Column::Seq));
            let last_read = Expr::col((Participants, P::LastReadSeq));
            select = select.filter(is_in(user));
            select = if unread {
                select.filter(seq.gt(last_read)).filter(Column::SenderId.ne(user))
            } else {
                select.filter(seq.lte(last_read))
            };
        }
        self.page_of(conn, select, query, page).await
    }

    /// A page of the messages that the user sent, newest first.
    pub async fn outbox<C: ConnectionTrait>(
        self,
        conn: &C,
        user: Uuid,
        query: &ListQuery<Entity>,
        page: PageRequest,
    ) -> Result<Page<Message>> {
        self.page_of(conn, self.sent(user), query, page).await
    }

    /// Returns one page of `select`. Of the rows before it only the ids are read, and receipts are looked up for the
    /// rows of the page alone.
    async fn page_of<C: ConnectionTrait>(
        self,
        conn: &C,
        select: Select<Entity>,
        query: &ListQuery<Entity>,
        page: PageRequest,
    ) -> Result<Page<Message>> {
        let backend = conn.get_database_backend();
        let select = select.select_only().column(Column::Id);
        let total = select.clone().filter(query.condition(backend)).count(conn).await?;
        let Some(offset) = page.offset(total)? else {
            return Ok(Page::new(Vec::new(), total, page));
        };
        let ids = query.apply(select, backend).offset(offset).limit(page.size);
        let ids: Vec<Uuid> = ids.into_tuple().all(conn).await?;
        Ok(Page::new(self.in_order(conn, &ids).await?, total, page))
    }

    /// The messages of a thread that changed after version `since` up to `until`, tombstones included, in the order of
    /// their last change.
    pub async fn changed_since<C: ConnectionTrait>(
        self,
        conn: &C,
        user: Uuid,
        thread: Uuid,
        (since, until): (i64, i64),
        limit: u64,
    ) -> Result<Vec<(Option<Timestamp>, Message)>> {
        let select = self
            .seen_with_deleted(user)
            .filter(Column::ThreadId.eq(thread))
            .filter(Column::Version.gt(since))
            .filter(Column::Version.lte(until))
            .order_by_asc(Column::Version)
            .limit(limit);
        let rows = with_first_receipts(select).into_model::<MessageRow>().all(conn).await?;
        Ok(rows.into_iter().map(|row| (row.message.deleted_at, row.into())).collect())
    }

    /// Updates a message of a thread whose lock is held. Returns `None` if the message is deleted.
    pub async fn write(self, tx: &Tx, row: super::entity::ActiveModel) -> Result<Option<Model>> {
        Repository::update(&self, tx, row).await
    }

    /// A page of the participants who received a message, in the order of their ids.
    pub async fn receipts<C: ConnectionTrait>(
        self,
        conn: &C,
        message: &Message,
        page: PageRequest,
    ) -> Result<Page<Receipt>> {
        use participant::{Column as P, Entity as Participants};
        use receipt::{Column as R, Entity as Receipts};
        // A participant's receipts don't overlap: the first that ends at the message or later covers it, or none does.
        let at = |kind: ReceiptKind| {
            let covers = CaseStatement::new().case(R::FromSeq.lt(message.seq), Expr::col((Receipts, R::At)));
            let mut first = Query::select();
            first
                .expr(covers)
                .from(Receipts)
                .and_where(R::ThreadId.eq(message.thread_id))
                .and_where(Expr::col((Receipts, R::UserId)).equals((Participants, P::UserId)))
                .and_where(R::Kind.eq(kind))
                .and_where(R::Seq.gte(message.seq))
                .order_by((Receipts, R::Seq), Order::Asc)
                .limit(1);
            Expr::from(first.take())
        };
        let read_at = || at(ReceiptKind::Read);
        // Who read it without a `delivered` receipt before received it then.
        let delivered_at = || Func::coalesce([at(ReceiptKind::Delivered), read_at()]);
        let reached = Participants::find()
            .filter(P::ThreadId.eq(message.thread_id))
            .filter(P::LeftAt.is_null())
            .filter(P::UserId.ne(message.sender_id))
            .filter(P::LastDeliveredSeq.gte(message.seq))
            .filter(Expr::from(delivered_at()).is_not_null())
            .select_only()
            .column(P::UserId);
        let total = reached.clone().count(conn).await?;
        let Some(offset) = page.offset(total)? else {
            return Ok(Page::new(Vec::new(), total, page));
        };
        let mut select = reached
            .column_as(users::entity::Column::Username, "username")
            .expr_as(delivered_at(), "delivered_at")
            .expr_as(read_at(), "read_at")
            .order_by_asc(P::UserId)
            .offset(offset)
            .limit(page.size);
        QuerySelect::query(&mut select).join(
            JoinType::InnerJoin,
            users::entity::Entity,
            Expr::col((users::entity::Entity, users::entity::Column::Id)).equals((Participants, P::UserId)),
        );
        let rows = select.into_model::<ReceiptRow>().all(conn).await?;
        let items = rows.into_iter().map(|row| Receipt {
            user_id: row.user_id,
            username: row.username,
            // Of a folded day both times are those of its last receipt.
            delivered_at: row.read_at.map_or(row.delivered_at, |read| Ord::min(read, row.delivered_at)),
            read_at: row.read_at,
        });
        Ok(Page::new(items.collect(), total, page))
    }
}

#[derive(FromQueryResult)]
struct ReceiptRow {
    user_id: Uuid,
    username: String,
    delivered_at: Timestamp,
    read_at: Option<Timestamp>,
}

/// Adds to each message when it was first delivered to and read by somebody other than its sender: at most four
/// look-ups by primary key. See [`first_receipt`].
fn with_first_receipts(select: Select<Entity>) -> Select<Entity> {
    use first_receipt::{Column as F, Entity as FirstReceipts};
    let at = |kind: ReceiptKind, rank: i16| {
        let of_another = Expr::col((FirstReceipts, F::UserId)).ne(Expr::col((Entity, Column::SenderId)));
        let mut covering = Query::select();
        covering
            .expr(CaseStatement::new().case(of_another, Expr::col((FirstReceipts, F::At))))
            .from(FirstReceipts)
            .and_where(Expr::col((FirstReceipts, F::ThreadId)).equals((Entity, Column::ThreadId)))
            .and_where(F::Kind.eq(kind))
            .and_where(F::Rank.eq(rank))
            .and_where(Expr::col((FirstReceipts, F::Seq)).gte(Expr::col((Entity, Column::Seq))))
            .order_by((FirstReceipts, F::Seq), Order::Asc)
            .limit(1);
        Expr::from(covering.take())
    };
    // If the sender is the first, the second counts.
    let first = |kind| Func::coalesce([at(kind, 1), at(kind, 2)]);
    select.expr_as(first(ReceiptKind::Delivered), "delivered_at").expr_as(first(ReceiptKind::Read), "read_at")
}

async fn one<C: ConnectionTrait>(conn: &C, select: Select<Entity>) -> Result<Option<Message>> {
    Ok(with_first_receipts(select).into_model::<MessageRow>().one(conn).await?.map(Message::from))
}

async fn all<C: ConnectionTrait>(conn: &C, select: Select<Entity>) -> Result<Vec<Message>> {
    let rows = with_first_receipts(select).into_model::<MessageRow>().all(conn).await?;
    Ok(rows.into_iter().map(Message::from).collect())
}

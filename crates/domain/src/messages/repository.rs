//! Finding messages, each with when it was first delivered and read.

use std::collections::HashMap;

use groundwork_core::{
    Cursor, CursorPage, CursorRequest, ListQuery, Page, PageRequest, Repository, Result, Timestamp, Tx, Uuid,
    clock::first_id_at, repository::cursor_page_of,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, FromQueryResult, JoinType, Order, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, Select,
    prelude::Expr,
    sea_query::{Alias, ExprTrait, Query, SelectStatement, UnionType},
};

use super::{
    entity::{Column, Entity, Model},
    receipt::{self, ReceiptKind},
    types::{Message, MessageRow, Receipt},
};
use crate::{
    threads::{self, participant, repository::is_in},
    users,
};

/// How far the clocks of several servers may be apart.
const CLOCK_SLACK: std::time::Duration = std::time::Duration::from_hours(1);

/// The messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessageRepository;

impl Repository for MessageRepository {
    type Entity = Entity;
}

/// Which end of a thread a list begins at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// The newest first.
    #[default]
    Descending,
    /// The oldest first.
    Ascending,
}

impl MessageRepository {
    /// The messages that the user can see, alive or not: those of threads they are in now, since they joined.
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

    /// The message with that id, where the user can see it.
    pub async fn get_seen<C: ConnectionTrait>(
        self,
        conn: &C,
        user: Uuid,
        id: Uuid,
    ) -> Result<Option<Message>> {
        one(conn, self.seen(user).filter(Column::Id.eq(id))).await
    }

    /// The message with that id, whoever can see it.
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

    /// Some of the messages of a thread that the user can see.
    pub async fn list_of_thread<C: ConnectionTrait>(
        self,
        conn: &C,
        user: Uuid,
        thread: Uuid,
        matching: Condition,
        direction: Direction,
        request: &CursorRequest,
    ) -> Result<CursorPage<Message>> {
        let list = format!("messages:{thread}:{direction:?}");
        let select = self.seen(user).filter(Column::ThreadId.eq(thread)).filter(matching);
        let mut rows = with_receipts(select).cursor_by(Column::Seq);
        if direction == Direction::Descending {
            rows.desc();
        }
        let rows = rows.into_model::<MessageRow>();
        let page = cursor_page_of(conn, &list, request, rows, |row| row.message.seq).await?;
        Ok(page.map(Message::from))
    }

    /// The direct messages that `user` sent or received since `oldest`, newest first.
    ///
    /// Two ranges, one of each index, are cut to the page before they are put together, so that it costs the same
    /// however much there is.
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
        let mut found = self.by_ids(conn, ids.iter().copied()).await?;
        let messages: Vec<Message> = ids.iter().filter_map(|id| found.remove(id)).collect();
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
        let mut select = self.seen(user).filter(Column::ReceiverId.eq(user));
        let seq = || Expr::col((Entity, Column::Seq));
        let last_read = || Expr::col((Participants, P::LastReadSeq));
        select = match unread_only {
            Some(true) => select.filter(seq().gt(last_read())).filter(Column::SenderId.ne(user)),
            Some(false) => select.filter(seq().lte(last_read())),
            None => select,
        };
        page_of_messages(conn, select, query, page).await
    }

    /// A page of the messages that the user sent, newest first.
    pub async fn outbox<C: ConnectionTrait>(
        self,
        conn: &C,
        user: Uuid,
        query: &ListQuery<Entity>,
        page: PageRequest,
    ) -> Result<Page<Message>> {
        page_of_messages(conn, self.seen(user).filter(Column::SenderId.eq(user)), query, page).await
    }

    /// The messages of a thread that changed after `version`, tombstones included, in the order of their last change.
    pub async fn changed_since<C: ConnectionTrait>(
        self,
        conn: &C,
        user: Uuid,
        thread: Uuid,
        version: i64,
        limit: u64,
    ) -> Result<Vec<(Option<Timestamp>, Message)>> {
        let select = self
            .seen_with_deleted(user)
            .filter(Column::ThreadId.eq(thread))
            .filter(Column::Version.gt(version))
            .order_by_asc(Column::Version)
            .limit(limit);
        let rows = with_receipts(select).into_model::<MessageRow>().all(conn).await?;
        Ok(rows.into_iter().map(|row| (row.message.deleted_at, row.into())).collect())
    }

    /// Writes into a message of a thread whose lock is held. `None` where it is deleted.
    pub async fn write(self, tx: &Tx, row: super::entity::ActiveModel) -> Result<Option<Model>> {
        Repository::update(&self, tx, row).await
    }

    /// A page of those whom a message reached, in the order of their ids.
    pub async fn receipts<C: ConnectionTrait>(
        self,
        conn: &C,
        message: &Message,
        page: PageRequest,
    ) -> Result<Page<Receipt>> {
        use participant::{Column as P, Entity as Participants};
        let first = |kind: ReceiptKind| {
            Query::select()
                .column((receipt::Entity, receipt::Column::At))
                .from(receipt::Entity)
                .and_where(receipt::Column::ThreadId.eq(message.thread_id))
                .and_where(
                    Expr::col((receipt::Entity, receipt::Column::UserId)).equals((Participants, P::UserId)),
                )
                .and_where(receipt::Column::Kind.eq(kind))
                .and_where(receipt::Column::Seq.gte(message.seq))
                .and_where(receipt::Column::FromSeq.lt(message.seq))
                .order_by((receipt::Entity, receipt::Column::Seq), Order::Asc)
                .limit(1)
                .take()
        };
        let reached = Participants::find()
            .filter(P::ThreadId.eq(message.thread_id))
            .filter(P::LeftAt.is_null())
            .filter(P::UserId.ne(message.sender_id))
            .filter(P::LastDeliveredSeq.gte(message.seq))
            .filter(Expr::exists(first(ReceiptKind::Delivered)));
        let total = reached.clone().count(conn).await?;
        let mut select = reached
            .select_only()
            .column(P::UserId)
            .column_as(users::entity::Column::Username, "username")
            .expr_as(Expr::from(first(ReceiptKind::Delivered)), "delivered_at")
            .expr_as(Expr::from(first(ReceiptKind::Read)), "read_at")
            .order_by_asc(P::UserId)
            .offset(page.offset())
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
            delivered_at: row.delivered_at,
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

/// Adds to each message when it was first delivered to and read by somebody besides its sender.
fn with_receipts(select: Select<Entity>) -> Select<Entity> {
    use receipt::{Column as K, Entity as Receipts};
    // Looking from the message's own time on, as no mark that reaches it can be older.
    let first = |kind: ReceiptKind| {
        Query::select()
            .column((Receipts, K::At))
            .from(Receipts)
            .and_where(Expr::col((Receipts, K::ThreadId)).equals((Entity, Column::ThreadId)))
            .and_where(Expr::col((Receipts, K::Kind)).eq(kind))
            .and_where(Expr::col((Receipts, K::At)).gte(Expr::col((Entity, Column::CreatedAt))))
            .and_where(Expr::col((Receipts, K::Seq)).gte(Expr::col((Entity, Column::Seq))))
            .and_where(Expr::col((Receipts, K::FromSeq)).lt(Expr::col((Entity, Column::Seq))))
            .and_where(Expr::col((Receipts, K::UserId)).ne(Expr::col((Entity, Column::SenderId))))
            .order_by((Receipts, K::At), Order::Asc)
            .limit(1)
            .take()
    };
    select
        .expr_as(Expr::from(first(ReceiptKind::Delivered)), "delivered_at")
        .expr_as(Expr::from(first(ReceiptKind::Read)), "read_at")
}

async fn one<C: ConnectionTrait>(conn: &C, select: Select<Entity>) -> Result<Option<Message>> {
    Ok(with_receipts(select).into_model::<MessageRow>().one(conn).await?.map(Message::from))
}

async fn all<C: ConnectionTrait>(conn: &C, select: Select<Entity>) -> Result<Vec<Message>> {
    let rows = with_receipts(select).into_model::<MessageRow>().all(conn).await?;
    Ok(rows.into_iter().map(Message::from).collect())
}

async fn page_of_messages<C: ConnectionTrait>(
    conn: &C,
    select: Select<Entity>,
    query: &ListQuery<Entity>,
    page: PageRequest,
) -> Result<Page<Message>> {
    let backend = conn.get_database_backend();
    let total = select.clone().filter(query.condition(backend)).count(conn).await?;
    let select = query.apply(select, backend).offset(page.offset()).limit(page.size);
    Ok(Page::new(all(conn, select).await?, total, page))
}

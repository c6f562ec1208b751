//! Queries for messages, each with the times when it was first delivered and read.

use std::collections::{HashMap, HashSet};

use groundwork_core::{
    Page, PageRequest, Repository, Result, Timestamp, Tx, Uuid,
    repository::{Count, page_of_rows},
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, JoinType, Order, QueryFilter, QueryOrder,
    QueryResult, QuerySelect, QueryTrait, Select,
    prelude::Expr,
    sea_query::{Alias, Asterisk, CaseStatement, ExprTrait, Func, Query},
};

use super::{
    entity::{Column, Entity, Model},
    listed::{Listed, listed, with_first_receipts},
    receipt::{self, ReceiptKind},
    types::{Message, MessageRow, Receipt},
};
use crate::{
    threads::{self, participant, repository::is_in},
    users,
};

/// The messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessageRepository;

impl Repository for MessageRepository {
    type Entity = Entity;
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
    pub(super) fn sent(self, user: Uuid) -> Select<Entity> {
        let mut select = self.alive();
        QuerySelect::query(&mut select).join(
            JoinType::InnerJoin,
            threads::entity::Entity,
            Expr::col((threads::entity::Entity, threads::entity::Column::Id))
                .equals((Entity, Column::ThreadId)),
        );
        select.filter(Column::SenderId.eq(user)).filter(threads::entity::Column::DeletedAt.is_null())
    }

    /// As [`get_seen`](Self::get_seen), with its author.
    pub async fn get_listed<C: ConnectionTrait>(
        self,
        conn: &C,
        user: Uuid,
        id: Uuid,
    ) -> Result<Option<Listed>> {
        let row = conn.query_one(&listed(self.seen(user).filter(Column::Id.eq(id))).into_query()).await?;
        Ok(row.as_ref().map(Listed::read).transpose()?)
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
        let count = Count::to_bound(reached.clone().into_query(), page);
        let mut select = reached
            .column_as(users::entity::Column::Username, "username")
            .expr_as(delivered_at(), "delivered_at")
            .expr_as(read_at(), "read_at")
            .order_by_asc(P::UserId)
            .offset(page.offset()?)
            .limit(page.size);
        QuerySelect::query(&mut select).join(
            JoinType::InnerJoin,
            users::entity::Entity,
            Expr::col((users::entity::Entity, users::entity::Column::Id)).equals((Participants, P::UserId)),
        );
        let receipt = |row: &QueryResult| {
            let row = ReceiptRow::from_query_result(row, "")?;
            Ok(Receipt {
                user_id: row.user_id,
                username: row.username,
                // Of a folded day both times are those of its last receipt.
                delivered_at: row.read_at.map_or(row.delivered_at, |read| Ord::min(read, row.delivered_at)),
                read_at: row.read_at,
            })
        };
        page_of_rows(conn, page, select.into_query(), count, receipt).await
    }
}

#[derive(FromQueryResult)]
struct ReceiptRow {
    user_id: Uuid,
    username: String,
    delivered_at: Timestamp,
    read_at: Option<Timestamp>,
}

async fn one<C: ConnectionTrait>(conn: &C, select: Select<Entity>) -> Result<Option<Message>> {
    Ok(with_first_receipts(select).into_model::<MessageRow>().one(conn).await?.map(Message::from))
}

async fn all<C: ConnectionTrait>(conn: &C, select: Select<Entity>) -> Result<Vec<Message>> {
    let rows = with_first_receipts(select).into_model::<MessageRow>().all(conn).await?;
    Ok(rows.into_iter().map(Message::from).collect())
}

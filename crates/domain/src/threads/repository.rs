//! Finding threads and their participants.

use std::collections::HashMap;

use groundwork_core::{
    CursorPage, CursorRequest, Error, ListQuery, Page, PageRequest, Repository, Result, Timestamp, Tx, Uuid,
    repository::cursor_page_of,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, FromQueryResult, JoinType, Order, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select, UpdateMany, Value,
    prelude::Expr,
    sea_query::{Alias, ExprTrait, Func, IntoIden, Query, SelectStatement, UnionType},
};

use super::{
    entity::{self, Column, Entity},
    participant::{self, Role},
    types::{Participant, SHOWN_PARTICIPANTS},
};
use crate::{messages, users};

/// The threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadRepository;

impl Repository for ThreadRepository {
    type Entity = Entity;
}

/// What a participant's view of a thread has besides the thread.
#[derive(Clone, Copy, Debug, FromQueryResult)]
pub struct Standing {
    /// The thread.
    pub thread_id: Uuid,
    /// How many messages of others they have not read.
    pub unread_count: i64,
    /// The last message that they can see.
    pub last_message_id: Option<Uuid>,
}

#[derive(FromQueryResult)]
struct ParticipantRow {
    thread_id: Uuid,
    user_id: Uuid,
    username: String,
    role: Role,
    joined_at: Timestamp,
    last_delivered_seq: i64,
    last_read_seq: i64,
}

impl From<ParticipantRow> for Participant {
    fn from(row: ParticipantRow) -> Self {
        Self {
            id: row.user_id,
            username: row.username,
            role: row.role,
            joined_at: row.joined_at,
            last_delivered_seq: row.last_delivered_seq,
            last_read_seq: row.last_read_seq,
        }
    }
}

/// A participant whose role or membership changed.
#[derive(Clone, Debug)]
pub struct ChangedParticipant {
    /// The version of the thread after the change.
    pub version: i64,
    /// When they left, or null.
    pub left_at: Option<Timestamp>,
    /// The participant, also one who left.
    pub participant: Participant,
}

/// That the user of the row is in the thread now.
pub fn is_in(user: Uuid) -> Condition {
    Condition::all().add(participant::Column::UserId.eq(user)).add(participant::Column::LeftAt.is_null())
}

impl ThreadRepository {
    /// The threads that the user is in.
    pub fn of_user(self, user: Uuid) -> Select<Entity> {
        let mut select = self.alive();
        QuerySelect::query(&mut select).join(
            JoinType::InnerJoin,
            participant::Entity,
            Expr::col((participant::Entity, participant::Column::ThreadId)).equals((Entity, Column::Id)),
        );
        select.filter(is_in(user))
    }

    /// Some of the threads that the user is in, the latest activity first.
    pub async fn list_of_user<C: ConnectionTrait>(
        self,
        conn: &C,
        user: Uuid,
        query: &ListQuery<Entity>,
        request: &CursorRequest,
    ) -> Result<CursorPage<entity::Model>> {
        let list = format!("threads:{user}");
        let matching = query.condition(conn.get_database_backend());
        let mut rows = self.of_user(user).filter(matching).cursor_by((Column::LastActivityAt, Column::Id));
        rows.desc();
        cursor_page_of(conn, &list, request, rows, |row| (row.last_activity_at, row.id)).await
    }

    /// Locks a thread and gives it its next version. Nothing else changes in the thread until the transaction ends.
    /// Errors: `not_found`.
    pub async fn next_version(self, tx: &Tx, thread: Uuid) -> Result<entity::Model> {
        first_of(bump(tx, thread).exec_with_returning(tx).await?)
    }

    /// As [`next_version`](Self::next_version), and takes the next `seq` as well. Its `last_activity_at` is the new message's time,
    /// which is never before that of the message before it. Errors: `not_found`.
    pub async fn next_message(self, tx: &Tx, thread: Uuid) -> Result<entity::Model> {
        let later = Func::greatest([Expr::col(Column::LastActivityAt), Expr::value(Value::from(tx.now()))]);
        let update = bump(tx, thread)
            .col_expr(Column::LastSeq, Expr::col(Column::LastSeq).add(1))
            .col_expr(Column::LastActivityAt, later.into());
        first_of(update.exec_with_returning(tx).await?)
    }

    /// The direct thread with that key.
    pub async fn find_direct<C: ConnectionTrait>(self, conn: &C, key: &str) -> Result<Option<entity::Model>> {
        Ok(self.alive().filter(Column::DirectKey.eq(key)).one(conn).await?)
    }

    /// The user's row in the thread. Errors: `not_found` (of the thread) where they are not in it now.
    pub async fn participant<C: ConnectionTrait>(
        self,
        conn: &C,
        thread: Uuid,
        user: Uuid,
    ) -> Result<participant::Model> {
        let found = participant::Entity::find_by_id((thread, user))
            .filter(participant::Column::LeftAt.is_null())
            .one(conn)
            .await?;
        found.ok_or_else(|| Error::not_found("thread"))
    }

    /// What the user's view has of each of these threads: one statement, which reads no more than the unread messages
    /// themselves.
    pub async fn standings<C: ConnectionTrait>(
        self,
        conn: &C,
        user: Uuid,
        threads: &[Uuid],
    ) -> Result<HashMap<Uuid, Standing>> {
        use messages::entity::{Column as M, Entity as Messages};
        use participant::{Column as P, Entity as Participants};
        let of_thread = || {
            Query::select()
                .from(Messages)
                .and_where(Expr::col((Messages, M::ThreadId)).equals((Participants, P::ThreadId)))
                .and_where(Expr::col((Messages, M::DeletedAt)).is_null())
                .and_where(Expr::col((Messages, M::Seq)).gt(Expr::col((Participants, P::JoinedSeq))))
                .take()
        };
        let unread = of_thread()
            .expr(Expr::col((Messages, M::Id)).count())
            .and_where(Expr::col((Messages, M::Seq)).gt(Expr::col((Participants, P::LastReadSeq))))
            .and_where(Expr::col((Messages, M::SenderId)).ne(Expr::col((Participants, P::UserId))))
            .take();
        let last =
            of_thread().column((Messages, M::Id)).order_by((Messages, M::Seq), Order::Desc).limit(1).take();
        let found = Participants::find()
            .select_only()
            .column(P::ThreadId)
            .expr_as(Expr::from(unread), "unread_count")
            .expr_as(Expr::from(last), "last_message_id")
            .filter(is_in(user))
            .filter(P::ThreadId.is_in(threads.iter().copied()))
            .into_model::<Standing>()
            .all(conn)
            .await?;
        Ok(found.into_iter().map(|standing| (standing.thread_id, standing)).collect())
    }

    /// The first participants of each of these threads: one statement, however large the threads are.
    pub async fn first_participants<C: ConnectionTrait>(
        self,
        conn: &C,
        threads: &[Uuid],
    ) -> Result<HashMap<Uuid, Vec<Participant>>> {
        // One range of the primary key for each thread, put together.
        let mut parts = threads.iter().map(|thread| {
            let mut part = participants_of(*thread);
            part.order_by((participant::Entity, participant::Column::UserId), Order::Asc)
                .limit(SHOWN_PARTICIPANTS);
            let alias = Alias::new("part").into_iden();
            Query::select().expr(Expr::col(sea_orm::sea_query::Asterisk)).from_subquery(part, alias).take()
        });
        let Some(mut all) = parts.next() else {
            return Ok(HashMap::new());
        };
        all.unions(parts.map(|part| (UnionType::All, part)));
        let rows = conn.query_all(&all).await?;
        let mut by_thread: HashMap<Uuid, Vec<Participant>> = HashMap::new();
        for row in rows {
            let row = ParticipantRow::from_query_result(&row, "")?;
            by_thread.entry(row.thread_id).or_default().push(row.into());
        }
        Ok(by_thread)
    }

    /// A page of the participants of a thread, in the order of their ids.
    pub async fn list_participants<C: ConnectionTrait>(
        self,
        conn: &C,
        thread: Uuid,
        page: PageRequest,
    ) -> Result<Page<Participant>> {
        let here = participant::Entity::find()
            .filter(participant::Column::ThreadId.eq(thread))
            .filter(participant::Column::LeftAt.is_null());
        let total = here.count(conn).await?;
        let Some(offset) = page.offset(total)? else {
            return Ok(Page::new(Vec::new(), total, page));
        };
        let mut select = participants_of(thread);
        select
            .order_by((participant::Entity, participant::Column::UserId), Order::Asc)
            .offset(offset)
            .limit(page.size);
        let rows = conn.query_all(&select).await?;
        let items = rows.iter().map(|row| Ok(ParticipantRow::from_query_result(row, "")?.into()));
        Ok(Page::new(items.collect::<Result<_>>()?, total, page))
    }

    /// One participant of a thread, as they are shown. Errors: `not_found`.
    pub async fn shown_participant<C: ConnectionTrait>(
        self,
        conn: &C,
        thread: Uuid,
        user: Uuid,
    ) -> Result<Participant> {
        let mut select = participants_of(thread);
        select.and_where(participant::Column::UserId.eq(user));
        let row = conn.query_one(&select).await?.ok_or_else(|| Error::not_found("participant"))?;
        Ok(ParticipantRow::from_query_result(&row, "")?.into())
    }

    /// The first `limit` versions in `(since, until]` at which participants last changed, each with how many of them.
    pub async fn participant_versions<C: ConnectionTrait>(
        self,
        conn: &C,
        thread: Uuid,
        (since, until): (i64, i64),
        limit: u64,
    ) -> Result<Vec<(i64, u64)>> {
        let rows: Vec<(i64, i64)> = participant::Entity::find()
            .select_only()
            .column(participant::Column::Version)
            .column_as(participant::Column::UserId.count(), "count")
            .filter(participant::Column::ThreadId.eq(thread))
            .filter(participant::Column::Version.gt(since))
            .filter(participant::Column::Version.lte(until))
            .group_by(participant::Column::Version)
            .order_by_asc(participant::Column::Version)
            .limit(limit)
            .into_tuple()
            .all(conn)
            .await?;
        Ok(rows.into_iter().map(|(version, count)| (version, count.unsigned_abs())).collect())
    }

    /// The participants who last changed at a version in `(since, until]`, also those who left.
    pub async fn changed_participants<C: ConnectionTrait>(
        self,
        conn: &C,
        thread: Uuid,
        (since, until): (i64, i64),
    ) -> Result<Vec<ChangedParticipant>> {
        use participant::{Column as P, Entity as Participants};
        let mut select = everybody_of(thread);
        select
            .columns([(Participants, P::Version), (Participants, P::LeftAt)])
            .and_where(P::Version.gt(since))
            .and_where(P::Version.lte(until))
            .order_by((Participants, P::Version), Order::Asc)
            .order_by((Participants, P::UserId), Order::Asc);
        let rows = conn.query_all(&select).await?;
        let changed = rows.iter().map(|row| {
            Ok(ChangedParticipant {
                version: row.try_get("", "version")?,
                left_at: row.try_get("", "left_at")?,
                participant: ParticipantRow::from_query_result(row, "")?.into(),
            })
        });
        changed.collect()
    }

    /// How many owners a thread has, besides `except`.
    pub async fn other_owners<C: ConnectionTrait>(
        self,
        conn: &C,
        thread: Uuid,
        except: &[Uuid],
    ) -> Result<u64> {
        let owners = participant::Entity::find()
            .filter(participant::Column::ThreadId.eq(thread))
            .filter(participant::Column::LeftAt.is_null())
            .filter(participant::Column::Role.eq(Role::Owner))
            .filter(participant::Column::UserId.is_not_in(except.iter().copied()));
        Ok(owners.count(conn).await?)
    }
}

fn bump(tx: &Tx, thread: Uuid) -> UpdateMany<Entity> {
    Entity::update_many()
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .col_expr(Column::UpdatedAt, Expr::value(Value::from(tx.now())))
        .filter(Column::Id.eq(thread))
        .filter(Column::DeletedAt.is_null())
}

fn first_of(rows: Vec<entity::Model>) -> Result<entity::Model> {
    rows.into_iter().next().ok_or_else(|| Error::not_found("thread"))
}

/// The participants of a thread with their names.
fn participants_of(thread: Uuid) -> SelectStatement {
    let mut select = everybody_of(thread);
    select.and_where(participant::Column::LeftAt.is_null());
    select
}

/// The participants of a thread, and those who left it, with their names.
fn everybody_of(thread: Uuid) -> SelectStatement {
    use participant::{Column as P, Entity as Participants};
    let mut select = Participants::find()
        .select_only()
        .columns([P::ThreadId, P::UserId, P::Role, P::JoinedAt, P::LastDeliveredSeq, P::LastReadSeq])
        .filter(P::ThreadId.eq(thread))
        .into_query();
    select.column((users::entity::Entity, users::entity::Column::Username)).inner_join(
        users::entity::Entity,
        Expr::col((users::entity::Entity, users::entity::Column::Id)).equals((Participants, P::UserId)),
    );
    select
}

//! The queries for the participants of threads.

use std::collections::HashMap;

use groundwork_core::{
    Error, Page, PageRequest, Result, Timestamp, Tx, Uuid,
    repository::{Count, page_of_rows},
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, Order, QueryFilter, QueryOrder, QueryResult,
    QuerySelect, QueryTrait, Value,
    prelude::Expr,
    sea_query::{
        Alias, Asterisk, CaseStatement, ExprTrait, Func, IntoIden, OnConflict, Query, SelectStatement,
        UnionType,
    },
};

use super::{
    entity::{Column as T, Entity as Threads},
    participant::{ActiveModel, Column, Entity, Model, Role},
    repository::ThreadRepository,
    types::{Participant, SHOWN_PARTICIPANTS},
};
use crate::users;

/// The maximum number of parts of a statement. SQLite takes 500.
const PARTS: usize = 250;

#[derive(FromQueryResult)]
struct ParticipantRow {
    thread_id: Uuid,
    user_id: Uuid,
    username: String,
    is_active: bool,
    deleted_at: Option<Timestamp>,
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
            is_active: row.is_active && row.deleted_at.is_none(),
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

impl ThreadRepository {
    /// Returns the row of a user who is in the thread now.
    ///
    /// # Errors
    /// `not_found` (of the thread) if they are not.
    pub async fn participant<C: ConnectionTrait>(self, conn: &C, thread: Uuid, user: Uuid) -> Result<Model> {
        let found = Entity::find_by_id((thread, user)).filter(Column::LeftAt.is_null()).one(conn).await?;
        found.ok_or_else(|| Error::not_found("thread"))
    }

    /// Returns the rows of these users, also of those who left.
    pub async fn rows_of(self, tx: &Tx, thread: Uuid, users: &[Uuid]) -> Result<Vec<Model>> {
        let rows = Entity::find()
            .filter(Column::ThreadId.eq(thread))
            .filter(Column::UserId.is_in(users.iter().copied()));
        Ok(rows.all(tx).await?)
    }

    /// Writes the rows of users who join, also of those who were in the thread before.
    pub async fn join(self, tx: &Tx, rows: impl IntoIterator<Item = ActiveModel>) -> Result<()> {
        let mut again = OnConflict::columns([Column::ThreadId, Column::UserId]);
        again.update_columns([
            Column::Role,
            Column::JoinedAt,
            Column::JoinedSeq,
            Column::JoinedVersion,
            Column::LeftAt,
            Column::LastDeliveredSeq,
            Column::LastReadSeq,
            Column::Version,
            Column::SentSinceRead,
        ]);
        Entity::insert_many(rows).on_conflict(again).exec_without_returning(tx).await?;
        Ok(())
    }

    /// Marks users as having left, the first at the thread's `version`, and each further one at the next.
    pub async fn leave(self, tx: &Tx, thread: Uuid, users: &[Uuid], version: i64) -> Result<()> {
        let versions = users.iter().zip(version..).fold(CaseStatement::new(), |case, (user, version)| {
            case.case(Column::UserId.eq(*user), Expr::value(version))
        });
        Entity::update_many()
            .col_expr(Column::LeftAt, Expr::value(Value::from(tx.now())))
            .col_expr(Column::Version, versions.into())
            .filter(Column::ThreadId.eq(thread))
            .filter(Column::UserId.is_in(users.iter().copied()))
            .exec(tx)
            .await?;
        Ok(())
    }

    /// Sets the role of a participant at the thread's `version`.
    pub async fn set_role(self, tx: &Tx, thread: Uuid, user: Uuid, role: Role, version: i64) -> Result<()> {
        Entity::update_many()
            .col_expr(Column::Role, Expr::value(Value::from(role)))
            .col_expr(Column::Version, Expr::value(version))
            .filter(Column::ThreadId.eq(thread))
            .filter(Column::UserId.eq(user))
            .exec(tx)
            .await?;
        Ok(())
    }

    /// Returns the first participants of each of these threads, in one statement for each 250 threads, which reads only
    /// those.
    pub async fn first_participants<C: ConnectionTrait>(
        self,
        conn: &C,
        threads: &[Uuid],
    ) -> Result<HashMap<Uuid, Vec<Participant>>> {
        let mut by_thread = HashMap::new();
        for threads in threads.chunks(PARTS) {
            self.add_first_participants(conn, threads, &mut by_thread).await?;
        }
        Ok(by_thread)
    }

    async fn add_first_participants<C: ConnectionTrait>(
        self,
        conn: &C,
        threads: &[Uuid],
        by_thread: &mut HashMap<Uuid, Vec<Participant>>,
    ) -> Result<()> {
        // One range of the primary key for each thread.
        let mut parts = threads.iter().map(|thread| {
            let mut part = participants_of(*thread);
            part.order_by((Entity, Column::UserId), Order::Asc).limit(SHOWN_PARTICIPANTS);
            let alias = Alias::new("part").into_iden();
            Query::select().expr(Expr::col(Asterisk)).from_subquery(part, alias).take()
        });
        let Some(mut all) = parts.next() else {
            return Ok(());
        };
        all.unions(parts.map(|part| (UnionType::All, part)));
        let rows = conn.query_all(&all).await?;
        for row in rows {
            let row = ParticipantRow::from_query_result(&row, "")?;
            by_thread.entry(row.thread_id).or_default().push(row.into());
        }
        Ok(())
    }

    /// Returns a page of the participants of a thread, in the order of their ids.
    pub async fn list_participants<C: ConnectionTrait>(
        self,
        conn: &C,
        thread: Uuid,
        page: PageRequest,
    ) -> Result<Page<Participant>> {
        // The thread knows their number, so that they are not counted.
        let count = Query::select()
            .expr(Func::cast_as(Expr::col(T::ParticipantCount), "bigint"))
            .from(Threads)
            .and_where(T::Id.eq(thread))
            .take();
        let mut select = participants_of(thread);
        select.order_by((Entity, Column::UserId), Order::Asc).offset(page.offset()?).limit(page.size);
        let read = |row: &QueryResult| Ok(ParticipantRow::from_query_result(row, "")?.into());
        page_of_rows(conn, page, select, Count::exact(count), read).await
    }

    /// Returns one participant of a thread.
    ///
    /// # Errors
    /// `not_found`
    pub async fn shown_participant<C: ConnectionTrait>(
        self,
        conn: &C,
        thread: Uuid,
        user: Uuid,
    ) -> Result<Participant> {
        let mut found = self.shown_participants(conn, thread, &[user]).await?;
        found.pop().ok_or_else(|| Error::not_found("participant"))
    }

    /// Returns those of the users who are in the thread, in the order of their ids.
    pub async fn shown_participants<C: ConnectionTrait>(
        self,
        conn: &C,
        thread: Uuid,
        users: &[Uuid],
    ) -> Result<Vec<Participant>> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let mut select = participants_of(thread);
        select
            .and_where(Column::UserId.is_in(users.iter().copied()))
            .order_by((Entity, Column::UserId), Order::Asc);
        let rows = conn.query_all(&select).await?;
        rows.iter().map(|row| Ok(ParticipantRow::from_query_result(row, "")?.into())).collect()
    }

    /// Returns these participants of any threads, also those who left, by thread and user.
    pub async fn participants_by_keys<C: ConnectionTrait>(
        self,
        conn: &C,
        keys: &[(Uuid, Uuid)],
    ) -> Result<HashMap<(Uuid, Uuid), Participant>> {
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let mut select = everybody();
        select.and_where(is_one_of(keys));
        let rows = conn.query_all(&select).await?;
        let found = rows.iter().map(|row| {
            let row = ParticipantRow::from_query_result(row, "")?;
            Ok(((row.thread_id, row.user_id), row.into()))
        });
        found.collect()
    }

    /// Returns the first `limit` versions in `(since, until]` at which participants last changed, each with how many of them.
    pub async fn participant_versions<C: ConnectionTrait>(
        self,
        conn: &C,
        thread: Uuid,
        (since, until): (i64, i64),
        limit: u64,
    ) -> Result<Vec<(i64, u64)>> {
        let rows: Vec<(i64, i64)> = Entity::find()
            .select_only()
            .column(Column::Version)
            .column_as(Column::UserId.count(), "count")
            .filter(Column::ThreadId.eq(thread))
            .filter(Column::Version.gt(since))
            .filter(Column::Version.lte(until))
            .group_by(Column::Version)
            .order_by_asc(Column::Version)
            .limit(limit)
            .into_tuple()
            .all(conn)
            .await?;
        Ok(rows.into_iter().map(|(version, count)| (version, count.unsigned_abs())).collect())
    }

    /// Returns the participants who last changed at a version in `(since, until]`, also those who left.
    pub async fn changed_participants<C: ConnectionTrait>(
        self,
        conn: &C,
        thread: Uuid,
        (since, until): (i64, i64),
    ) -> Result<Vec<ChangedParticipant>> {
        let mut select = everybody_of(thread);
        select
            .columns([(Entity, Column::Version), (Entity, Column::LeftAt)])
            .and_where(Column::Version.gt(since))
            .and_where(Column::Version.lte(until));
        let rows = conn.query_all(&select).await?;
        let changed = rows.iter().map(|row| {
            Ok(ChangedParticipant {
                version: row.try_get("", "version")?,
                left_at: row.try_get("", "left_at")?,
                participant: ParticipantRow::from_query_result(row, "")?.into(),
            })
        });
        let mut changed = changed.collect::<Result<Vec<_>>>()?;
        changed.sort_unstable_by_key(|changed| (changed.version, changed.participant.id));
        Ok(changed)
    }
}

/// Selects the participants of a thread with their names.
fn participants_of(thread: Uuid) -> SelectStatement {
    let mut select = everybody_of(thread);
    select.and_where(Column::LeftAt.is_null());
    select
}

/// Selects the participants of a thread, and those who left it, with their names.
fn everybody_of(thread: Uuid) -> SelectStatement {
    let mut select = everybody();
    select.and_where(Column::ThreadId.eq(thread));
    select
}

/// The condition that a participant is one of these, each a thread and a user.
pub(super) fn is_one_of(keys: &[(Uuid, Uuid)]) -> Expr {
    let keys = Query::select()
        .expr(Expr::col(Asterisk))
        .from_values(keys.iter().copied(), Alias::new("keys"))
        .take();
    Expr::tuple([Expr::col((Entity, Column::ThreadId)), Expr::col((Entity, Column::UserId))])
        .in_subquery(keys)
}

fn everybody() -> SelectStatement {
    let mut select = Entity::find()
        .select_only()
        .columns([
            Column::ThreadId,
            Column::UserId,
            Column::Role,
            Column::JoinedAt,
            Column::LastDeliveredSeq,
            Column::LastReadSeq,
        ])
        .into_query();
    select
        .columns([
            (users::entity::Entity, users::entity::Column::Username),
            (users::entity::Entity, users::entity::Column::IsActive),
            (users::entity::Entity, users::entity::Column::DeletedAt),
        ])
        .inner_join(users::entity::Entity, on_user());
    select
}

/// The condition that joins participants with their users.
pub(super) fn on_user() -> Expr {
    Expr::col((users::entity::Entity, users::entity::Column::Id)).equals((Entity, Column::UserId))
}

//! The queries for threads.

use std::collections::HashMap;

use groundwork_core::{
    CursorPage, CursorRequest, Error, ListQuery, Repository, Result, Timestamp, Tx, Uuid,
    events::feed::Follow, repository::cursor_page_of,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, JoinType, Order,
    QueryFilter, QuerySelect, Select, TryInsertResult, UpdateMany, Value,
    prelude::Expr,
    sea_query::{Alias, Asterisk, ExprTrait, Func, OnConflict, Query, SelectStatement},
};

use super::{
    controller::shows_presence,
    entity::{self, ActiveModel, Column, Entity, ThreadType},
    participant::{self, Role},
    recent,
    unread::{on_thread, unread, visible},
};
use crate::messages;

/// The queries for threads and their participants.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadRepository;

impl Repository for ThreadRepository {
    type Entity = Entity;
}

/// What a thread looks like to one of its participants, besides the thread itself.
#[derive(Clone, Copy, Debug, FromQueryResult)]
pub struct Standing {
    /// The thread.
    pub thread_id: Uuid,
    /// Their role.
    pub role: Role,
    /// When they last joined.
    pub joined_at: Timestamp,
    /// Their delivered position.
    pub last_delivered_seq: i64,
    /// Their read position.
    pub last_read_seq: i64,
    /// The number of messages of others after their read position.
    pub unread_count: i64,
    /// The last message that they can see.
    pub last_message_id: Option<Uuid>,
}

/// The condition that the user is in the thread now.
pub fn is_in(user: Uuid) -> Condition {
    Condition::all().add(participant::Column::UserId.eq(user)).add(participant::Column::LeftAt.is_null())
}

impl ThreadRepository {
    /// Selects the threads that the user is in.
    fn of_user(self, user: Uuid) -> Select<Entity> {
        let mut select = self.alive();
        QuerySelect::query(&mut select).join(JoinType::InnerJoin, participant::Entity, on_thread());
        select.filter(is_in(user))
    }

    /// Returns a thread that the user is in.
    pub async fn get_of_user<C: ConnectionTrait>(
        self,
        conn: &C,
        user: Uuid,
        thread: Uuid,
    ) -> Result<Option<entity::Model>> {
        Ok(self.of_user(user).filter(Column::Id.eq(thread)).one(conn).await?)
    }

    /// Returns a page of the threads that the user is in, the latest activity first. Reads not much more than the page,
    /// or with a filter all threads of the user.
    pub async fn list_of_user<C: ConnectionTrait>(
        self,
        conn: &C,
        user: Uuid,
        query: &ListQuery<Entity>,
        request: &CursorRequest,
    ) -> Result<CursorPage<entity::Model>> {
        let list = format!("threads:{user}");
        let matching = query.condition(conn.get_database_backend());
        let listed =
            if matching.is_empty() { recent::around(user, request, &list)? } else { recent::all_of(user) };
        let rows = self.alive().filter(Column::Id.in_subquery(listed)).filter(matching);
        let mut rows = rows.cursor_by((Column::LastActivityAt, Column::Id));
        rows.desc();
        cursor_page_of(conn, &list, request, rows, |row| (row.last_activity_at, row.id)).await
    }

    /// Returns the threads that the user is in, as subjects that they follow. `hidden` says that nobody may see when they
    /// are online.
    pub async fn follows<C: ConnectionTrait>(
        self,
        conn: &C,
        user: Uuid,
        hidden: bool,
    ) -> Result<Vec<Follow>> {
        use participant::{Column as P, Entity as Participants};
        let mut threads =
            self.of_user(user).select_only().columns([Column::Id, Column::Kind, Column::ParticipantCount]);
        QuerySelect::query(&mut threads)
            .columns([(Participants, P::JoinedVersion), (Participants, P::JoinedSeq)]);
        let found: Vec<(Uuid, ThreadType, i32, i64, i64)> = threads.into_tuple().all(conn).await?;
        let follow = |(subject, kind, participants, from_version, after_place)| Follow {
            subject,
            from_version,
            after_place,
            shows_presence: !hidden && shows_presence(kind, participants),
        };
        Ok(found.into_iter().map(follow).collect())
    }

    /// Locks a thread and increments its version. Nothing else changes in the thread until the transaction ends.
    ///
    /// # Errors
    /// `not_found`
    pub async fn next_version(self, tx: &Tx, thread: Uuid) -> Result<entity::Model> {
        first_of(bump(tx, thread).exec_with_returning(tx).await?)
    }

    /// As [`next_version`](Self::next_version), and increments `last_seq` as well. `last_activity_at` becomes the time of
    /// the new message, which is never before that of the previous one.
    ///
    /// # Errors
    /// `not_found`
    pub async fn next_message(self, tx: &Tx, thread: Uuid) -> Result<entity::Model> {
        let later = Func::greatest([Expr::col(Column::LastActivityAt), Expr::value(Value::from(tx.now()))]);
        let update = bump(tx, thread)
            .col_expr(Column::LastSeq, Expr::col(Column::LastSeq).add(1))
            .col_expr(Column::LastActivityAt, later.into());
        first_of(update.exec_with_returning(tx).await?)
    }

    /// Inserts a thread.
    pub async fn insert(self, tx: &Tx, row: ActiveModel) -> Result<()> {
        Entity::insert(row).exec_without_returning(tx).await?;
        Ok(())
    }

    /// Inserts a direct thread, unless there is one with its key. Returns whether it was inserted.
    pub async fn insert_direct(self, tx: &Tx, row: ActiveModel) -> Result<bool> {
        let mut on_key = OnConflict::column(Column::DirectKey);
        let insert = Entity::insert(row).on_conflict(on_key.do_nothing().to_owned()).try_insert();
        let inserted = insert.exec_without_returning(tx).await?;
        Ok(matches!(inserted, TryInsertResult::Inserted(1..)))
    }

    /// Sets the number of participants and the version of a thread that the transaction has locked.
    pub async fn set_participants(self, tx: &Tx, thread: Uuid, count: i32, version: i64) -> Result<()> {
        Entity::update_many()
            .col_expr(Column::ParticipantCount, Expr::value(count))
            .col_expr(Column::Version, Expr::value(version))
            .filter(Column::Id.eq(thread))
            .exec(tx)
            .await?;
        Ok(())
    }

    /// Returns the direct thread with that key.
    pub async fn find_direct<C: ConnectionTrait>(self, conn: &C, key: &str) -> Result<Option<entity::Model>> {
        Ok(self.alive().filter(Column::DirectKey.eq(key)).one(conn).await?)
    }

    /// Returns how each of these threads looks to the user, in one statement.
    pub async fn standings<C: ConnectionTrait>(
        self,
        conn: &C,
        user: Uuid,
        threads: &[Uuid],
    ) -> Result<HashMap<Uuid, Standing>> {
        use messages::entity::{Column as M, Entity as Messages};
        use participant::{Column as P, Entity as Participants};
        if threads.is_empty() {
            return Ok(HashMap::new());
        }
        let last =
            visible().column((Messages, M::Id)).order_by((Messages, M::Seq), Order::Desc).limit(1).take();
        let columns = [P::ThreadId, P::Role, P::JoinedAt, P::LastDeliveredSeq, P::LastReadSeq];
        let backend = conn.get_database_backend();
        let standings = places(user, threads, backend)
            .join(JoinType::InnerJoin, Entity, on_thread())
            .columns(columns.map(|column| (Participants, column)))
            .expr_as(unread(), "unread_count")
            .expr_as(Expr::from(last), "last_message_id")
            .take();
        let found = Standing::find_by_statement(backend.build(&standings)).all(conn).await?;
        Ok(found.into_iter().map(|standing| (standing.thread_id, standing)).collect())
    }
}

/// Selects from the user's rows as a participant of these threads, of those that they are in.
fn places(user: Uuid, threads: &[Uuid], backend: DbBackend) -> SelectStatement {
    use participant::{Column as P, Entity as Participants};
    let mut places = Query::select();
    if backend != DbBackend::Postgres {
        places.from(Participants).cond_where(is_in(user));
        return places.and_where(P::ThreadId.is_in(threads.iter().copied())).take();
    }
    // One look into the primary key for each. By a list of threads, PostgreSQL may read all threads of the user.
    let wanted = Alias::new("wanted");
    let thread = Expr::col((wanted.clone(), Alias::new("column1")));
    let place = Query::select()
        .column(Asterisk)
        .from(Participants)
        .cond_where(is_in(user))
        .and_where(Expr::col((Participants, P::ThreadId)).eq(thread))
        .limit(1)
        .take();
    places
        .from_values(threads.iter().copied(), wanted)
        .join_lateral(JoinType::InnerJoin, place, Participants, Expr::cust("TRUE"))
        .take()
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

//! How much of their threads users have not read. It is counted, and never stored.

use std::collections::HashMap;

use groundwork_core::{Result, Uuid};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect,
    prelude::Expr,
    sea_query::{ExprTrait, Func, Query, SelectStatement},
};

use super::{
    entity::{Column as T, Entity as Threads},
    participant::{Column as P, Entity as Participants},
    participants::is_one_of,
    repository::ThreadRepository,
};
use crate::messages::entity::{Column as M, Entity as Messages};

/// Selects the messages that the participant of the outer statement can see.
pub(super) fn visible() -> SelectStatement {
    Query::select()
        .from(Messages)
        .and_where(Expr::col((Messages, M::ThreadId)).equals((Participants, P::ThreadId)))
        .and_where(Expr::col((Messages, M::DeletedAt)).is_null())
        .and_where(Expr::col((Messages, M::Seq)).gt(Expr::col((Participants, P::JoinedSeq))))
        .take()
}

/// Counts the messages of others that the participant of the outer statement has not read. Reads no other messages.
pub(super) fn unread() -> SelectStatement {
    visible()
        .expr(Expr::col((Messages, M::Id)).count())
        .and_where(Expr::col((Messages, M::Seq)).gt(Expr::col((Participants, P::LastReadSeq))))
        .and_where(Expr::col((Messages, M::SenderId)).ne(Expr::col((Participants, P::UserId))))
        .take()
}

impl ThreadRepository {
    /// Returns the unread counts of these participants, each a thread and a user. Leaves out who is not in the thread.
    pub async fn unread_counts<C: ConnectionTrait>(
        self,
        conn: &C,
        keys: &[(Uuid, Uuid)],
    ) -> Result<HashMap<(Uuid, Uuid), i64>> {
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let counts = Participants::find()
            .select_only()
            .columns([P::ThreadId, P::UserId])
            .expr_as(Expr::from(unread()), "unread_count")
            .filter(P::LeftAt.is_null())
            .filter(is_one_of(keys));
        let found: Vec<(Uuid, Uuid, i64)> = counts.into_tuple().all(conn).await?;
        Ok(found.into_iter().map(|(thread, user, count)| ((thread, user), count)).collect())
    }

    /// Returns how much these users have not read in all of their threads. Leaves out who has read everything.
    pub async fn unread_totals<C: ConnectionTrait>(
        self,
        conn: &C,
        users: &[Uuid],
    ) -> Result<HashMap<Uuid, i64>> {
        if users.is_empty() {
            return Ok(HashMap::new());
        }
        let total = Func::cast_as(Func::sum(Expr::from(unread())), "bigint");
        let totals = Query::select()
            .column((Participants, P::UserId))
            .expr_as(total, "total")
            .from(Participants)
            .inner_join(Threads, Expr::col((Threads, T::Id)).equals((Participants, P::ThreadId)))
            .and_where(P::UserId.is_in(users.iter().copied()))
            .and_where(P::LeftAt.is_null())
            .and_where(T::DeletedAt.is_null())
            // Most threads are read to their end.
            .and_where(Expr::col((Threads, T::LastSeq)).gt(Expr::col((Participants, P::LastReadSeq))))
            .group_by_col((Participants, P::UserId))
            .take();
        let rows = conn.query_all(&totals).await?;
        rows.iter().map(|row| Ok((row.try_get("", "user_id")?, row.try_get("", "total")?))).collect()
    }
}

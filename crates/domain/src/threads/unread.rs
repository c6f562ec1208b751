//! How much of their threads users have not read.
//!
//! The messages of a thread have no gaps in `seq`, so those after a read position are a difference. Of these are not
//! unread: the user's own, whose number each participant has (`sent_since_read`), and the deleted ones of others, which
//! are counted in an index of the deleted messages alone. So no message is read, however many are unread.

use std::collections::HashMap;

use groundwork_core::{Result, Tx, Uuid};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, JoinType, PaginatorTrait, QueryFilter, QuerySelect,
    prelude::Expr,
    sea_query::{ExprTrait, Func, Query, SelectStatement},
};

use super::{
    entity::{Column as T, Entity as Threads, ThreadType},
    participant::{self, Column as P, Entity as Participants},
    participants::is_one_of,
    repository::{ThreadRepository, is_in},
};
use crate::messages::entity::{Column as M, Entity as Messages, Model as Message};

/// Selects the messages that the participant of the outer statement can see.
pub(super) fn visible() -> SelectStatement {
    Query::select()
        .from(Messages)
        .and_where(Expr::col((Messages, M::ThreadId)).equals((Participants, P::ThreadId)))
        .and_where(Expr::col((Messages, M::DeletedAt)).is_null())
        .and_where(Expr::col((Messages, M::Seq)).gt(Expr::col((Participants, P::JoinedSeq))))
        .take()
}

/// The condition that joins participants with their threads.
pub(super) fn on_thread() -> Expr {
    Expr::col((Threads, T::Id)).equals((Participants, P::ThreadId))
}

/// The number of messages of others that the participant has not read, in a statement about participants and their
/// threads. A read position is never before the joining, so all of them can be seen.
pub(super) fn unread() -> Expr {
    let deleted = Query::select()
        .expr(Expr::col((Messages, M::Seq)).count())
        .from(Messages)
        .and_where(Expr::col((Messages, M::ThreadId)).equals((Participants, P::ThreadId)))
        .and_where(Expr::col((Messages, M::DeletedAt)).is_not_null())
        .and_where(Expr::col((Messages, M::Seq)).gt(Expr::col((Participants, P::LastReadSeq))))
        .and_where(Expr::col((Messages, M::SenderId)).ne(Expr::col((Participants, P::UserId))))
        .take();
    Expr::col((Threads, T::LastSeq))
        .sub(Expr::col((Participants, P::LastReadSeq)))
        .sub(Expr::col((Participants, P::SentSinceRead)))
        .sub(Expr::from(deleted))
}

/// The condition that a participant has not read all that others sent, in a statement about participants and their threads.
/// What they have not read may be deleted.
pub(crate) fn has_unread() -> Expr {
    Expr::col((Threads, T::LastSeq))
        .sub(Expr::col((Participants, P::LastReadSeq)))
        .gt(Expr::col((Participants, P::SentSinceRead)))
}

/// Selects how much the user has not read in all of their direct threads.
pub(crate) fn unread_of_direct_threads(user: Uuid) -> SelectStatement {
    let direct = Expr::col((Threads, T::Kind)).eq(Expr::val(ThreadType::Direct));
    let total = Func::coalesce([Func::sum(unread_if(direct)).into(), Expr::val(0)]);
    Query::select().expr(Func::cast_as(total, "bigint")).from(Participants).cond_where(is_in(user)).take()
}

/// The number of messages of others that the participant has not read, if their thread is alive and `matching`, in a
/// statement about participants; otherwise null.
///
/// The thread is looked up for each participant. The planner would rather read all threads than join those of a user.
fn unread_if(matching: Expr) -> Expr {
    let select = Query::select()
        .expr(unread())
        .from(Threads)
        .and_where(on_thread())
        .and_where(Expr::col((Threads, T::DeletedAt)).is_null())
        .and_where(has_unread())
        .and_where(matching)
        .take();
    Expr::from(select)
}

impl ThreadRepository {
    /// Counts a message that its sender sends.
    pub async fn count_sent(self, tx: &Tx, message: &Message) -> Result<()> {
        Participants::update_many()
            .col_expr(P::SentSinceRead, Expr::col(P::SentSinceRead).add(1))
            .filter(P::ThreadId.eq(message.thread_id))
            .filter(P::UserId.eq(message.sender_id))
            .exec(tx)
            .await?;
        Ok(())
    }

    /// Returns what `sent_since_read` becomes when the read position moves to `seq`. The participant's row is locked, so
    /// they send nothing meanwhile. `end` is about where the thread ends: the shorter part is counted, so reading to the
    /// end counts nothing.
    pub async fn sent_after(self, tx: &Tx, mine: &participant::Model, seq: i64, end: i64) -> Result<i64> {
        if mine.sent_since_read == 0 {
            return Ok(0);
        }
        let own = Messages::find()
            .filter(M::ThreadId.eq(mine.thread_id))
            .filter(M::SenderId.eq(mine.user_id))
            .filter(M::Seq.gt(mine.last_read_seq));
        let to_end = end - seq <= seq - mine.last_read_seq;
        let part = if to_end { own.filter(M::Seq.gt(seq)) } else { own.filter(M::Seq.lte(seq)) };
        let counted = i64::try_from(part.count(tx).await?).unwrap_or(i64::MAX);
        Ok(if to_end { counted } else { mine.sent_since_read - counted })
    }

    /// Returns the unread counts of these participants, each a thread and a user. Leaves out who is not in the thread.
    pub async fn unread_counts<C: ConnectionTrait>(
        self,
        conn: &C,
        keys: &[(Uuid, Uuid)],
    ) -> Result<HashMap<(Uuid, Uuid), i64>> {
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let mut counts = Participants::find().select_only().columns([P::ThreadId, P::UserId]);
        QuerySelect::query(&mut counts).join(JoinType::InnerJoin, Threads, on_thread());
        let counts =
            counts.expr_as(unread(), "unread_count").filter(P::LeftAt.is_null()).filter(is_one_of(keys));
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
        let total = Func::cast_as(Func::sum(unread_if(Expr::val(true))), "bigint");
        let totals = Query::select()
            .column(P::UserId)
            .expr_as(total.clone(), "total")
            .from(Participants)
            .and_where(P::UserId.is_in(users.iter().copied()))
            .and_where(P::LeftAt.is_null())
            .group_by_col(P::UserId)
            .and_having(Expr::from(total).is_not_null())
            .take();
        let rows = conn.query_all(&totals).await?;
        rows.iter().map(|row| Ok((row.try_get("", "user_id")?, row.try_get("", "total")?))).collect()
    }
}

//! Lists of the messages of a thread, each in one statement: the messages that the user can see, their authors and the
//! times of their first receipts.

use groundwork_core::{
    Cursor, CursorPage, CursorRequest, ListQuery, Repository, Result, Uuid, db::CachedStatement,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, Order, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
    prelude::Expr,
    sea_query::{ExprTrait, Query, SelectStatement},
};

use super::{
    entity::{Column, Entity},
    listed::{Listed, listed},
    repository::MessageRepository,
};
use crate::threads::{self, participant, repository::is_in};

/// The order of a thread's messages in a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// The newest first.
    #[default]
    Descending,
    /// The oldest first.
    Ascending,
}

impl Direction {
    fn reversed(self) -> Self {
        match self {
            Self::Descending => Self::Ascending,
            Self::Ascending => Self::Descending,
        }
    }
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

/// Which part of a thread to read: the user, the thread, the `seq` before the first message and the one after the last, and
/// the number of messages.
type Part = (Uuid, Uuid, i64, i64, u64);

/// The newest messages of a part of a thread, without filters.
static NEWEST: CachedStatement<Part> =
    CachedStatement::new(|part| part_of_thread(part, Direction::Descending, Condition::all()));
/// The oldest messages of a part of a thread, without filters.
static OLDEST: CachedStatement<Part> =
    CachedStatement::new(|part| part_of_thread(part, Direction::Ascending, Condition::all()));

fn part_of_thread(
    (user, thread, after, before, limit): Part,
    direction: Direction,
    matching: Condition,
) -> SelectStatement {
    let order = match direction {
        Direction::Descending => Order::Desc,
        Direction::Ascending => Order::Asc,
    };
    let select = seen_in_thread(user, thread)
        .filter(Column::DeletedAt.is_null())
        .filter(Column::Seq.gt(after))
        .filter(Column::Seq.lt(before))
        .filter(matching)
        .order_by(Column::Seq, order)
        .limit(limit);
    listed(select).into_query()
}

/// Selects the messages of a thread that the user can see, deleted ones included; none if they are not in the thread.
///
/// Where the user's part of the thread begins is a sub-select, and not a join, so that it is a bound of the range that is
/// read from the index. Otherwise a list for somebody who has just joined would read all messages before.
pub(super) fn seen_in_thread(user: Uuid, thread: Uuid) -> Select<Entity> {
    use participant::{Column as P, Entity as Participants};
    use threads::entity::{Column as T, Entity as Threads};
    let joined = Query::select()
        .column((Participants, P::JoinedSeq))
        .from(Participants)
        .inner_join(Threads, Expr::col((Threads, T::Id)).equals((Participants, P::ThreadId)))
        .cond_where(is_in(user))
        .and_where(P::ThreadId.eq(thread))
        .and_where(T::DeletedAt.is_null())
        .take();
    MessageRepository
        .with_deleted()
        .filter(Column::ThreadId.eq(thread))
        .filter(Expr::col((Entity, Column::Seq)).gt(Expr::from(joined)))
}

impl MessageRepository {
    /// A page of the messages of a thread that the user can see; none if they are not in the thread.
    pub async fn list_of_thread<C: ConnectionTrait>(
        self,
        conn: &C,
        user: Uuid,
        thread: Uuid,
        wanted: &ThreadQuery,
        request: &CursorRequest,
    ) -> Result<CursorPage<Listed>> {
        let list = thread_list(thread, wanted.direction);
        let position: Option<Cursor<i64>> = request.position(&list)?;
        let (mut after, mut before) = (wanted.after.unwrap_or(0), wanted.before.unwrap_or(i64::MAX));
        let at_its_end = position.is_none() && wanted.begins_at_its_end();
        let backward = position.as_ref().map_or(at_its_end, |cursor| cursor.backward);
        let direction = if backward { wanted.direction.reversed() } else { wanted.direction };
        if let Some(Cursor { key, .. }) = position {
            match direction {
                Direction::Descending => before = Ord::min(before, key),
                Direction::Ascending => after = Ord::max(after, key),
            }
        }
        let part = (user, thread, after, before, request.limit + 1);
        let mut rows = part_rows(conn, part, direction, &wanted.query).await?;
        if backward {
            rows.reverse();
        }
        let key = |row: &Listed| row.message.seq;
        if !at_its_end {
            return CursorPage::assemble(rows, request.limit, &list, position.as_ref(), key);
        }
        // The page is the last one of the list, and only a page before it can follow.
        let end = Cursor { key: i64::MAX, backward: true };
        let page = CursorPage::assemble(rows, request.limit, &list, Some(&end), key)?;
        Ok(CursorPage { next_cursor: None, ..page })
    }

    /// A message that the user can see with up to `before` messages before it and `after` after it, as a page of the
    /// thread's list.
    pub async fn context<C: ConnectionTrait>(
        self,
        conn: &C,
        user: Uuid,
        found: Listed,
        (before, after): (u64, u64),
        direction: Direction,
    ) -> Result<CursorPage<Listed>> {
        let (thread, seq) = (found.message.thread_id, found.message.seq);
        let query = ListQuery::default();
        let older = (user, thread, 0, seq, before + 1);
        let mut older = part_rows(conn, older, Direction::Descending, &query).await?;
        let newer = (user, thread, seq, i64::MAX, after + 1);
        let mut newer = part_rows(conn, newer, Direction::Ascending, &query).await?;
        let cut = |messages: &mut Vec<Listed>, count: u64| {
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            let has_more = messages.len() > count;
            messages.truncate(count);
            has_more
        };
        let (has_older, has_newer) = (cut(&mut older, before), cut(&mut newer, after));
        let list = thread_list(thread, direction);
        let mut items: Vec<Listed> = older.into_iter().rev().chain([found]).chain(newer).collect();
        let (mut has_next, mut has_prev) = (has_newer, has_older);
        if direction == Direction::Descending {
            items.reverse();
            (has_next, has_prev) = (has_older, has_newer);
        }
        let cursor = |row: Option<&Listed>, backward| {
            row.map(|row| Cursor { key: row.message.seq, backward }.encode(&list)).transpose()
        };
        Ok(CursorPage {
            next_cursor: cursor(items.last().filter(|_| has_next), false)?,
            prev_cursor: cursor(items.first().filter(|_| has_prev), true)?,
            items,
        })
    }
}

async fn part_rows<C: ConnectionTrait>(
    conn: &C,
    part: Part,
    direction: Direction,
    query: &ListQuery<Entity>,
) -> Result<Vec<Listed>> {
    let backend = conn.get_database_backend();
    let statement = if query.is_empty() {
        match direction {
            Direction::Descending => NEWEST.with(backend, part),
            Direction::Ascending => OLDEST.with(backend, part),
        }
    } else {
        backend.build(&part_of_thread(part, direction, query.condition(backend)))
    };
    let rows = conn.query_all_raw(statement).await?;
    Ok(rows.iter().map(Listed::read).collect::<std::result::Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use sea_orm::DbBackend;

    use super::*;

    #[test]
    fn a_cached_statement_is_the_one_that_is_built() {
        let part = (Uuid::from_u128(1), Uuid::from_u128(2), 3, 4, 5);
        for backend in [DbBackend::Postgres, DbBackend::Sqlite] {
            for (cached, direction) in [(&NEWEST, Direction::Descending), (&OLDEST, Direction::Ascending)] {
                let built = backend.build(&part_of_thread(part, direction, Condition::all()));
                assert_eq!(cached.with(backend, part), built);
            }
        }
    }
}

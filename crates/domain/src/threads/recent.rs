//! The order of a user's threads by their last activity, in an index.
//!
//! The table has one row for each participant of each thread that is not deleted. A thread is filed under the minute of
//! its last activity, so a message moves the rows of its thread at most once a minute. Within a minute the threads
//! themselves tell the order. A thread with more than [`SMALL_THREAD`] participants is filed under [`LARGE`], and its
//! rows never move: whoever reads the order looks at all large threads of the user.
//!
//! `threads.recent_minute` is where the rows of a thread are. All of them change only under the lock of the thread, after
//! those of the participants.

use groundwork_core::{Cursor, CursorRequest, Result, Timestamp, Tx, Uuid};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter,
    entity::prelude::*,
    sea_query::{ExprTrait, Func, Order, Query, SelectStatement, UnionType},
};

use super::{entity, participant, repository::ThreadRepository, unread::on_thread};

/// The maximum number of participants of a thread whose rows follow its activity.
pub const SMALL_THREAD: i32 = 50;
/// Where larger threads are.
pub const LARGE: i32 = 0;

/// A thread of a user.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "recent_threads")]
pub struct Model {
    /// The user.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    /// The minute of the thread's last activity, from 1970, or [`LARGE`].
    #[sea_orm(primary_key, auto_increment = false)]
    pub minute: i32,
    /// The thread.
    #[sea_orm(primary_key, auto_increment = false)]
    pub thread_id: Uuid,
}

impl ActiveModelBehavior for ActiveModel {}

/// Returns where a thread with that last activity and that many participants is filed.
pub fn place(last_activity_at: Timestamp, participants: i32) -> i32 {
    if participants > SMALL_THREAD { LARGE } else { minute_of(last_activity_at) }
}

fn minute_of(at: Timestamp) -> i32 {
    let minutes = at.unix_seconds().div_euclid(60).clamp((LARGE + 1).into(), i32::MAX.into());
    i32::try_from(minutes).unwrap_or(i32::MAX)
}

/// Selects the ids of all threads of the user.
pub fn all_of(user: Uuid) -> SelectStatement {
    Query::select().column(Column::ThreadId).from(Entity).and_where(Column::UserId.eq(user)).take()
}

/// Selects the ids of all threads that a page of the user's threads, the latest activity first, can have: the large ones,
/// and of the others those in the minute of the cursor and as many further minutes as fill the page.
///
/// # Errors
/// `invalid` for a cursor of another list.
pub fn around(user: Uuid, request: &CursorRequest, list: &str) -> Result<SelectStatement> {
    let cursor: Option<Cursor<(Timestamp, Uuid)>> = request.position(list)?;
    let backward = cursor.as_ref().is_some_and(|cursor| cursor.backward);
    let from = cursor.map_or(i32::MAX, |cursor| minute_of(cursor.key.0));
    let beyond = if backward { Column::Minute.gt(from) } else { Column::Minute.between(LARGE + 1, from - 1) };
    // One more than the page has, which shows that there are more.
    let end = Query::select()
        .column(Column::Minute)
        .from(Entity)
        .and_where(Column::UserId.eq(user))
        .and_where(beyond)
        .order_by(Column::Minute, if backward { Order::Asc } else { Order::Desc })
        .offset(request.limit)
        .limit(1)
        .take();
    let all = if backward { i32::MAX } else { LARGE + 1 };
    let end = Expr::from(Func::coalesce([Expr::from(end), Expr::value(all)]));
    let (low, high) = if backward { (Expr::value(from), end) } else { (end, Expr::value(from)) };
    let small = all_of(user).and_where(Expr::col(Column::Minute).between(low, high)).take();
    Ok(all_of(user).and_where(Column::Minute.eq(LARGE)).union(UnionType::All, small).take())
}

impl ThreadRepository {
    /// Files a thread for users who join it.
    pub async fn file(self, tx: &Tx, thread: Uuid, minute: i32, users: &[Uuid]) -> Result<()> {
        let row =
            |user: &Uuid| ActiveModel { user_id: Set(*user), minute: Set(minute), thread_id: Set(thread) };
        Entity::insert_many(users.iter().map(row)).exec_without_returning(tx).await?;
        Ok(())
    }

    /// Removes a thread from those of users who left it.
    pub async fn unfile(self, tx: &Tx, thread: Uuid, minute: i32, users: &[Uuid]) -> Result<()> {
        Entity::delete_many()
            .filter(Column::UserId.is_in(users.iter().copied()))
            .filter(Column::Minute.eq(minute))
            .filter(Column::ThreadId.eq(thread))
            .exec(tx)
            .await?;
        Ok(())
    }

    /// Removes deleted threads from those of all participants.
    pub async fn unfile_threads(self, tx: &Tx, threads: &[Uuid]) -> Result<()> {
        use participant::{Column as P, Entity as Participants};
        let rows = Query::select()
            .column((Participants, P::UserId))
            .column((entity::Entity, entity::Column::RecentMinute))
            .column((Participants, P::ThreadId))
            .from(Participants)
            .inner_join(entity::Entity, on_thread())
            .and_where(P::ThreadId.is_in(threads.iter().copied()))
            .and_where(P::LeftAt.is_null())
            .take();
        let key = Expr::tuple([Column::UserId, Column::Minute, Column::ThreadId].map(Expr::col));
        let delete = Query::delete().from_table(Entity).and_where(key.in_subquery(rows)).take();
        tx.execute(&delete).await?;
        Ok(())
    }

    /// Moves a thread, as it was read under its lock, to another minute for all participants.
    pub async fn refile(self, tx: &Tx, thread: &entity::Model, minute: i32) -> Result<()> {
        use participant::{Column as P, Entity as Participants};
        if thread.recent_minute == minute {
            return Ok(());
        }
        let participants = Query::select()
            .column(P::UserId)
            .from(Participants)
            .and_where(P::ThreadId.eq(thread.id))
            .and_where(P::LeftAt.is_null())
            .take();
        Entity::update_many()
            .col_expr(Column::Minute, Expr::value(minute))
            .filter(Column::UserId.in_subquery(participants))
            .filter(Column::Minute.eq(thread.recent_minute))
            .filter(Column::ThreadId.eq(thread.id))
            .exec(tx)
            .await?;
        entity::Entity::update_many()
            .col_expr(entity::Column::RecentMinute, Expr::value(minute))
            .filter(entity::Column::Id.eq(thread.id))
            .exec(tx)
            .await?;
        Ok(())
    }
}

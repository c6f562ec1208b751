//! When users were last online, and who may see it.

use std::collections::HashMap;

use groundwork_auth::Caller;
use groundwork_core::{Result, Timestamp, Tx, Uuid};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    prelude::Expr,
    sea_query::{Alias, Asterisk, ExprTrait, LockType, Query, SelectStatement},
};

use super::{
    Users,
    controller::require_few,
    entity::{Column, Entity, LastSeen},
    repository::{UserRepository, is_active},
};
use crate::threads::{self, participant};

/// The number of users whose times are stored in one statement.
const BATCH: usize = 500;

/// A user whose presence the caller may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presence {
    /// The user.
    pub user_id: Uuid,
    /// When they were last online, as far as it is stored; null for never.
    pub last_seen_at: Option<Timestamp>,
}

impl Users {
    /// Returns those of the users whose presence the caller may see, in the order of their ids: the caller, those who show
    /// it to everyone, and those who show it to their contacts and are in a thread with the caller. Deactivated and deleted
    /// users are left out.
    ///
    /// # Errors
    /// `invalid` for more than [`MAX_IDS`](super::types::MAX_IDS).
    pub async fn presence<C: ConnectionTrait>(
        &self,
        conn: &C,
        caller: &Caller,
        ids: &[Uuid],
    ) -> Result<Vec<Presence>> {
        require_few(ids)?;
        let contacts = Condition::all()
            .add(Column::LastSeen.eq(LastSeen::Contacts))
            .add(Expr::exists(shared_thread(caller.user_id)));
        let may_see = Condition::any()
            .add(Column::Id.eq(caller.user_id))
            .add(Column::LastSeen.eq(LastSeen::Everyone))
            .add(contacts);
        let found: Vec<(Uuid, Option<Timestamp>)> = Entity::find()
            .select_only()
            .columns([Column::Id, Column::LastSeenAt])
            .filter(Column::Id.is_in(ids.iter().copied()))
            .filter(is_active())
            .filter(may_see)
            .order_by_asc(Column::Id)
            .into_tuple()
            .all(conn)
            .await?;
        Ok(found.into_iter().map(|(user_id, last_seen_at)| Presence { user_id, last_seen_at }).collect())
    }
}

/// Selects the threads that the user of the outer statement and `other` are in.
fn shared_thread(other: Uuid) -> SelectStatement {
    use participant::{Column as P, Entity as Participants};
    use threads::entity::{Column as T, Entity as Threads};
    let theirs = Alias::new("theirs");
    Query::select()
        .column((Participants, P::ThreadId))
        .from(Participants)
        .join_as(
            sea_orm::JoinType::InnerJoin,
            Participants,
            theirs.clone(),
            Expr::col((theirs.clone(), P::ThreadId)).equals((Participants, P::ThreadId)),
        )
        .inner_join(Threads, Expr::col((Threads, T::Id)).equals((Participants, P::ThreadId)))
        .and_where(Expr::col((Participants, P::UserId)).eq(other))
        .and_where(Expr::col((Participants, P::LeftAt)).is_null())
        .and_where(Expr::col((theirs.clone(), P::UserId)).equals((Entity, Column::Id)))
        .and_where(Expr::col((theirs, P::LeftAt)).is_null())
        .and_where(Expr::col((Threads, T::DeletedAt)).is_null())
        .take()
}

impl UserRepository {
    /// Stores when users were last online. A time only moves forward.
    pub async fn store_last_seen(self, tx: &Tx, seen: &[(Uuid, Timestamp)]) -> Result<()> {
        let mut latest: HashMap<Uuid, Timestamp> = HashMap::new();
        for (user, at) in seen {
            latest.entry(*user).and_modify(|known| *known = Ord::max(*known, *at)).or_insert(*at);
        }
        let mut latest: Vec<_> = latest.into_iter().collect();
        latest.sort_unstable();
        for some in latest.chunks(BATCH) {
            self.store_some(tx, some).await?;
        }
        Ok(())
    }

    async fn store_some(self, tx: &Tx, seen: &[(Uuid, Timestamp)]) -> Result<()> {
        let known = || Column::Id.is_in(seen.iter().map(|(id, _)| *id));
        // In the order of the ids, so that servers that store the same users do not deadlock.
        let rows = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(known())
            .order_by_asc(Column::Id)
            .lock(LockType::NoKeyUpdate);
        rows.into_tuple::<Uuid>().all(tx).await?;
        // Both databases call the columns of values like this.
        let (id, at) = (Alias::new("column1"), Alias::new("column2"));
        let time = || {
            let values = Query::select()
                .expr(Expr::col(Asterisk))
                .from_values(seen.iter().copied(), Alias::new("given"))
                .take();
            let time = Query::select()
                .column(at.clone())
                .from_subquery(values, Alias::new("seen"))
                .and_where(Expr::col((Alias::new("seen"), id.clone())).equals((Entity, Column::Id)))
                .take();
            Expr::from(time)
        };
        let is_later = Condition::any()
            .add(Column::LastSeenAt.is_null())
            .add(Expr::col((Entity, Column::LastSeenAt)).lt(time()));
        Entity::update_many()
            .col_expr(Column::LastSeenAt, time())
            .filter(known())
            .filter(is_later)
            .exec(tx)
            .await?;
        Ok(())
    }
}

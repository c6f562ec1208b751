//! The queries for the owners of groups.

use std::collections::HashMap;

use groundwork_core::{Result, Tx, Uuid};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    Value,
    prelude::Expr,
    sea_query::{Alias, Asterisk, ExprTrait, Func, LockType, Order, Query, SelectStatement},
};

use super::{
    entity::{Column, Entity, ThreadType},
    participant::{self, Role},
    participants::on_user,
    repository::{ThreadRepository, is_in},
};
use crate::users::{self, repository::is_active};

/// The key of the advisory lock under which users are deactivated and deleted.
const LOCK: i64 = 0x6f77_6e65_7273;

/// A group whose only active owner goes, and who takes over.
#[derive(Clone, Copy, Debug)]
pub struct Succession {
    /// The group.
    pub thread: Uuid,
    /// The next owner; `None` if there is no other active participant.
    pub heir: Option<Uuid>,
}

impl ThreadRepository {
    /// Lets one transaction at a time deactivate or delete a user. Otherwise two of them could each make the other's
    /// user an owner. SQLite has one writer anyway.
    pub async fn lock_successions(self, tx: &Tx) -> Result<()> {
        if tx.get_database_backend() == DbBackend::Postgres {
            tx.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({LOCK})")).await?;
        }
        Ok(())
    }

    /// Returns whether a thread has an active owner who is not one of `except`.
    pub async fn has_other_owner<C: ConnectionTrait>(
        self,
        conn: &C,
        thread: Uuid,
        except: &[Uuid],
    ) -> Result<bool> {
        let mut owners = active_participants(Role::Owner);
        owners
            .and_where(participant::Column::ThreadId.eq(thread))
            .and_where(participant::Column::UserId.is_not_in(except.iter().copied()))
            .limit(1);
        Ok(conn.query_one(&owners).await?.is_some())
    }

    /// Locks the groups that the user owns, at most `limit` of those with an id after `after`, in the order of their
    /// ids. Returns the ids.
    pub async fn lock_groups_owned_by(
        self,
        tx: &Tx,
        user: Uuid,
        after: Uuid,
        limit: u64,
    ) -> Result<Vec<Uuid>> {
        let owned = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::DeletedAt.is_null())
            .filter(Column::Kind.eq(ThreadType::Group))
            .filter(Column::Id.gt(after))
            .filter(Expr::exists(ownership_of(user)))
            .order_by_asc(Column::Id)
            .limit(limit);
        let ids: Vec<Uuid> = owned.into_tuple().all(tx).await?;
        // A statement of its own: a row that a locking statement waited for can drop out of its result.
        let locked = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::Id.is_in(ids.iter().copied()))
            .order_by_asc(Column::Id)
            .lock(LockType::NoKeyUpdate);
        locked.into_tuple::<Uuid>().all(tx).await?;
        Ok(ids)
    }

    /// Returns those of the locked groups whose only active owner is the user. The longest-standing admin takes over,
    /// or else the longest-standing member; only active ones.
    pub async fn successions(self, tx: &Tx, user: Uuid, groups: &[Uuid]) -> Result<Vec<Succession>> {
        use participant::{Column as P, Entity as Participants};
        let first = |role: Role| {
            active_participants(role)
                .and_where(Expr::col((Participants, P::ThreadId)).equals((Entity, Column::Id)))
                .and_where(P::UserId.ne(user))
                .order_by((Participants, P::JoinedAt), Order::Asc)
                .order_by((Participants, P::UserId), Order::Asc)
                .limit(1)
                .take()
        };
        let heir = Func::coalesce([Expr::from(first(Role::Admin)), Expr::from(first(Role::Member))]);
        let found: Vec<(Uuid, Option<Uuid>)> = Entity::find()
            .select_only()
            .column(Column::Id)
            .expr_as(heir, "heir")
            .filter(Column::Id.is_in(groups.iter().copied()))
            .filter(Column::DeletedAt.is_null())
            .filter(Expr::exists(ownership_of(user)))
            .filter(Expr::exists(first(Role::Owner)).not())
            .order_by_asc(Column::Id)
            .into_tuple()
            .all(tx)
            .await?;
        Ok(found.into_iter().map(|(thread, heir)| Succession { thread, heir }).collect())
    }

    /// Makes the heir of each group its owner, and then the user a member of it. Each of the two takes a version of the
    /// group. Returns the second one of each group.
    pub async fn change_owners(
        self,
        tx: &Tx,
        user: Uuid,
        heirs: &HashMap<Uuid, Uuid>,
    ) -> Result<Vec<(Uuid, i64)>> {
        use participant::{Column as P, Entity as Participants};
        let groups: Vec<Uuid> = heirs.keys().copied().collect();
        let changed = Entity::update_many()
            .col_expr(Column::Version, Expr::col(Column::Version).add(2))
            .col_expr(Column::UpdatedAt, Expr::value(Value::from(tx.now())))
            .filter(Column::Id.is_in(groups.iter().copied()))
            .exec_with_returning(tx)
            .await?;
        let pairs = Query::select()
            .expr(Expr::col(Asterisk))
            .from_values(heirs.iter().map(|(group, heir)| (*group, *heir)), Alias::new("heirs"))
            .take();
        let heirs = Expr::tuple([Expr::col(P::ThreadId), Expr::col(P::UserId)]).in_subquery(pairs);
        let former = Condition::all().add(P::UserId.eq(user)).add(P::ThreadId.is_in(groups));
        for (who, role, before_last) in
            [(Condition::all().add(heirs), Role::Owner, 1), (former, Role::Member, 0)]
        {
            let version = Query::select()
                .expr(Expr::col((Entity, Column::Version)).sub(before_last))
                .from(Entity)
                .and_where(Expr::col((Entity, Column::Id)).equals((Participants, P::ThreadId)))
                .take();
            Participants::update_many()
                .col_expr(P::Role, Expr::value(Value::from(role)))
                .col_expr(P::Version, Expr::from(version))
                .filter(who)
                .exec(tx)
                .await?;
        }
        Ok(changed.into_iter().map(|group| (group.id, group.version)).collect())
    }

    /// Soft-deletes these groups. Returns the new version of each.
    pub async fn soft_delete_all(self, tx: &Tx, groups: &[Uuid]) -> Result<Vec<(Uuid, i64)>> {
        let deleted = Entity::update_many()
            .col_expr(Column::Version, Expr::col(Column::Version).add(1))
            .col_expr(Column::UpdatedAt, Expr::value(Value::from(tx.now())))
            .col_expr(Column::DeletedAt, Expr::value(Value::from(tx.now())))
            .filter(Column::Id.is_in(groups.iter().copied()))
            .exec_with_returning(tx)
            .await?;
        Ok(deleted.into_iter().map(|group| (group.id, group.version)).collect())
    }
}

/// Selects the ids of the active users who take part with that role.
fn active_participants(role: Role) -> SelectStatement {
    use participant::{Column as P, Entity as Participants};
    Query::select()
        .column((Participants, P::UserId))
        .from(Participants)
        .inner_join(users::entity::Entity, on_user())
        .and_where(P::Role.eq(role))
        .and_where(P::LeftAt.is_null())
        .cond_where(is_active())
        .take()
}

/// Selects the user's row in the thread of the outer statement, if they own it.
fn ownership_of(user: Uuid) -> SelectStatement {
    use participant::{Column as P, Entity as Participants};
    Query::select()
        .column((Participants, P::UserId))
        .from(Participants)
        .and_where(Expr::col((Participants, P::ThreadId)).equals((Entity, Column::Id)))
        .and_where(P::Role.eq(Role::Owner))
        .cond_where(is_in(user))
        .take()
}

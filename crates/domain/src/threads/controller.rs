//! The rules for threads.

use std::collections::HashSet;

use groundwork_auth::Caller;
use groundwork_core::{
    CursorPage, CursorRequest, Error, ListQuery, Page, PageRequest, Repository, Result, Tx, Uuid, Validate,
    error::codes,
    events::{self, NewEvent},
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, TryInsertResult, Value,
    prelude::Expr, sea_query::OnConflict,
};
use serde_json::json;

use super::{
    entity::{self, Column, Entity, History, ThreadType, direct_key},
    participant::{self, Role},
    repository::ThreadRepository,
    types::{MAX_PARTICIPANTS, NewThread, Participant, ParticipantsPatch, Thread, ThreadPatch},
};
use crate::{
    codes::{ALREADY_PARTICIPANT, DIRECT_THREAD, LAST_OWNER, NOT_A_PARTICIPANT, THREAD_FULL},
    events::{
        self as subject, PARTICIPANT_ADDED, PARTICIPANT_REMOVED, PARTICIPANT_UPDATED, THREAD_CREATED,
        THREAD_DELETED, THREAD_UPDATED,
    },
    messages::MessageRepository,
    users::UserRepository,
};

/// The version of a new thread.
const FIRST_VERSION: i64 = 1;

/// The rules for threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Threads {
    repository: ThreadRepository,
    messages: MessageRepository,
    users: UserRepository,
}

impl Threads {
    /// Starts a thread, or finds the direct one that is there. Gives its id, and whether it was made just now.
    /// Errors: `invalid`, `user_not_found`.
    pub async fn start(&self, tx: &Tx, caller: &Caller, new: NewThread) -> Result<(Uuid, bool)> {
        new.check()?;
        match (new.kind, new.participant_ids.as_slice()) {
            (ThreadType::Direct, [other]) => {
                let other = self.users.active_by_id(tx, *other, "participant_ids.0").await?;
                let (thread, created) = self.direct(tx, caller, other.id).await?;
                Ok((thread.id, created))
            }
            _ => Ok((self.start_group(tx, caller, new).await?, true)),
        }
    }

    /// The direct thread of the caller and `other`, who is an active user; made where it is the first time. Two who
    /// make it at the same moment get the same one.
    pub async fn direct(&self, tx: &Tx, caller: &Caller, other: Uuid) -> Result<(entity::Model, bool)> {
        let key = direct_key(caller.user_id, other);
        if let Some(found) = self.repository.find_direct(tx, &key).await? {
            return Ok((found, false));
        }
        let both: HashSet<Uuid> = [caller.user_id, other].into();
        let row = entity::ActiveModel {
            direct_key: Set(Some(key.clone())),
            ..new_row(tx, caller, ThreadType::Direct, History::Full, both.len())
        };
        let id = row.id.clone().unwrap();
        let mut on_key = OnConflict::column(Column::DirectKey);
        let insert = Entity::insert(row).on_conflict(on_key.do_nothing().to_owned()).try_insert();
        let inserted = insert.exec_without_returning(tx).await?;
        if matches!(inserted, TryInsertResult::Inserted(1..)) {
            self.insert_participants(tx, id, both.into_iter().map(|user| (user, Role::Member))).await?;
            self.note(tx, caller, FIRST_VERSION, NewEvent::new(THREAD_CREATED, subject::thread(id))).await?;
        }
        let found = self.repository.find_direct(tx, &key).await?;
        let thread = found.ok_or_else(|| Error::not_found("thread"))?;
        let created = thread.id == id;
        Ok((thread, created))
    }

    async fn start_group(&self, tx: &Tx, caller: &Caller, new: NewThread) -> Result<Uuid> {
        self.users.require_active(tx, &new.participant_ids, "participant_ids").await?;
        let others: HashSet<Uuid> =
            new.participant_ids.into_iter().filter(|id| *id != caller.user_id).collect();
        if others.is_empty() {
            return Err(Error::invalid(
                "participant_ids",
                "too_few",
                "must name somebody besides the caller",
            ));
        }
        let history = new.history.unwrap_or_default();
        let row = entity::ActiveModel {
            name: Set(new.name),
            ..new_row(tx, caller, ThreadType::Group, history, others.len() + 1)
        };
        let id = row.id.clone().unwrap();
        Entity::insert(row).exec_without_returning(tx).await?;
        let members = others.into_iter().map(|user| (user, Role::Member));
        self.insert_participants(tx, id, members.chain([(caller.user_id, Role::Owner)])).await?;
        self.note(tx, caller, FIRST_VERSION, NewEvent::new(THREAD_CREATED, subject::thread(id))).await?;
        Ok(id)
    }

    async fn insert_participants(
        &self,
        tx: &Tx,
        thread: Uuid,
        users: impl Iterator<Item = (Uuid, Role)>,
    ) -> Result<()> {
        let rows = users.map(|(user, role)| joining(tx, thread, user, role, FIRST_VERSION, (0, 0)));
        participant::Entity::insert_many(rows).exec_without_returning(tx).await?;
        Ok(())
    }

    /// Some of the caller's threads, the latest activity first.
    pub async fn list<C: ConnectionTrait>(
        &self,
        conn: &C,
        caller: &Caller,
        query: &ListQuery<Entity>,
        request: &CursorRequest,
    ) -> Result<CursorPage<Thread>> {
        let page = self.repository.list_of_user(conn, caller.user_id, query, request).await?;
        let threads = self.seen_by(conn, caller.user_id, page.items.clone()).await?;
        Ok(page.with_items(threads))
    }

    /// One of the caller's threads. Errors: `not_found`.
    pub async fn get<C: ConnectionTrait>(&self, conn: &C, caller: &Caller, id: Uuid) -> Result<Thread> {
        let found = self.repository.of_user(caller.user_id).filter(Column::Id.eq(id)).one(conn).await?;
        let thread = found.ok_or_else(|| Error::not_found("thread"))?;
        let mut seen = self.seen_by(conn, caller.user_id, vec![thread]).await?;
        seen.pop().ok_or_else(|| Error::not_found("thread"))
    }

    /// The threads as `user` sees them: three statements, however many they are.
    async fn seen_by<C: ConnectionTrait>(
        &self,
        conn: &C,
        user: Uuid,
        threads: Vec<entity::Model>,
    ) -> Result<Vec<Thread>> {
        let ids: Vec<Uuid> = threads.iter().map(|thread| thread.id).collect();
        let standings = self.repository.standings(conn, user, &ids).await?;
        let mut participants = self.repository.first_participants(conn, &ids).await?;
        let last_ids = standings.values().filter_map(|standing| standing.last_message_id);
        let mut last_messages = self.messages.by_ids(conn, last_ids).await?;
        let seen = threads.into_iter().map(|thread| {
            let standing = standings.get(&thread.id);
            Thread {
                participants: participants.remove(&thread.id).unwrap_or_default(),
                last_message: standing
                    .and_then(|standing| standing.last_message_id)
                    .and_then(|id| last_messages.remove(&id)),
                unread_count: standing.map_or(0, |standing| standing.unread_count),
                id: thread.id,
                kind: thread.kind,
                name: thread.name,
                creator_id: thread.creator_id,
                history: thread.history,
                participant_count: thread.participant_count,
                last_seq: thread.last_seq,
                version: thread.version,
                created_at: thread.created_at,
                updated_at: thread.updated_at,
                last_activity_at: thread.last_activity_at,
            }
        });
        Ok(seen.collect())
    }

    /// Changes a group. Errors: `invalid`, `not_found`, `forbidden`, `direct_thread`.
    pub async fn update(&self, tx: &Tx, caller: &Caller, id: Uuid, patch: ThreadPatch) -> Result<()> {
        patch.check()?;
        let thread = self.lock_group(tx, caller, id, Role::is_admin).await?;
        let mut row = entity::ActiveModel {
            id: Set(id),
            details_version: Set(thread.version),
            ..entity::ActiveModel::default()
        };
        if let Some(name) = patch.name {
            row.name = Set(Some(name));
        }
        if let Some(history) = patch.history {
            row.history = Set(history);
        }
        self.repository.update(tx, row).await?;
        self.note(tx, caller, thread.version, NewEvent::new(THREAD_UPDATED, subject::thread(id))).await
    }

    /// Soft-deletes a group, for all of its participants. Errors: `not_found`, `forbidden`, `direct_thread`.
    pub async fn delete(&self, tx: &Tx, caller: &Caller, id: Uuid) -> Result<()> {
        let thread = self.lock_group(tx, caller, id, |role| role == Role::Owner).await?;
        self.repository.soft_delete(tx, id).await?;
        self.note(tx, caller, thread.version, NewEvent::new(THREAD_DELETED, subject::thread(id))).await
    }

    /// A page of the participants. Errors: `not_found`.
    pub async fn participants<C: ConnectionTrait>(
        &self,
        conn: &C,
        caller: &Caller,
        id: Uuid,
        page: PageRequest,
    ) -> Result<Page<Participant>> {
        self.require_in(conn, caller.user_id, id).await?;
        self.repository.list_participants(conn, id, page).await
    }

    /// Makes sure that the user is in the thread, and the thread is alive. Errors: `not_found`.
    pub async fn require_in<C: ConnectionTrait>(
        &self,
        conn: &C,
        user: Uuid,
        id: Uuid,
    ) -> Result<participant::Model> {
        if !self.repository.exists(conn, Column::Id.eq(id).into()).await? {
            return Err(Error::not_found("thread"));
        }
        self.repository.participant(conn, id, user).await
    }

    /// Adds users to a group and removes others, in one step: all or none. An owner is removed by an owner only. Gives
    /// the first page of those who take part now.
    /// Errors: `invalid`, `not_found`, `forbidden`, `direct_thread`, `user_not_found`, `already_participant`,
    /// `not_a_participant`, `last_owner`, `thread_full`.
    pub async fn change_participants(
        &self,
        tx: &Tx,
        caller: &Caller,
        id: Uuid,
        patch: ParticipantsPatch,
    ) -> Result<Page<Participant>> {
        patch.check()?;
        let only_leaving = patch.add.is_empty() && patch.remove == [caller.user_id];
        let thread = self.lock_group(tx, caller, id, |role| only_leaving || role.is_admin()).await?;
        let mine = self.repository.participant(tx, id, caller.user_id).await?;
        let mut events = self.remove(tx, &mine, thread.version, &patch.remove).await?;
        events.extend(self.add(tx, &thread, &patch.add).await?);
        let change = count(patch.add.len()) - count(patch.remove.len());
        if thread.participant_count + change > MAX_PARTICIPANTS {
            return Err(THREAD_FULL.error(format!("a thread has at most {MAX_PARTICIPANTS} participants")));
        }
        Entity::update_many()
            .col_expr(Column::ParticipantCount, Expr::value(thread.participant_count + change))
            .filter(Column::Id.eq(id))
            .exec(tx)
            .await?;
        let events = events.into_iter().map(|event| event.at_version(thread.version).by(caller.user_id));
        events::append_all(tx, events).await?;
        self.repository.list_participants(tx, id, PageRequest::default()).await
    }

    async fn remove(
        &self,
        tx: &Tx,
        mine: &participant::Model,
        version: i64,
        users: &[Uuid],
    ) -> Result<Vec<NewEvent>> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let rows = rows_of(tx, mine.thread_id, users).await?;
        let present = |user: &Uuid| rows.iter().any(|row| row.user_id == *user && row.left_at.is_none());
        let mut errors = groundwork_core::FieldErrors::new();
        for (index, user) in users.iter().enumerate() {
            errors.check(present(user), &format!("remove.{index}"), "not_a_participant", "is no participant");
        }
        if !errors.is_empty() {
            return Err(NOT_A_PARTICIPANT
                .error("someone to remove is not in the thread")
                .with_field_errors(errors));
        }
        let owners = rows.iter().any(|row| row.role == Role::Owner);
        let others_owner = rows.iter().any(|row| row.role == Role::Owner && row.user_id != mine.user_id);
        if others_owner && mine.role != Role::Owner {
            return Err(codes::FORBIDDEN.error("only an owner may remove an owner"));
        }
        if owners && self.repository.other_owners(tx, mine.thread_id, users).await? == 0 {
            return Err(LAST_OWNER.error("make somebody else an owner first, or delete the thread"));
        }
        participant::Entity::update_many()
            .col_expr(participant::Column::LeftAt, Expr::value(Value::from(tx.now())))
            .col_expr(participant::Column::Version, Expr::value(version))
            .filter(participant::Column::ThreadId.eq(mine.thread_id))
            .filter(participant::Column::UserId.is_in(users.iter().copied()))
            .exec(tx)
            .await?;
        Ok(users
            .iter()
            .map(|user| NewEvent::new(PARTICIPANT_REMOVED, subject::thread(mine.thread_id)).of_user(*user))
            .collect())
    }

    async fn add(&self, tx: &Tx, thread: &entity::Model, users: &[Uuid]) -> Result<Vec<NewEvent>> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        self.users.require_active(tx, users, "add").await?;
        let before = rows_of(tx, thread.id, users).await?;
        let mut errors = groundwork_core::FieldErrors::new();
        for (index, user) in users.iter().enumerate() {
            let here = before.iter().any(|row| row.user_id == *user && row.left_at.is_none());
            errors.check(!here, &format!("add.{index}"), "already_participant", "is a participant already");
        }
        if !errors.is_empty() {
            return Err(ALREADY_PARTICIPANT
                .error("someone to add is in the thread")
                .with_field_errors(errors));
        }
        // What was said before is not unread, whether it can be seen or not.
        let joined_seq = if thread.history == History::Full { 0 } else { thread.last_seq };
        let seqs = (joined_seq, thread.last_seq);
        let rows = users.iter().map(|user| joining(tx, thread.id, *user, Role::Member, thread.version, seqs));
        let mut again = OnConflict::columns([participant::Column::ThreadId, participant::Column::UserId]);
        again.update_columns([
            participant::Column::Role,
            participant::Column::JoinedAt,
            participant::Column::JoinedSeq,
            participant::Column::LeftAt,
            participant::Column::LastDeliveredSeq,
            participant::Column::LastReadSeq,
            participant::Column::Version,
        ]);
        participant::Entity::insert_many(rows).on_conflict(again).exec_without_returning(tx).await?;
        let payload = json!({"role": Role::Member});
        let event = |user: &Uuid| {
            NewEvent::new(PARTICIPANT_ADDED, subject::thread(thread.id)).of_user(*user).with(payload.clone())
        };
        Ok(users.iter().map(event).collect())
    }

    /// Gives a participant another role. Errors: `not_found`, `forbidden`, `direct_thread`, `last_owner`.
    pub async fn set_role(
        &self,
        tx: &Tx,
        caller: &Caller,
        id: Uuid,
        user: Uuid,
        role: Role,
    ) -> Result<Participant> {
        let thread = self.lock_group(tx, caller, id, |mine| mine == Role::Owner).await?;
        let theirs = self.repository.participant(tx, id, user).await;
        let theirs = theirs.map_err(|_| Error::not_found("participant"))?;
        if theirs.role == Role::Owner
            && role != Role::Owner
            && self.repository.other_owners(tx, id, &[user]).await? == 0
        {
            return Err(LAST_OWNER.error("make somebody else an owner first"));
        }
        participant::Entity::update_many()
            .col_expr(participant::Column::Role, Expr::value(Value::from(role)))
            .col_expr(participant::Column::Version, Expr::value(thread.version))
            .filter(participant::Column::ThreadId.eq(id))
            .filter(participant::Column::UserId.eq(user))
            .exec(tx)
            .await?;
        let event =
            NewEvent::new(PARTICIPANT_UPDATED, subject::thread(id)).of_user(user).with(json!({"role": role}));
        self.note(tx, caller, thread.version, event).await?;
        self.repository.shown_participant(tx, id, user).await
    }

    /// Locks a group in which the caller has a role that `may`. Errors: `not_found` for one who isn't in it,
    /// `direct_thread`, `forbidden`.
    async fn lock_group(
        &self,
        tx: &Tx,
        caller: &Caller,
        id: Uuid,
        may: impl FnOnce(Role) -> bool + Send,
    ) -> Result<entity::Model> {
        let thread = self.repository.next_version(tx, id).await?;
        let mine = self.repository.participant(tx, id, caller.user_id).await?;
        if thread.kind == ThreadType::Direct {
            return Err(DIRECT_THREAD.error("a direct thread can't be renamed, left, deleted or given roles"));
        }
        if !may(mine.role) {
            return Err(codes::FORBIDDEN.error("your role in this thread doesn't allow it"));
        }
        Ok(thread)
    }

    async fn note(&self, tx: &Tx, caller: &Caller, version: i64, event: NewEvent) -> Result<()> {
        events::append(tx, event.at_version(version).by(caller.user_id)).await
    }
}

async fn rows_of(tx: &Tx, thread: Uuid, users: &[Uuid]) -> Result<Vec<participant::Model>> {
    let rows = participant::Entity::find()
        .filter(participant::Column::ThreadId.eq(thread))
        .filter(participant::Column::UserId.is_in(users.iter().copied()));
    Ok(rows.all(tx).await?)
}

fn count(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

fn new_row(
    tx: &Tx,
    caller: &Caller,
    kind: ThreadType,
    history: History,
    participants: usize,
) -> entity::ActiveModel {
    entity::ActiveModel {
        id: Set(tx.new_id()),
        created_at: Set(tx.now()),
        updated_at: Set(tx.now()),
        deleted_at: Set(None),
        kind: Set(kind),
        name: Set(None),
        creator_id: Set(caller.user_id),
        direct_key: Set(None),
        history: Set(history),
        last_seq: Set(0),
        version: Set(FIRST_VERSION),
        details_version: Set(FIRST_VERSION),
        last_activity_at: Set(tx.now()),
        participant_count: Set(count(participants)),
    }
}

fn joining(
    tx: &Tx,
    thread: Uuid,
    user: Uuid,
    role: Role,
    version: i64,
    (joined_seq, seen_seq): (i64, i64),
) -> participant::ActiveModel {
    participant::ActiveModel {
        thread_id: Set(thread),
        user_id: Set(user),
        role: Set(role),
        joined_at: Set(tx.now()),
        joined_seq: Set(joined_seq),
        left_at: Set(None),
        last_delivered_seq: Set(seen_seq),
        last_read_seq: Set(seen_seq),
        version: Set(version),
    }
}

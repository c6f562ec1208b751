//! The rules for threads.

use std::collections::{HashMap, HashSet};

use groundwork_auth::Caller;
use groundwork_core::{
    CursorPage, CursorRequest, Error, FieldErrors, ListQuery, Page, PageRequest, Repository, Result, Tx,
    Uuid, Validate,
    error::codes,
    events::{self, NewEvent},
};
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait};
use serde_json::json;

use super::{
    entity::{self, Column, Entity, History, ThreadType, direct_key},
    participant::{self, Role},
    recent::place,
    repository::{Standing, ThreadRepository},
    types::{
        MAX_PARTICIPANTS, Membership, NewThread, Participant, ParticipantsChange, ParticipantsPatch, Thread,
        ThreadPatch,
    },
};
use crate::{
    codes::{ALREADY_PARTICIPANT, DIRECT_THREAD, LAST_OWNER, NOT_A_PARTICIPANT, THREAD_FULL, USER_INACTIVE},
    events::{
        self as subject, PARTICIPANT_ADDED, PARTICIPANT_REMOVED, PARTICIPANT_UPDATED, THREAD_CREATED,
        THREAD_DELETED, THREAD_UPDATED,
    },
    messages::MessageRepository,
    users::UserRepository,
};

/// The version of a new thread.
const FIRST_VERSION: i64 = 1;
/// The maximum number of participants of a group in which presence is live.
const PRESENCE_PARTICIPANTS: i32 = 100;
/// How many groups get a new owner in one statement.
const SUCCESSIONS: u64 = 500;

/// The rules for threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Threads {
    repository: ThreadRepository,
    messages: MessageRepository,
    users: UserRepository,
}

impl Threads {
    /// Starts a thread, or finds the existing direct thread. Returns its id, and whether it is new.
    ///
    /// # Errors
    /// `invalid`, `user_not_found`, `user_inactive`.
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

    /// Returns the direct thread of the caller and `other`, an active user, and whether it is new. Two requests that
    /// create it at the same time get the same one.
    pub async fn direct(&self, tx: &Tx, caller: &Caller, other: Uuid) -> Result<(entity::Model, bool)> {
        let key = direct_key(caller.user_id, other);
        if let Some(found) = self.repository.find_direct(tx, &key).await? {
            return Ok((found, false));
        }
        let both: HashSet<Uuid> = [caller.user_id, other].into();
        let id = tx.new_id();
        let row = entity::ActiveModel {
            direct_key: Set(Some(key.clone())),
            ..new_row(tx, caller, id, ThreadType::Direct, History::Full, both.len())
        };
        if self.repository.insert_direct(tx, row).await? {
            let rows = both.iter().map(|user| first_participant(tx, id, *user, Role::Member));
            self.repository.join(tx, rows).await?;
            let both: Vec<Uuid> = both.into_iter().collect();
            self.repository.file(tx, id, place(tx.now(), count(both.len())), &both).await?;
            self.note_created(tx, caller, id, &both).await?;
        }
        let found = self.repository.find_direct(tx, &key).await?;
        let thread = found.ok_or_else(|| Error::not_found("thread"))?;
        let created = thread.id == id;
        Ok((thread, created))
    }

    /// Returns the id of the direct thread of two users, if it exists.
    pub async fn find_direct<C: ConnectionTrait>(&self, conn: &C, a: Uuid, b: Uuid) -> Result<Option<Uuid>> {
        Ok(self.repository.find_direct(conn, &direct_key(a, b)).await?.map(|thread| thread.id))
    }

    async fn start_group(&self, tx: &Tx, caller: &Caller, new: NewThread) -> Result<Uuid> {
        if !self.users.hold_active(tx, caller.user_id).await? {
            return Err(codes::UNAUTHENTICATED.error("the account is deactivated"));
        }
        self.users.require_active(tx, &new.participant_ids, "participant_ids").await?;
        let others: HashSet<Uuid> =
            new.participant_ids.into_iter().filter(|id| *id != caller.user_id).collect();
        if others.is_empty() {
            let message = "must name somebody other than the caller";
            return Err(Error::invalid("participant_ids", "too_few", message));
        }
        let history = new.history.unwrap_or_default();
        let id = tx.new_id();
        let row = entity::ActiveModel {
            name: Set(new.name.map(String::from)),
            ..new_row(tx, caller, id, ThreadType::Group, history, others.len() + 1)
        };
        self.repository.insert(tx, row).await?;
        let roles = others.iter().map(|user| (*user, Role::Member)).chain([(caller.user_id, Role::Owner)]);
        let rows = roles.map(|(user, role)| first_participant(tx, id, user, role));
        self.repository.join(tx, rows).await?;
        let all: Vec<Uuid> = others.into_iter().chain([caller.user_id]).collect();
        self.repository.file(tx, id, place(tx.now(), count(all.len())), &all).await?;
        self.note_created(tx, caller, id, &all).await?;
        Ok(id)
    }

    /// Returns a page of the caller's threads, the latest activity first.
    ///
    /// # Errors
    /// `invalid` for a cursor of another list.
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

    /// Returns one of the caller's threads.
    ///
    /// # Errors
    /// `not_found`
    pub async fn get<C: ConnectionTrait>(&self, conn: &C, caller: &Caller, id: Uuid) -> Result<Thread> {
        let found = self.repository.get_of_user(conn, caller.user_id, id).await?;
        let thread = found.ok_or_else(|| Error::not_found("thread"))?;
        let mut seen = self.seen_by(conn, caller.user_id, vec![thread]).await?;
        seen.pop().ok_or_else(|| Error::not_found("thread"))
    }

    /// Returns the threads as `user` sees them, in three statements for any number of them. Leaves out those that the
    /// user has left meanwhile.
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
        let seen = threads.into_iter().filter_map(|thread| {
            let standing: &Standing = standings.get(&thread.id)?;
            Some(Thread {
                me: Membership {
                    role: standing.role,
                    joined_at: standing.joined_at,
                    last_delivered_seq: standing.last_delivered_seq,
                    last_read_seq: standing.last_read_seq,
                },
                participants: participants.remove(&thread.id).unwrap_or_default(),
                last_message: standing.last_message_id.and_then(|id| last_messages.remove(&id)),
                unread_count: standing.unread_count,
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
            })
        });
        Ok(seen.collect())
    }

    /// Changes a group.
    ///
    /// # Errors
    /// `invalid`, `not_found`, `forbidden`, `direct_thread`.
    pub async fn update(&self, tx: &Tx, caller: &Caller, id: Uuid, patch: ThreadPatch) -> Result<()> {
        patch.check()?;
        let (thread, _) = self.lock_group(tx, caller, id, Role::is_admin).await?;
        let mut row = entity::ActiveModel {
            id: Set(id),
            details_version: Set(thread.version),
            ..entity::ActiveModel::default()
        };
        if let Some(name) = patch.name.into_value() {
            row.name = Set(Some(name.into()));
        }
        if let Some(history) = patch.history.into_value() {
            row.history = Set(history);
        }
        self.repository.update(tx, row).await?;
        self.note(tx, caller, thread.version, NewEvent::new(THREAD_UPDATED, subject::thread(id))).await
    }

    /// Soft-deletes a group, for all of its participants.
    ///
    /// # Errors
    /// `not_found`, `forbidden`, `direct_thread`.
    pub async fn delete(&self, tx: &Tx, caller: &Caller, id: Uuid) -> Result<()> {
        let (thread, _) = self.lock_group(tx, caller, id, |role| role == Role::Owner).await?;
        self.repository.unfile_threads(tx, &[id]).await?;
        self.repository.soft_delete(tx, id).await?;
        self.note(tx, caller, thread.version, NewEvent::new(THREAD_DELETED, subject::thread(id))).await
    }

    /// Returns how many messages the user has not read, in all of their threads.
    pub async fn unread_total<C: ConnectionTrait>(&self, conn: &C, user: Uuid) -> Result<i64> {
        let totals = self.repository.unread_totals(conn, &[user]).await?;
        Ok(totals.get(&user).copied().unwrap_or(0))
    }

    /// Returns a page of the participants.
    ///
    /// # Errors
    /// `not_found`
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

    /// Returns one participant.
    ///
    /// # Errors
    /// `not_found`
    pub async fn participant<C: ConnectionTrait>(
        &self,
        conn: &C,
        caller: &Caller,
        id: Uuid,
        user: Uuid,
    ) -> Result<Participant> {
        self.require_in(conn, caller.user_id, id).await?;
        self.repository.shown_participant(conn, id, user).await
    }

    /// Checks that the user is in the thread, and that the thread is not deleted.
    ///
    /// # Errors
    /// `not_found`
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

    /// Adds users to a group and removes others, all or none. Only an owner may remove an owner. Everybody may remove
    /// themselves alone, which is leaving. Each user who joins or leaves takes a version of the thread.
    ///
    /// # Errors
    /// `invalid`, `not_found`, `forbidden`, `direct_thread`, `user_not_found`, `user_inactive`, `already_participant`,
    /// `not_a_participant`, `last_owner`, `thread_full`.
    pub async fn change_participants(
        &self,
        tx: &Tx,
        caller: &Caller,
        id: Uuid,
        patch: ParticipantsPatch,
    ) -> Result<ParticipantsChange> {
        patch.check()?;
        let only_leaving = patch.add.is_empty() && patch.remove == [caller.user_id];
        let may = |role: Role| only_leaving || role.is_admin();
        let (thread, mine) = self.lock_group(tx, caller, id, may).await?;
        self.add_and_remove(tx, &thread, &mine, &patch.add, &patch.remove).await?;
        let added = self.repository.shown_participants(tx, id, &patch.add).await?;
        Ok(ParticipantsChange { added, removed: patch.remove })
    }

    /// Removes one participant, with the rules of [`change_participants`](Self::change_participants).
    ///
    /// # Errors
    /// `not_found`, `forbidden`, `direct_thread`, `last_owner`.
    pub async fn remove_participant(&self, tx: &Tx, caller: &Caller, id: Uuid, user: Uuid) -> Result<()> {
        let may = |role: Role| user == caller.user_id || role.is_admin();
        let (thread, mine) = self.lock_group(tx, caller, id, may).await?;
        let theirs = self.repository.participant(tx, id, user).await;
        theirs.map_err(|_| Error::not_found("participant"))?;
        self.add_and_remove(tx, &thread, &mine, &[], &[user]).await
    }

    async fn add_and_remove(
        &self,
        tx: &Tx,
        thread: &entity::Model,
        mine: &participant::Model,
        add: &[Uuid],
        remove: &[Uuid],
    ) -> Result<()> {
        let mut events = self.remove(tx, mine, thread, remove).await?;
        let participants = thread.participant_count + count(add.len()) - count(remove.len());
        let first_added = thread.version + long_count(remove.len());
        events.extend(self.add(tx, thread, (first_added, participants), add).await?);
        if participants > MAX_PARTICIPANTS {
            return Err(THREAD_FULL.error(format!("a thread has at most {MAX_PARTICIPANTS} participants")));
        }
        let last = thread.version + long_count(events.len()) - 1;
        self.repository.set_participants(tx, thread.id, participants, last).await?;
        self.repository.refile(tx, thread, place(thread.last_activity_at, participants)).await?;
        let events = events.into_iter().zip(thread.version..);
        let events = events.map(|(event, version)| event.at_version(version).by(mine.user_id));
        events::append_all(tx, events).await
    }

    async fn remove(
        &self,
        tx: &Tx,
        mine: &participant::Model,
        &entity::Model { id: thread, version, recent_minute, .. }: &entity::Model,
        users: &[Uuid],
    ) -> Result<Vec<NewEvent>> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.repository.rows_of(tx, thread, users).await?;
        let present = |user: &Uuid| rows.iter().any(|row| row.user_id == *user && row.left_at.is_none());
        let mut errors = FieldErrors::new();
        for (index, user) in users.iter().enumerate() {
            errors.check(
                present(user),
                &format!("remove.{index}"),
                "not_a_participant",
                "is not a participant",
            );
        }
        if !errors.is_empty() {
            return Err(NOT_A_PARTICIPANT
                .error("a user to remove is not in the thread")
                .with_field_errors(errors));
        }
        let mut owners = rows.iter().filter(|row| row.role == Role::Owner).peekable();
        let removes_owner = owners.peek().is_some();
        if owners.any(|row| row.user_id != mine.user_id) && mine.role != Role::Owner {
            return Err(codes::FORBIDDEN.error("only an owner may remove an owner"));
        }
        if removes_owner && !self.repository.has_other_owner(tx, thread, users).await? {
            return Err(
                LAST_OWNER.error("make another active participant an owner first, or delete the thread")
            );
        }
        self.repository.leave(tx, thread, users, version).await?;
        self.repository.unfile(tx, thread, recent_minute, users).await?;
        let event = |user: &Uuid| NewEvent::new(PARTICIPANT_REMOVED, subject::thread(thread)).of_user(*user);
        Ok(users.iter().map(event).collect())
    }

    /// The first of the users joins at `version`, and each further one at the next. After that the thread has that many
    /// participants.
    async fn add(
        &self,
        tx: &Tx,
        thread: &entity::Model,
        (version, participants): (i64, i32),
        users: &[Uuid],
    ) -> Result<Vec<NewEvent>> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        self.users.require_active(tx, users, "add").await?;
        let before = self.repository.rows_of(tx, thread.id, users).await?;
        let mut errors = FieldErrors::new();
        for (index, user) in users.iter().enumerate() {
            let here = before.iter().any(|row| row.user_id == *user && row.left_at.is_none());
            errors.check(!here, &format!("add.{index}"), "already_participant", "is a participant already");
        }
        if !errors.is_empty() {
            return Err(ALREADY_PARTICIPANT
                .error("a user to add is in the thread already")
                .with_field_errors(errors));
        }
        // What was said before is not unread, whether it can be seen or not.
        let joined_seq = if thread.history == History::Full { 0 } else { thread.last_seq };
        let seqs = (joined_seq, thread.last_seq);
        let hidden = self.users.hidden(tx, users).await?;
        let versions = users.iter().zip(version..);
        let row = |(user, version): (&Uuid, i64)| joining(tx, thread.id, *user, Role::Member, version, seqs);
        self.repository.join(tx, versions.clone().map(row)).await?;
        self.repository.file(tx, thread.id, thread.recent_minute, users).await?;
        let event = |(user, version): (&Uuid, i64)| {
            let shows_presence = !hidden.contains(user) && shows_presence(thread.kind, participants);
            let payload = json!({
                "role": Role::Member,
                "joined_seq": joined_seq,
                "joined_version": version,
                "shows_presence": shows_presence,
            });
            NewEvent::new(PARTICIPANT_ADDED, subject::thread(thread.id)).of_user(*user).with(payload)
        };
        Ok(versions.map(event).collect())
    }

    /// Sets the role of a participant.
    ///
    /// # Errors
    /// `not_found`, `forbidden`, `direct_thread`, `last_owner`, `user_inactive` for a deactivated user as owner.
    pub async fn set_role(
        &self,
        tx: &Tx,
        caller: &Caller,
        id: Uuid,
        user: Uuid,
        role: Role,
    ) -> Result<Participant> {
        let may_own = role != Role::Owner || self.users.hold_active(tx, user).await?;
        let (thread, _) = self.lock_group(tx, caller, id, |mine| mine == Role::Owner).await?;
        let theirs = self.repository.participant(tx, id, user).await;
        let theirs = theirs.map_err(|_| Error::not_found("participant"))?;
        if !may_own {
            return Err(USER_INACTIVE.error("a deactivated user can't become an owner"));
        }
        let resigns = theirs.role == Role::Owner && role != Role::Owner;
        if resigns && !self.repository.has_other_owner(tx, id, &[user]).await? {
            return Err(LAST_OWNER.error("make another active participant an owner first"));
        }
        self.repository.set_role(tx, id, user, role, thread.version).await?;
        self.note(tx, caller, thread.version, role_changed(id, user, role)).await?;
        self.repository.shown_participant(tx, id, user).await
    }

    /// Passes on the groups whose only active owner is `user`, who is about to be deactivated or deleted by `actor`: to
    /// the active admin who joined first, or else to the active member who joined first. The user stays a participant,
    /// as a member. A group with no other active participant is deleted.
    ///
    /// The user's row is locked before, so that they don't become an owner meanwhile.
    pub(crate) async fn pass_on_groups(&self, tx: &Tx, user: Uuid, actor: Uuid) -> Result<()> {
        self.repository.lock_successions(tx).await?;
        let mut after = Uuid::nil();
        loop {
            let groups = self.repository.lock_groups_owned_by(tx, user, after, SUCCESSIONS).await?;
            let Some(last) = groups.last() else { return Ok(()) };
            after = *last;
            self.pass_on(tx, user, actor, &groups).await?;
        }
    }

    async fn pass_on(&self, tx: &Tx, user: Uuid, actor: Uuid, groups: &[Uuid]) -> Result<()> {
        let successions = self.repository.successions(tx, user, groups).await?;
        let heirs: HashMap<Uuid, Uuid> =
            successions.iter().filter_map(|group| Some((group.thread, group.heir?))).collect();
        let orphans: Vec<Uuid> =
            successions.iter().filter(|group| group.heir.is_none()).map(|group| group.thread).collect();
        let mut events = Vec::new();
        if !heirs.is_empty() {
            for (group, version) in self.repository.change_owners(tx, user, &heirs).await? {
                let heir = heirs.get(&group).map(|heir| (*heir, Role::Owner, version - 1));
                for (who, role, version) in heir.into_iter().chain([(user, Role::Member, version)]) {
                    events.push(role_changed(group, who, role).at_version(version));
                }
            }
        }
        if !orphans.is_empty() {
            self.repository.unfile_threads(tx, &orphans).await?;
            for (group, version) in self.repository.soft_delete_all(tx, &orphans).await? {
                events.push(NewEvent::new(THREAD_DELETED, subject::thread(group)).at_version(version));
            }
        }
        events::append_all(tx, events.into_iter().map(|event| event.by(actor))).await
    }

    /// Locks a group in which the caller has a role that `may`, and returns it with the caller's row.
    ///
    /// # Errors
    /// `not_found` if the caller is not in it, `direct_thread`, `forbidden`.
    async fn lock_group(
        &self,
        tx: &Tx,
        caller: &Caller,
        id: Uuid,
        may: impl FnOnce(Role) -> bool + Send,
    ) -> Result<(entity::Model, participant::Model)> {
        let thread = self.repository.next_version(tx, id).await?;
        let mine = self.repository.participant(tx, id, caller.user_id).await?;
        if thread.kind == ThreadType::Direct {
            return Err(DIRECT_THREAD.error("a direct thread can't be renamed, left, deleted or given roles"));
        }
        if !may(mine.role) {
            return Err(codes::FORBIDDEN.error("your role in this thread doesn't allow it"));
        }
        Ok((thread, mine))
    }

    /// Writes the event of a new thread.
    async fn note_created(&self, tx: &Tx, caller: &Caller, id: Uuid, participants: &[Uuid]) -> Result<()> {
        let hidden = self.users.hidden(tx, participants).await?;
        // A direct thread has no more than two.
        let in_thread = shows_presence(ThreadType::Group, count(participants.len()));
        let first = |id: &Uuid| json!({"id": id, "shows_presence": in_thread && !hidden.contains(id)});
        let first: Vec<_> = participants.iter().map(first).collect();
        let event = NewEvent::new(THREAD_CREATED, subject::thread(id));
        self.note(tx, caller, FIRST_VERSION, event.with(json!({"participants": first}))).await
    }

    async fn note(&self, tx: &Tx, caller: &Caller, version: i64, event: NewEvent) -> Result<()> {
        events::append(tx, event.at_version(version).by(caller.user_id)).await
    }
}

/// Returns whether the participants of a thread see live which of the others are online, unless these hide it. In a large
/// group everybody would hear of everybody.
pub(crate) fn shows_presence(kind: ThreadType, participants: i32) -> bool {
    kind == ThreadType::Direct || participants <= PRESENCE_PARTICIPANTS
}

fn role_changed(thread: Uuid, user: Uuid, role: Role) -> NewEvent {
    NewEvent::new(PARTICIPANT_UPDATED, subject::thread(thread)).of_user(user).with(json!({"role": role}))
}

fn count(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

fn long_count(length: usize) -> i64 {
    count(length).into()
}

fn new_row(
    tx: &Tx,
    caller: &Caller,
    id: Uuid,
    kind: ThreadType,
    history: History,
    participants: usize,
) -> entity::ActiveModel {
    entity::ActiveModel {
        id: Set(id),
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
        recent_minute: Set(place(tx.now(), count(participants))),
    }
}

/// A participant from the beginning of the thread on.
fn first_participant(tx: &Tx, thread: Uuid, user: Uuid, role: Role) -> participant::ActiveModel {
    joining(tx, thread, user, role, FIRST_VERSION, (0, 0))
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
        joined_version: Set(version),
        left_at: Set(None),
        last_delivered_seq: Set(seen_seq),
        last_read_seq: Set(seen_seq),
        version: Set(version),
        // What was sent before joining counts as read.
        sent_since_read: Set(0),
    }
}

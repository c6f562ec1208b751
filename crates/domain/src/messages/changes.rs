//! What changed in a thread since a version: messages, the thread's own fields, and participants.
//!
//! Each row carries the version of the thread at its last change, so the result does not depend on how long the
//! event log is kept, and the result of several changes of one row is one item.

use std::collections::BTreeMap;

use groundwork_core::{Error, Repository, Result, Timestamp, Uuid};
use sea_orm::ConnectionTrait;

use super::{
    repository::MessageRepository,
    types::{Change, Changes, Message},
};
use crate::{codes::VERSION_AHEAD, threads::ThreadRepository};

/// The changes that `user` can see after version `since`, about `limit` of them. All changes of a version are in
/// one answer: the first version has the thread and its first participants, and every other version one change.
pub(super) async fn changes<C: ConnectionTrait>(
    conn: &C,
    user: Uuid,
    thread_id: Uuid,
    since: i64,
    limit: u64,
) -> Result<Changes> {
    let (threads, messages) = (ThreadRepository, MessageRepository);
    // The thread is read first: every change up to its version is committed. Later changes are left for the next call.
    let thread = threads.get(conn, thread_id).await?.ok_or_else(|| Error::not_found("thread"))?;
    threads.participant(conn, thread_id, user).await?;
    if since > thread.version {
        return Err(VERSION_AHEAD.error(format!(
            "since is {since}, but the thread's version is {}; start again from 0",
            thread.version
        )));
    }
    let span = (since, thread.version);
    let changed = messages.changed_since(conn, user, thread_id, span, limit + 1).await?;
    let participants = threads.participant_versions(conn, thread_id, span, limit + 1).await?;
    let details = (thread.details_version > since).then_some(thread.details_version);

    let mut by_version: BTreeMap<i64, u64> = participants.into_iter().collect();
    for version in changed.iter().map(|(_, message)| message.version).chain(details) {
        *by_version.entry(version).or_default() += 1;
    }
    let (until, has_more) = cut(&by_version, limit).unwrap_or((thread.version, false));
    let until = if has_more { until } else { thread.version };

    let mut items: Vec<Change> = Vec::new();
    if details.is_some_and(|version| version <= until) {
        let (name, history) = (thread.name, thread.history);
        items.push(Change::Thread { version: thread.details_version, name, history });
    }
    for changed in threads.changed_participants(conn, thread_id, (since, until)).await? {
        let (version, left_at) = (changed.version, changed.left_at);
        let user_id = changed.participant.id;
        let participant = left_at.is_none().then_some(changed.participant);
        items.push(Change::Participant { version, user_id, left_at, participant });
    }
    let changed = changed.into_iter().filter(|(_, message)| message.version <= until);
    items.extend(changed.map(message_change));
    items.sort_by_key(Change::version);
    Ok(Changes { items, version: until, has_more })
}

/// The version at which `limit` changes are reached, and whether there are more after it.
fn cut(by_version: &BTreeMap<i64, u64>, limit: u64) -> Option<(i64, bool)> {
    let mut count = 0;
    let (until, _) = by_version.iter().find(|(_, changes)| {
        count += **changes;
        count >= limit
    })?;
    let last = by_version.last_key_value().map(|(version, _)| version);
    Some((*until, last.is_some_and(|last| last > until)))
}

fn message_change((deleted_at, message): (Option<Timestamp>, Message)) -> Change {
    Change::Message {
        id: message.id,
        seq: message.seq,
        version: message.version,
        deleted_at,
        message: deleted_at.is_none().then_some(message),
    }
}

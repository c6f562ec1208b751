//! What clients see of an event: its subject as it is now, read for many events at once.

use std::collections::{HashMap, HashSet};

use groundwork_auth::{Groups, Scope};
use groundwork_core::{
    Error, Reader, Repository, Result, Timestamp, Uuid,
    events::{
        Model as Event,
        feed::{Merge, Personal, PersonalData, Shown},
    },
};
use sea_orm::{ColumnTrait, QueryFilter};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::{
    route::{AboutMessage, payload},
    types::{
        DeletedMessage, DeletedThread, LiveEvent, LiveMessage, LiveParticipant, LiveReceipt, LiveReceipts,
        LiveThread, RemovedParticipant, SentMessage, ThreadInfo, Unread,
    },
};
use crate::{
    events::{
        MESSAGE_CREATED, MESSAGE_DELETED, MESSAGE_UPDATED, PARTICIPANT_ADDED, PARTICIPANT_REMOVED,
        PARTICIPANT_UPDATED, RECEIPT_UPDATED, THREAD_CREATED, THREAD_DELETED, THREAD_UPDATED, USER_UPDATED,
    },
    messages::{Author, Message, MessageRepository, ReceiptKind},
    scopes::{MessagesRead, Profile as ProfileScope, ThreadsRead},
    threads::{Participant, ThreadRepository, entity},
    users::{Profile, UserRepository, repository::names},
};

/// The payload of a receipt.
#[derive(Debug, Deserialize)]
struct AboutReceipt {
    kind: ReceiptKind,
    seq: i64,
    at: Timestamp,
}

/// What the events refer to, as it is now.
#[derive(Debug, Default)]
struct Now {
    /// By thread and `seq`.
    messages: HashMap<(Uuid, i64), (Option<Timestamp>, Message)>,
    names: HashMap<Uuid, String>,
    threads: HashMap<Uuid, ThreadInfo>,
    participants: HashMap<(Uuid, Uuid), Participant>,
    profiles: HashMap<Uuid, Profile>,
}

/// Returns what clients see of the events.
pub(super) async fn show(conn: &Reader, groups: &Groups, events: &[Event]) -> Result<Vec<Option<Shown>>> {
    let now = read(conn, groups, events).await?;
    events
        .iter()
        .map(|event| {
            let Some((scope, live)) = now.live(event) else { return Ok(None) };
            let (personal, merge) = (personal_of(event), merge_of(&live));
            Ok(Some(Shown { scope, data: data_of(live)?, personal, merge }))
        })
        .collect()
}

async fn read(conn: &Reader, groups: &Groups, events: &[Event]) -> Result<Now> {
    let of = |kinds: &'static [&'static str]| {
        events.iter().filter(move |event| kinds.contains(&event.kind.as_str()))
    };
    let messages = of(&[MESSAGE_CREATED, MESSAGE_UPDATED, MESSAGE_DELETED]);
    let messages: HashSet<_> =
        messages.filter_map(|event| Some((event.subject_id, payload::<AboutMessage>(event)?.seq))).collect();
    let threads = of(&[THREAD_CREATED, THREAD_UPDATED]).map(|event| event.subject_id).collect();
    let participants = of(&[PARTICIPANT_ADDED, PARTICIPANT_UPDATED]);
    let participants: HashSet<_> =
        participants.filter_map(|event| Some((event.subject_id, event.user_id?))).collect();
    let users: Vec<Uuid> = of(&[USER_UPDATED]).map(|event| event.subject_id).collect();

    let messages = MessageRepository.by_places_with_deleted(conn, &messages).await?;
    let names = names(conn, messages.values().map(|(_, message)| message.sender_id)).await?;
    let keys: Vec<_> = participants.into_iter().collect();
    let users = if users.is_empty() { Vec::new() } else { UserRepository.by_ids(conn, &users).await? };
    Ok(Now {
        messages,
        names: names.into_iter().collect(),
        threads: thread_infos(conn, threads).await?,
        participants: ThreadRepository.participants_by_keys(conn, &keys).await?,
        profiles: users.into_iter().map(|user| (user.id, Profile::new(user, groups))).collect(),
    })
}

async fn thread_infos(conn: &Reader, ids: HashSet<Uuid>) -> Result<HashMap<Uuid, ThreadInfo>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let found = ThreadRepository.alive().filter(entity::Column::Id.is_in(ids)).all(conn).await?;
    let ids: Vec<Uuid> = found.iter().map(|thread| thread.id).collect();
    let mut participants = ThreadRepository.first_participants(conn, &ids).await?;
    let info = |thread: entity::Model| {
        let participants = participants.remove(&thread.id).unwrap_or_default();
        (thread.id, ThreadInfo::new(thread, participants))
    };
    Ok(found.into_iter().map(info).collect())
}

impl Now {
    /// The event, and the scope that a caller needs to see it. `None` if there is nothing to show, as its thread or its
    /// user was deleted meanwhile.
    fn live(&self, event: &Event) -> Option<(&'static str, LiveEvent)> {
        let live = match event.kind.as_str() {
            MESSAGE_CREATED => LiveEvent::MessageCreated(self.message(event)?),
            MESSAGE_UPDATED => LiveEvent::MessageUpdated(self.message(event)?),
            MESSAGE_DELETED => match self.message(event)? {
                LiveMessage::Deleted(deleted) => LiveEvent::MessageDeleted(deleted),
                LiveMessage::Message(_) => return None,
            },
            RECEIPT_UPDATED => {
                let AboutReceipt { kind, seq, at } = payload(event)?;
                let receipt = LiveReceipt { user_id: event.user_id?, kind, seq, at };
                LiveEvent::ReceiptUpdated(LiveReceipts { receipts: vec![receipt], unread: Unread::default() })
            }
            THREAD_CREATED => LiveEvent::ThreadCreated(self.thread(event)?),
            THREAD_UPDATED => LiveEvent::ThreadUpdated(self.thread(event)?),
            THREAD_DELETED => {
                LiveEvent::ThreadDeleted(DeletedThread { id: event.subject_id, unread_total: None })
            }
            PARTICIPANT_ADDED => LiveEvent::ParticipantAdded(self.participant(event)?),
            PARTICIPANT_UPDATED => LiveEvent::ParticipantUpdated(self.participant(event)?),
            PARTICIPANT_REMOVED => {
                LiveEvent::ParticipantRemoved(RemovedParticipant { id: event.user_id?, unread_total: None })
            }
            USER_UPDATED => LiveEvent::UserUpdated(self.profiles.get(&event.subject_id)?.clone()),
            _ => return None,
        };
        let scope = match live {
            LiveEvent::MessageCreated(_)
            | LiveEvent::MessageUpdated(_)
            | LiveEvent::MessageDeleted(_)
            | LiveEvent::ReceiptUpdated(_) => MessagesRead::NAME,
            LiveEvent::UserUpdated(_) => ProfileScope::NAME,
            _ => ThreadsRead::NAME,
        };
        Some((scope, live))
    }

    fn message(&self, event: &Event) -> Option<LiveMessage> {
        let AboutMessage { seq, client_id } = payload(event)?;
        let (deleted_at, message) = self.messages.get(&(event.subject_id, seq))?;
        if let Some(deleted_at) = *deleted_at {
            return Some(LiveMessage::Deleted(DeletedMessage {
                id: message.id,
                seq: message.seq,
                deleted_at,
            }));
        }
        let username = self.names.get(&message.sender_id)?.clone();
        let author = Author { id: message.sender_id, username };
        Some(LiveMessage::Message(SentMessage { message: message.clone(), author, client_id }))
    }

    fn thread(&self, event: &Event) -> Option<LiveThread> {
        let thread = self.threads.get(&event.subject_id)?.clone();
        Some(LiveThread { thread, unread: Unread::default() })
    }

    fn participant(&self, event: &Event) -> Option<LiveParticipant> {
        let participant = self.participants.get(&(event.subject_id, event.user_id?))?.clone();
        Some(LiveParticipant { participant, thread: None, unread: Unread::default() })
    }
}

fn personal_of(event: &Event) -> Personal {
    match event.kind.as_str() {
        THREAD_CREATED | THREAD_UPDATED | THREAD_DELETED => Personal::Audience,
        RECEIPT_UPDATED | PARTICIPANT_ADDED | PARTICIPANT_REMOVED => Personal::Concerned,
        _ => Personal::Nobody,
    }
}

/// Of the receipts of each user and kind, the last one says it all.
fn merge_of(live: &LiveEvent) -> Option<Merge> {
    let LiveEvent::ReceiptUpdated(LiveReceipts { receipts, .. }) = live else { return None };
    let receipt = receipts.first()?;
    Some(Merge { list: "receipts", key: format!("{}:{:?}", receipt.user_id, receipt.kind) })
}

/// The `data` of the event.
fn data_of(live: LiveEvent) -> Result<Map<String, Json>> {
    let mut event = serde_json::to_value(live).map_err(Error::internal)?;
    match event.get_mut("data").map(Json::take) {
        Some(Json::Object(data)) => Ok(data),
        _ => Err(Error::internal("the data of an event is an object")),
    }
}

/// Returns what single users see of events besides.
pub(super) async fn personal(
    conn: &Reader,
    events: &[Event],
    wanted: &[(usize, Uuid)],
) -> Result<PersonalData> {
    let wanted: Vec<(usize, &Event, Uuid)> =
        wanted.iter().filter_map(|(index, user)| Some((*index, events.get(*index)?, *user))).collect();
    let counted = |event: &Event| ![THREAD_DELETED, PARTICIPANT_REMOVED].contains(&event.kind.as_str());
    let adds = |event: &Event, user: Uuid| event.kind == PARTICIPANT_ADDED && event.user_id == Some(user);

    let users: HashSet<Uuid> = wanted.iter().map(|(_, _, user)| *user).collect();
    let totals = ThreadRepository.unread_totals(conn, &users.into_iter().collect::<Vec<_>>()).await?;
    let keys = wanted.iter().filter(|(_, event, _)| counted(event));
    let keys: HashSet<_> = keys.map(|(_, event, user)| (event.subject_id, *user)).collect();
    let counts = ThreadRepository.unread_counts(conn, &keys.into_iter().collect::<Vec<_>>()).await?;
    let joined = wanted.iter().filter(|(_, event, user)| adds(event, *user));
    let threads = thread_infos(conn, joined.map(|(_, event, _)| event.subject_id).collect()).await?;

    let mut all = HashMap::new();
    for (index, event, user) in wanted {
        let mut data = Map::new();
        data.insert("unread_total".to_owned(), totals.get(&user).copied().unwrap_or(0).into());
        if let Some(count) = counts.get(&(event.subject_id, user)).filter(|_| counted(event)) {
            data.insert("unread_count".to_owned(), (*count).into());
            // Only with a count, which somebody who has left since does not have.
            if let Some(thread) = threads.get(&event.subject_id).filter(|_| adds(event, user)) {
                let thread = serde_json::to_value(thread).map_err(Error::internal)?;
                data.insert("thread".to_owned(), thread);
            }
        }
        all.insert((index, user), data);
    }
    Ok(all)
}

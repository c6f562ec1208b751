//! Where the messenger's events go. Decided by the event alone.

use groundwork_core::{
    Uuid,
    events::{
        Model as Event,
        feed::{Audience, Follow, Leaves, Route},
    },
};
use serde::{Deserialize, de::DeserializeOwned};

use crate::events::{
    MESSAGE_CREATED, MESSAGE_DELETED, MESSAGE_UPDATED, PARTICIPANT_ADDED, PARTICIPANT_REMOVED,
    PARTICIPANT_UPDATED, RECEIPT_UPDATED, THREAD_CREATED, THREAD_DELETED, THREAD_UPDATED, USER_UPDATED,
};

/// The payload of an event about a message, which the thread and the `seq` identify.
#[derive(Debug, Deserialize)]
pub(super) struct AboutMessage {
    pub seq: i64,
    #[serde(default)]
    pub client_id: Option<String>,
}

/// The payload of a new thread.
#[derive(Debug, Deserialize)]
struct Created {
    participants: Vec<First>,
}

#[derive(Debug, Deserialize)]
struct First {
    id: Uuid,
    shows_presence: bool,
}

/// The payload of a user who joins.
#[derive(Debug, Deserialize)]
struct Added {
    joined_seq: i64,
    joined_version: i64,
    shows_presence: bool,
}

/// Returns where an event goes. An event that this version does not know goes nowhere.
pub(super) fn route(event: &Event) -> Route {
    let followers = Route::to(Audience::Followers { place: None });
    match event.kind.as_str() {
        MESSAGE_CREATED | MESSAGE_UPDATED | MESSAGE_DELETED => match payload::<AboutMessage>(event) {
            Some(message) => Route::to(Audience::Followers { place: Some(message.seq) }),
            None => Route::to(Audience::Nobody),
        },
        RECEIPT_UPDATED | THREAD_UPDATED | PARTICIPANT_UPDATED => followers,
        THREAD_CREATED => Route { joins: first_follows(event), ..followers },
        THREAD_DELETED => Route { leaves: Leaves::Everybody, ..followers },
        PARTICIPANT_ADDED => Route { joins: follow(event).into_iter().collect(), ..followers },
        PARTICIPANT_REMOVED => {
            Route { leaves: Leaves::Users(event.user_id.into_iter().collect()), ..followers }
        }
        // A change of who sees the user's presence is in what the user follows.
        USER_UPDATED => Route { reloads: true, ..Route::to(Audience::Concerned) },
        _ => Route::to(Audience::Nobody),
    }
}

fn first_follows(event: &Event) -> Vec<(Uuid, Follow)> {
    let created = payload::<Created>(event);
    let first = created.into_iter().flat_map(|created| created.participants);
    let follow = |user: First| {
        let follow = Follow {
            subject: event.subject_id,
            from_version: event.version.unwrap_or_default(),
            after_place: 0,
            shows_presence: user.shows_presence,
        };
        (user.id, follow)
    };
    first.map(follow).collect()
}

fn follow(event: &Event) -> Option<(Uuid, Follow)> {
    let Added { joined_seq, joined_version, shows_presence } = payload(event)?;
    let follow = Follow {
        subject: event.subject_id,
        from_version: joined_version,
        after_place: joined_seq,
        shows_presence,
    };
    Some((event.user_id?, follow))
}

/// The payload of an event, or `None` if it is not of this shape.
pub(super) fn payload<T: DeserializeOwned>(event: &Event) -> Option<T> {
    T::deserialize(&event.payload)
        .inspect_err(|error| tracing::error!(%error, kind = event.kind, "an event has an unknown payload"))
        .ok()
}

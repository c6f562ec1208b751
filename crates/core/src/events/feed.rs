//! What a service tells about its events: who may learn of one now, and what they see of it.
//!
//! A service implements [`Feed`] for each group of subjects. What delivers events asks it, and knows nothing else of the
//! service.

use std::{collections::HashMap, fmt, future::Future, pin::Pin};

use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::{Model as Event, Position};
use crate::{Result, Timestamp, Tx, db::Reader};

/// Further members of the data of events: of the event with that index, for that user. See [`Feed::personal`].
pub type PersonalData = HashMap<(usize, Uuid), Map<String, Json>>;

/// A boxed future, which keeps [`Feed`] usable as a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A user's subscription to a subject, for as long as they take part in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follow {
    /// The id of the subject.
    pub subject: Uuid,
    /// The first version of the subject whose event they may see: that of their joining.
    pub from_version: i64,
    /// They see no event about anything at this place of the subject or before it; see [`Audience::Followers`].
    pub after_place: i64,
    /// Whether the others who follow the subject see when the user is online.
    pub shows_presence: bool,
}

/// Who may learn of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Nobody.
    Nobody,
    /// The user whom the event concerns ([`Event::user_id`]).
    Concerned,
    /// All who follow the subject of the event, from their first version on. An event about one part of the subject names
    /// its place in it, so that those who may not see that part are left out.
    Followers {
        /// The place: the `seq` of a message in its thread.
        place: Option<i64>,
    },
    /// Every connected user with the scope of the event.
    Everyone,
}

/// Where an event goes, and what it changes about who follows its subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Who may learn of it.
    pub audience: Audience,
    /// Users who follow the subject from this event on. They get the event itself.
    pub joins: Vec<(Uuid, Follow)>,
    /// Users who no longer follow the subject after this event, which is the last one they get.
    pub leaves: Leaves,
    /// Whether the follows of the concerned user have to be read again, for example after a setting changed.
    pub reloads: bool,
}

/// See [`Route::leaves`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Leaves {
    /// Nobody leaves.
    #[default]
    Nobody,
    /// These users leave.
    Users(Vec<Uuid>),
    /// The subject is gone.
    Everybody,
}

impl Route {
    /// An event that changes nothing about who follows its subject.
    pub fn to(audience: Audience) -> Self {
        Self { audience, joins: Vec::new(), leaves: Leaves::Nobody, reloads: false }
    }
}

/// Who gets members of an event's data that are for one user alone: [`Feed::personal`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Personal {
    /// Nobody.
    #[default]
    Nobody,
    /// The user whom the event concerns.
    Concerned,
    /// Each user of the audience.
    Audience,
}

/// An event as clients see it. It is the same for all of them, except for [`personal`](Shown::personal).
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The scope that a caller needs to see it.
    pub scope: &'static str,
    /// Its data.
    pub data: Map<String, Json>,
    /// Who gets more data.
    pub personal: Personal,
    /// For an event that replaces earlier ones of its kind: which ones. It may be delivered a moment later, in one frame
    /// with others of its kind and subject.
    pub merge: Option<Merge>,
}

/// How several events become one frame. Its data has the `list` of the data of each event, the last one of each key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// The name of the list: `receipts`.
    pub list: &'static str,
    /// Among events of the same kind, subject and key, the last one replaces the others.
    pub key: String,
}

/// The part of the log after `after`, up to and including `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Everything after this.
    pub after: Position,
    /// Up to this, included. Everything up to it is settled: no event will be added before it.
    pub until: Position,
}

/// What a service tells about the events of some kinds of subjects.
pub trait Feed: fmt::Debug + Send + Sync + 'static {
    /// The kinds of subjects whose events it answers for.
    fn subjects(&self) -> &'static [&'static str];

    /// Returns where an event goes. Called for every event of the log, so it decides by the event alone.
    fn route(&self, event: &Event) -> Route;

    /// Returns what the user follows now. Called when a user connects.
    fn follows<'a>(&'a self, conn: &'a Reader, user: Uuid) -> BoxFuture<'a, Result<Vec<Follow>>> {
        let _ = (conn, user);
        Box::pin(async { Ok(Vec::new()) })
    }

    /// Returns what clients see of the events, in their order; `None` for an event that there is nothing to show of. A fixed
    /// number of statements for any number of events.
    fn show<'a>(&'a self, conn: &'a Reader, events: &'a [Event])
    -> BoxFuture<'a, Result<Vec<Option<Shown>>>>;

    /// Returns further members of the data of an event for single users, by the index of the event and the user. Called for
    /// events that have a [`Personal`] part, with a few hundred pairs at most. A fixed number of statements.
    fn personal<'a>(
        &'a self,
        conn: &'a Reader,
        events: &'a [Event],
        wanted: &'a [(usize, Uuid)],
    ) -> BoxFuture<'a, Result<PersonalData>> {
        let _ = (conn, events, wanted);
        Box::pin(async { Ok(HashMap::new()) })
    }

    /// Returns the events of the span that the user may learn of now, in the order of the log, at most `limit`. The same
    /// events as [`route`](Feed::route) sends to a connected user, except those from before the user joined the subject.
    /// Its cost depends on what it returns, and not on the length of the log.
    fn catch_up<'a>(
        &'a self,
        conn: &'a Reader,
        user: Uuid,
        span: Span,
        limit: u64,
    ) -> BoxFuture<'a, Result<Vec<Event>>>;

    /// Returns members of the data of `ready` for the user, such as the total of unread messages.
    fn greeting<'a>(&'a self, conn: &'a Reader, user: Uuid) -> BoxFuture<'a, Result<Map<String, Json>>> {
        let _ = (conn, user);
        Box::pin(async { Ok(Map::new()) })
    }

    /// Stores when users were last online. Called for many of them at once, every minute and when the server stops.
    fn store_last_seen<'a>(&'a self, tx: &'a Tx, seen: &'a [(Uuid, Timestamp)]) -> BoxFuture<'a, Result<()>> {
        let _ = (tx, seen);
        Box::pin(async { Ok(()) })
    }
}

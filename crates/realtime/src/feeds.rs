//! The answers of a service's feeds, each asked about the events of its own subjects.

use std::{
    collections::HashMap,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use futures::FutureExt;
use groundwork_core::{
    Error, Kind, Reader, Result, Timestamp, Tx, Uuid,
    events::{
        Model as Event, Position,
        feed::{Audience, Feed, Follow, PersonalData, Route, Shown, Span},
    },
};
use serde_json::{Map, Value as Json};

/// A feed, the indexes of its events in a batch, and the events.
type OfFeed = (Arc<dyn Feed>, Vec<usize>, Vec<Event>);

/// How often a feed may fail on an event before the event is left out, as it would hold up all others.
const MAX_FAILURES: u32 = 3;
/// The maximum number of events that are remembered as failing.
const MAX_FAILING: usize = 1000;

/// All feeds of a service. One that panics fails with an error.
#[derive(Clone, Debug)]
pub(crate) struct Feeds(Arc<[Arc<dyn Feed>]>, Arc<Mutex<HashMap<Position, u32>>>);

/// Makes an error of a panic.
async fn caught<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| Err(Error::internal("a feed panicked")))
}

/// Whether it helps to try again later.
fn is_passing(error: &Error) -> bool {
    error.code().kind == Kind::Unavailable
}

impl Feeds {
    pub fn new(feeds: Vec<Arc<dyn Feed>>) -> Self {
        Self(feeds.into(), Arc::default())
    }

    /// Counts a failure that has to do with one event. Returns whether the event is left out from now on.
    fn gives_up(&self, event: &Event, error: &Error) -> bool {
        let mut failing = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        if failing.len() >= MAX_FAILING {
            failing.clear();
        }
        let count = failing.entry(event.place()).or_default();
        *count += 1;
        if *count == MAX_FAILURES {
            let (position, kind, subject) = (event.position, &event.kind, event.subject_id);
            tracing::error!(position, kind, %subject, %error, "an event can't be shown, and is left out");
        }
        *count >= MAX_FAILURES
    }

    fn of(&self, event: &Event) -> Option<usize> {
        self.0.iter().position(|feed| feed.subjects().contains(&event.subject_kind.as_str()))
    }

    /// Where the event goes; nowhere if no feed knows its subject.
    pub fn route(&self, event: &Event) -> Route {
        let Some(feed) = self.of(event).and_then(|feed| self.0.get(feed)) else {
            return Route::to(Audience::Nobody);
        };
        catch_unwind(AssertUnwindSafe(|| feed.route(event))).unwrap_or_else(|_| {
            tracing::error!(position = event.position, kind = event.kind, "a feed panicked at an event");
            Route::to(Audience::Nobody)
        })
    }

    pub async fn follows(&self, conn: &Reader, user: Uuid) -> Result<Vec<Follow>> {
        let mut all = Vec::new();
        for feed in self.0.iter() {
            all.extend(caught(feed.follows(conn, user)).await?);
        }
        Ok(all)
    }

    pub async fn greeting(&self, conn: &Reader, user: Uuid) -> Result<Map<String, Json>> {
        let mut all = Map::new();
        for feed in self.0.iter() {
            all.extend(caught(feed.greeting(conn, user)).await?);
        }
        Ok(all)
    }

    /// The events of each feed, with their indexes in `events`.
    fn by_feed(&self, events: &[Event]) -> Vec<OfFeed> {
        let mut groups: Vec<OfFeed> =
            self.0.iter().map(|feed| (Arc::clone(feed), Vec::new(), Vec::new())).collect();
        for (index, event) in events.iter().enumerate() {
            if let Some(group) = self.of(event).and_then(|feed| groups.get_mut(feed)) {
                group.1.push(index);
                group.2.push(event.clone());
            }
        }
        groups.retain(|(_, indexes, _)| !indexes.is_empty());
        groups
    }

    /// What clients see of the events, in their order. An event at which its feed fails again and again is left out.
    pub async fn show(&self, conn: &Reader, events: &[Event]) -> Result<Vec<Option<Shown>>> {
        let mut all = vec![None; events.len()];
        for (feed, indexes, events) in self.by_feed(events) {
            let shown = match caught(feed.show(conn, &events)).await {
                Err(error) if !is_passing(&error) => self.show_each(conn, &*feed, &events).await?,
                shown => shown?,
            };
            for (index, shown) in indexes.into_iter().zip(shown) {
                if let Some(place) = all.get_mut(index) {
                    *place = shown;
                }
            }
        }
        Ok(all)
    }

    /// One after the other, to find the event at which the feed fails.
    async fn show_each(
        &self,
        conn: &Reader,
        feed: &dyn Feed,
        events: &[Event],
    ) -> Result<Vec<Option<Shown>>> {
        let mut all = Vec::with_capacity(events.len());
        for event in events {
            let shown = match caught(feed.show(conn, std::slice::from_ref(event))).await {
                Err(error) if !is_passing(&error) && self.gives_up(event, &error) => None,
                shown => shown?.into_iter().next().flatten(),
            };
            all.push(shown);
        }
        Ok(all)
    }

    /// Further data for single users. A feed that fails at it again and again leaves it out, as it would hold up the
    /// events themselves.
    pub async fn personal(
        &self,
        conn: &Reader,
        events: &[Event],
        wanted: &[(usize, Uuid)],
    ) -> Result<PersonalData> {
        let mut all = HashMap::new();
        if wanted.is_empty() {
            return Ok(all);
        }
        for (feed, indexes, events) in self.by_feed(events) {
            let places: HashMap<usize, usize> =
                indexes.iter().enumerate().map(|(place, index)| (*index, place)).collect();
            let of_feed: Vec<(usize, Uuid)> =
                wanted.iter().filter_map(|(index, user)| Some((*places.get(index)?, *user))).collect();
            if of_feed.is_empty() {
                continue;
            }
            let found = match caught(feed.personal(conn, &events, &of_feed)).await {
                Err(error) if !is_passing(&error) => match events.first() {
                    Some(first) if self.gives_up(first, &error) => continue,
                    _ => return Err(error),
                },
                found => found?,
            };
            all.extend(
                found
                    .into_iter()
                    .filter_map(|((place, user), data)| Some(((*indexes.get(place)?, user), data))),
            );
        }
        Ok(all)
    }

    /// The events of the span that the user may learn of, in order, at most `limit`.
    pub async fn catch_up(&self, conn: &Reader, user: Uuid, span: Span, limit: u64) -> Result<Vec<Event>> {
        let mut all = Vec::new();
        for feed in self.0.iter() {
            all.extend(caught(feed.catch_up(conn, user, span, limit)).await?);
        }
        all.sort_by_key(Event::place);
        all.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(all)
    }

    pub async fn store_last_seen(&self, tx: &Tx, seen: &[(Uuid, Timestamp)]) -> Result<()> {
        for feed in self.0.iter() {
            caught(feed.store_last_seen(tx, seen)).await?;
        }
        Ok(())
    }
}

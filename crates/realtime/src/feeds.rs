//! The answers of a service's feeds, each asked about the events of its own subjects.

use std::{collections::HashMap, sync::Arc};

use groundwork_core::{
    Reader, Result, Timestamp, Tx, Uuid,
    events::{
        Model as Event,
        feed::{Audience, Feed, Follow, Route, Shown, Span},
    },
};
use serde_json::{Map, Value as Json};

/// Members of an event's data for one user, by the index of the event and the user.
pub(crate) type PersonalData = HashMap<(usize, Uuid), Map<String, Json>>;

/// A feed, the indexes of its events in a batch, and the events.
type OfFeed = (Arc<dyn Feed>, Vec<usize>, Vec<Event>);

/// All feeds of a service.
#[derive(Clone, Debug)]
pub(crate) struct Feeds(Arc<[Arc<dyn Feed>]>);

impl Feeds {
    pub fn new(feeds: Vec<Arc<dyn Feed>>) -> Self {
        Self(feeds.into())
    }

    fn of(&self, event: &Event) -> Option<usize> {
        self.0.iter().position(|feed| feed.subjects().contains(&event.subject_kind.as_str()))
    }

    /// Where the event goes; nowhere if no feed knows its subject.
    pub fn route(&self, event: &Event) -> Route {
        let feed = self.0.iter().find(|feed| feed.subjects().contains(&event.subject_kind.as_str()));
        feed.map_or_else(|| Route::to(Audience::Nobody), |feed| feed.route(event))
    }

    pub async fn follows(&self, conn: &Reader, user: Uuid) -> Result<Vec<Follow>> {
        let mut all = Vec::new();
        for feed in self.0.iter() {
            all.extend(feed.follows(conn, user).await?);
        }
        Ok(all)
    }

    pub async fn greeting(&self, conn: &Reader, user: Uuid) -> Result<Map<String, Json>> {
        let mut all = Map::new();
        for feed in self.0.iter() {
            all.extend(feed.greeting(conn, user).await?);
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

    /// What clients see of the events, in their order.
    pub async fn show(&self, conn: &Reader, events: &[Event]) -> Result<Vec<Option<Shown>>> {
        let mut all = vec![None; events.len()];
        for (feed, indexes, events) in self.by_feed(events) {
            for (index, shown) in indexes.into_iter().zip(feed.show(conn, &events).await?) {
                if let Some(place) = all.get_mut(index) {
                    *place = shown;
                }
            }
        }
        Ok(all)
    }

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
            let found = feed.personal(conn, &events, &of_feed).await?;
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
            all.extend(feed.catch_up(conn, user, span, limit).await?);
        }
        all.sort_by_key(Event::place);
        all.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(all)
    }

    pub async fn store_last_seen(&self, tx: &Tx, seen: &[(Uuid, Timestamp)]) -> Result<()> {
        for feed in self.0.iter() {
            feed.store_last_seen(tx, seen).await?;
        }
        Ok(())
    }
}

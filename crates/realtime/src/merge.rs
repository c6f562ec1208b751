//! Events that replace earlier ones of their kind, such as receipts, wait a moment and leave in one frame.
//!
//! Otherwise ten thousand readers of a group would make ten thousand frames for each of them. As long as one waits, no
//! frame carries a cursor beyond it, so that a client that connects again gets it.

use std::collections::HashMap;

use groundwork_core::{
    Timestamp, Uuid,
    events::{
        Model as Event, Position,
        feed::{Merge, Shown},
    },
};
use serde_json::{Map, Value as Json};

use crate::frame::Head;

/// The maximum number of items in one frame.
const MAX_ITEMS: usize = 500;

/// Events that wait to be sent in one frame.
#[derive(Debug, Default)]
pub(crate) struct Merger {
    /// The place before the first event that waits.
    before: Option<Position>,
    groups: Vec<Group>,
    /// The group that takes further events of a subject and kind, by its index.
    open: HashMap<(Uuid, String), usize>,
}

/// The events of one kind and subject that wait.
#[derive(Debug)]
pub(crate) struct Group {
    pub kind: String,
    subject_kind: String,
    pub subject: Uuid,
    at: Timestamp,
    pub position: Position,
    scope: &'static str,
    list: &'static str,
    items: Vec<(String, Json)>,
}

impl Group {
    pub fn head(&self) -> Head<'_> {
        Head {
            kind: &self.kind,
            at: self.at,
            subject: (&self.subject_kind, self.subject),
            version: None,
            position: self.position,
            scope: self.scope,
        }
    }

    /// The data of its frame.
    pub fn data(&self) -> Map<String, Json> {
        let items = self.items.iter().map(|(_, item)| item.clone()).collect();
        Map::from_iter([(self.list.to_owned(), Json::Array(items))])
    }
}

impl Merger {
    /// Adds an event. `before` is the place of the event before it.
    pub fn push(&mut self, before: Position, event: &Event, shown: &Shown, merge: &Merge) {
        self.before.get_or_insert(before);
        let open = (event.subject_id, event.kind.clone());
        let known = self.open.get(&open).copied();
        let item = shown.data.get(merge.list).and_then(|list| list.get(0)).cloned().unwrap_or_default();
        let item = (merge.key.clone(), item);
        let group = known.and_then(|index| self.groups.get_mut(index));
        if let Some(group) = group.filter(|group| group.items.len() < MAX_ITEMS) {
            group.items.retain(|(key, _)| *key != merge.key);
            group.items.push(item);
            (group.at, group.position) = (event.created_at, event.place());
            return;
        }
        self.open.insert(open, self.groups.len());
        self.groups.push(Group {
            kind: event.kind.clone(),
            subject_kind: event.subject_kind.clone(),
            subject: event.subject_id,
            at: event.created_at,
            position: event.place(),
            scope: shown.scope,
            list: merge.list,
            items: vec![item],
        });
    }

    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The place that a client has reached which was sent everything up to `at`, except what waits.
    pub fn reached(&self, at: Position) -> Position {
        self.before.unwrap_or(at)
    }

    /// Returns what waits, with the place that a client has reached with each: the one before all of it, until it has the
    /// last one.
    pub fn take(&mut self, at: Position) -> Vec<(Group, Position)> {
        let before = self.before.take().unwrap_or(at);
        let groups = std::mem::take(&mut self.groups);
        self.open.clear();
        let last = groups.len().saturating_sub(1);
        let reached = |index| if index == last { at } else { before };
        groups.into_iter().enumerate().map(|(index, group)| (group, reached(index))).collect()
    }
}

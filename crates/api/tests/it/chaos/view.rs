//! What a client knows from events alone, and the comparison with the database.

use std::collections::{BTreeMap, HashMap, HashSet};

use groundwork_core::{
    Db, DbOptions,
    events::{Column, Entity, Model},
};
use messenger_domain::{messages::entity as message, threads::audit};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::Value;

/// The events of a client's threads, each once.
pub struct View {
    /// By thread and version.
    threads: HashMap<String, BTreeMap<i64, Value>>,
    /// The last receipt of each thread, user and kind.
    receipts: HashMap<(String, String, String), i64>,
    /// The messages that a server acknowledged: id and version.
    acknowledged: Vec<(String, String, i64)>,
}

impl View {
    pub fn new(threads: &[String]) -> Self {
        let threads = threads.iter().map(|thread| (thread.clone(), BTreeMap::new())).collect();
        Self { threads, receipts: HashMap::new(), acknowledged: Vec::new() }
    }

    /// Adds an event. Returns whether it is new.
    pub fn add(&mut self, event: Value) -> bool {
        let thread = event["thread_id"].as_str().unwrap_or_default().to_owned();
        if event["type"] == "receipt.updated" {
            for receipt in event["data"]["receipts"].as_array().unwrap() {
                let text = |field: &str| receipt[field].as_str().unwrap().to_owned();
                let place = self.receipts.entry((thread.clone(), text("user_id"), text("kind"))).or_default();
                *place = (*place).max(receipt["seq"].as_i64().unwrap());
            }
            return true;
        }
        let Some(version) = event["version"].as_i64() else { return true };
        let versions =
            self.threads.get_mut(&thread).unwrap_or_else(|| panic!("an event of another's thread: {event}"));
        if let Some(known) = versions.get(&version) {
            assert_eq!(known["type"], event["type"], "one version is one event");
            assert_eq!(known["data"]["id"], event["data"]["id"], "one version is one event");
            return false;
        }
        versions.insert(version, event);
        true
    }

    pub fn was_acknowledged(&mut self, message: &Value) {
        let text = |field: &str| message[field].as_str().unwrap().to_owned();
        self.acknowledged.push((text("thread_id"), text("id"), message["version"].as_i64().unwrap()));
    }

    pub fn last_seq(&self, thread: &str) -> i64 {
        let events = self.threads.get(thread).into_iter().flatten();
        events.filter_map(|(_, event)| event["data"]["seq"].as_i64()).max().unwrap_or(0)
    }

    /// The versions of these threads, which are at these versions now, that were not seen. The first of a thread is from before
    /// the client connected.
    pub fn missing(&self, threads: &[(String, i64)]) -> Vec<(String, i64)> {
        let all = threads.iter().flat_map(|(thread, last)| (2..=*last).map(move |version| (thread, version)));
        let unseen = all.filter(|(thread, version)| !self.threads[*thread].contains_key(version));
        unseen.map(|(thread, version)| (thread.clone(), version)).collect()
    }
}

/// Compares the views with the database. Returns the number of events in its log.
pub async fn check(views: &[View], url: &str) -> usize {
    let db = Db::open(&DbOptions::new(url).unwrap()).await.unwrap();
    assert_eq!(audit::differences(db.reader()).await.unwrap(), Vec::<String>::new());
    let log = Entity::find().filter(Column::Version.is_not_null()).all(db.reader()).await.unwrap();
    let messages = message::Entity::find().all(db.reader()).await.unwrap();
    let messages: HashMap<String, message::Model> =
        messages.into_iter().map(|message| (message.id.to_string(), message)).collect();
    let mut logged: HashMap<(String, i64), &Model> = HashMap::new();
    for event in &log {
        let place = (event.subject_id.to_string(), event.version.unwrap());
        assert!(logged.insert(place, event).is_none(), "each version has one event: {event:?}");
    }
    let mut sent = HashSet::new();
    for event in log.iter().filter(|event| event.kind == "message.created") {
        let id = (event.actor_id, event.payload["client_id"].as_str().unwrap());
        assert!(sent.insert(id), "what was sent again with the same id is there once: {event:?}");
    }
    for view in views {
        for (thread, versions) in &view.threads {
            let mut last: HashMap<&str, &Value> = HashMap::new();
            for (version, seen) in versions {
                let event = logged[&(thread.clone(), *version)];
                assert_eq!(seen["type"], event.kind.as_str());
                if event.kind.starts_with("message.") {
                    assert_eq!(seen["data"]["seq"], event.payload["seq"]);
                    last.insert(seen["data"]["id"].as_str().unwrap(), seen);
                }
            }
            let of_thread = logged.keys().filter(|(id, _)| id == thread).count();
            // The creation of the thread is from before the client connected.
            assert_eq!(versions.keys().filter(|version| **version > 1).count(), of_thread - 1);
            for (id, seen) in last {
                let message = &messages[id];
                let is_deleted = seen["data"]["deleted_at"].is_string();
                assert_eq!(is_deleted, message.deleted_at.is_some());
                if !is_deleted {
                    assert_eq!(seen["data"]["text"], message.text.as_str());
                }
            }
        }
        for (thread, id, version) in &view.acknowledged {
            assert!(messages.contains_key(id), "what was acknowledged is there");
            assert!(logged.contains_key(&(thread.clone(), *version)));
        }
    }
    let count = log.len();
    db.close().await.unwrap();
    count
}

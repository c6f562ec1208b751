use std::sync::{Arc, Mutex};

use groundwork_testkit::both_databases;
use sea_orm::{EntityTrait, PaginatorTrait};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

use crate::book::{Entity, Library, add, shelf};

/// Keeps the statements that are traced at a level.
#[derive(Clone)]
struct Seen(Level, Arc<Mutex<Vec<String>>>);

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "db.query.summary" {
            self.1.lock().unwrap().push(format!("{value:?}"));
        }
    }
}

impl Subscriber for Seen {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("groundwork_core") && *metadata.level() <= self.0
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Every statement has a span with its operation and table at the level `debug`, and none at `info`.
#[both_databases]
async fn statements_are_traced(library: &Library) {
    for (level, expected) in [(Level::DEBUG, true), (Level::INFO, false)] {
        let seen = Seen(level, Arc::default());
        let guard = tracing::subscriber::set_default(seen.clone());
        add(&library.db, shelf(1), "Emma", 1).await;
        Entity::find().count(library.db.reader()).await.unwrap();
        drop(guard);
        let statements = seen.1.lock().unwrap().join(", ");
        for statement in ["BEGIN", "INSERT books", "COMMIT", "SELECT books"] {
            assert_eq!(statements.contains(statement), expected, "{statements}");
        }
    }
}

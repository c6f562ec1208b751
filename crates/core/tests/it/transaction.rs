use groundwork_core::{
    Controller, Db, DbOptions, ListQuery, PageRequest,
    events::{self, NewEvent, Subject},
};
use groundwork_testkit::both_databases;
use sea_orm::EntityTrait;

use crate::book::{Library, NewBook, add, shelf};

async fn total(db: &Db) -> u64 {
    let query = ListQuery::default();
    Controller::list(&shelf(1), db.reader(), &query, PageRequest::default()).await.unwrap().total
}

/// Only committed changes are kept, and other connections do not see them before.
#[both_databases]
async fn only_a_commit_makes_it_lasting(library: &Library) {
    let db = &library.db;
    let new = || NewBook { title: "Emma".into(), isbn: None, pages: 1 };
    let tx = db.begin().await.unwrap();
    Controller::create(&shelf(1), &tx, new()).await.unwrap();
    assert_eq!(total(db).await, 0, "not seen before the commit");
    tx.rollback().await.unwrap();
    let tx = db.begin().await.unwrap();
    Controller::create(&shelf(1), &tx, new()).await.unwrap();
    drop(tx);
    // On SQLite this waits for the connection of the one that was dropped.
    let tx = db.begin().await.unwrap();
    Controller::create(&shelf(1), &tx, new()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(total(db).await, 1);
}

/// An event exists exactly if its cause does.
#[both_databases]
async fn events_go_with_their_cause(library: &Library) {
    let db = &library.db;
    let tx = db.begin().await.unwrap();
    let book = Subject::new("book", tx.new_id());
    events::append(&tx, NewEvent::new("book.created", book)).await.unwrap();
    drop(tx);
    let tx = db.begin().await.unwrap();
    let both = ["book.created", "book.lent"].map(|kind| NewEvent::new(kind, book));
    events::append_all(&tx, both).await.unwrap();
    events::append_all(&tx, []).await.unwrap();
    tx.commit().await.unwrap();
    let log = events::Entity::find().all(db.reader()).await.unwrap();
    let kinds: Vec<_> = log.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["book.created", "book.lent"]);
    assert!(log[0].position < log[1].position);
}

/// A database that cannot be reached is `unavailable`, not an error of the caller or the service.
#[both_databases]
async fn a_database_that_is_closed_is_unavailable(library: &Library) {
    let other = Db::open(&DbOptions::new(&library.url).unwrap()).await.unwrap();
    add(&other, shelf(1), "Emma", 1).await;
    other.ping().await.unwrap();
    let closed = other.clone();
    other.close().await.unwrap();
    assert_eq!(closed.ping().await.unwrap_err().code().name, "unavailable");
    assert_eq!(closed.begin().await.unwrap_err().code().name, "unavailable");
    assert_eq!(total(&library.db).await, 1);
}

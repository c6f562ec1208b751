use std::{
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Waker},
};

use groundwork_core::{
    Controller, Db, DbOptions, Error, ListQuery, PageRequest, Tx, Uuid,
    events::{self, NewEvent, Observed, Subject},
};
use groundwork_testkit::both_databases;
use sea_orm::{ConnectionTrait, EntityTrait};

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

/// What follows a commit follows each commit, also one whose caller did not wait for it, and nothing else.
#[both_databases]
async fn what_follows_a_commit(library: &Library) {
    let db = &library.db;
    let done: Arc<Mutex<Vec<&str>>> = Arc::default();
    let note = |tx: &Tx, name: &'static str| {
        let done = Arc::clone(&done);
        tx.after_commit(move || done.lock().unwrap().push(name));
    };
    db.write(async |tx| {
        note(tx, "first");
        note(tx, "second");
        assert!(done.lock().unwrap().is_empty(), "not before the commit");
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
    assert_eq!(*done.lock().unwrap(), ["first", "second"]);

    let refused = db.write(async |tx| {
        note(tx, "refused");
        Err::<(), _>(Error::not_found("book"))
    });
    refused.await.unwrap_err();
    let dropped = db.begin().await.unwrap();
    note(&dropped, "dropped");
    drop(dropped);
    let failed = db.begin().await.unwrap();
    note(&failed, "failed");
    failed.execute_unprepared("SELECT nothing").await.unwrap_err();
    failed.commit().await.unwrap_err();
    assert_eq!(done.lock().unwrap().len(), 2);

    // A commit may end at its first poll, as SQLite runs on a thread of its own: until one is left before it ends.
    let mut is_pending = false;
    while !is_pending {
        let left = db.begin().await.unwrap();
        note(&left, "left");
        is_pending = pin!(left.commit()).poll(&mut Context::from_waker(Waker::noop())).is_pending();
        assert_eq!(done.lock().unwrap().pop(), Some("left"), "it may have taken effect");
    }
}

/// Who observes a kind of subject is told of each of its events that was committed.
#[both_databases]
async fn committed_events_are_observed(library: &Library) {
    let db = &library.db;
    let told: Arc<Mutex<Vec<Observed>>> = Arc::default();
    let observer = Arc::clone(&told);
    db.observers().observe("book", move |observed| observer.lock().unwrap().push(observed));
    let [one, two] = [1, 2].map(|id| NewEvent::new("book.read", Subject::new("book", Uuid::from_u128(id))));
    let other = NewEvent::new("shelf.moved", Subject::new("shelf", Uuid::nil()));
    let tx = db.begin().await.unwrap();
    events::append_all(&tx, [one.clone(), other, two]).await.unwrap();
    assert!(told.lock().unwrap().is_empty(), "not before the commit");
    tx.commit().await.unwrap();
    assert_eq!(*told.lock().unwrap(), [1, 2].map(|id| Observed::Subject(Uuid::from_u128(id))));
    let tx = db.begin().await.unwrap();
    events::append(&tx, one).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(told.lock().unwrap().len(), 2);
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

//! The log: a reader gets every committed event once, in order.

use std::time::Duration;

use groundwork_core::{
    Db, Error, Uuid,
    events::{self, NewEvent, Position, Subject},
};
use groundwork_testkit::both_databases;

use super::book::Library;

fn event(subject: Uuid) -> NewEvent {
    NewEvent::new("book.updated", Subject::new("book", subject))
}

async fn append<const N: usize>(db: &Db, new: [NewEvent; N]) {
    db.write(async |tx| events::append_all(tx, new.clone()).await).await.unwrap();
}

/// Waits until everything committed is settled. Other tests use the same server, and its log waits for their transactions.
async fn settled(db: &Db) {
    let waiting = async {
        while events::read(db.reader(), Position::default(), 0).await.unwrap().is_blocked {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), waiting).await.unwrap();
}

/// What is committed is read, in the order of the places, and the horizon and the floor enclose it.
#[both_databases]
async fn what_is_committed_is_read(library: &Library) {
    let db = &library.db;
    let book = Uuid::from_u128(1);
    for version in 1..=3 {
        append(db, [event(book).at_version(version)]).await;
    }
    settled(db).await;
    let batch = events::read(db.reader(), Position::default(), 2).await.unwrap();
    let versions: Vec<_> = batch.events.iter().map(|event| event.version).collect();
    assert_eq!(versions, [Some(1), Some(2)]);
    assert_eq!(batch.floor, events::floor(db.reader()).await.unwrap());
    let after = batch.events[1].place();
    let rest = events::read(db.reader(), after, 10).await.unwrap();
    assert_eq!(rest.events.len(), 1);
    assert!(batch.floor < batch.events[0].place() && after < rest.events[0].place());
    assert!(rest.events[0].place() <= rest.horizon);
    let none = events::read(db.reader(), rest.horizon, 10).await.unwrap();
    assert!(none.events.is_empty());
    assert!(none.horizon >= rest.horizon);
    assert!(events::horizon(db.reader()).await.unwrap() >= none.horizon);
    assert_eq!(events::lag(db).await.unwrap(), Duration::ZERO);
    let epoch = events::epoch(db.reader()).await.unwrap();
    assert_eq!(events::epoch(db.reader()).await.unwrap(), epoch);
    assert_eq!(events::Epoch::from_bytes(epoch.to_bytes()), epoch);
}

/// Who waits for events hears of each commit that appended some, and of nothing else.
#[both_databases]
async fn commits_are_announced(library: &Library) {
    let db = library.db.clone();
    let book = Uuid::from_u128(1);
    let appended = db.appended();
    let change = || appended.has_changed().unwrap();
    append(&db, []).await;
    assert!(!change());
    let refused = db.write(async |tx| {
        events::append(tx, event(book)).await?;
        Err::<(), _>(Error::not_found("book"))
    });
    refused.await.unwrap_err();
    assert!(!change());
    append(&db, [event(book)]).await;
    assert!(change());
}

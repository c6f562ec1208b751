//! Folding old receipts, and deleting those of deleted threads.

use std::time::Duration;

use groundwork_auth::Caller;
use groundwork_core::{PageRequest, Uuid};
use groundwork_testkit::both_databases;
use messenger_domain::{
    Messages, Threads,
    messages::{Message, NewText, ReceiptKind, first_receipt, housekeeping, receipt},
    threads::{NewThread, ThreadType},
};
use sea_orm::{EntityTrait, PaginatorTrait};

use crate::people::{Store, person};

const DAY: Duration = Duration::from_hours(24);

async fn group(store: &Store, owner: &Caller, other: &Caller) -> Uuid {
    let new = NewThread {
        kind: ThreadType::Group,
        name: Some("Engines".into()),
        participant_ids: vec![other.user_id],
        history: None,
    };
    store.db.write(async |tx| Threads::default().start(tx, owner, new).await).await.unwrap().0
}

/// Sends a message that `reader` reads at once.
async fn sent_and_read(store: &Store, thread: Uuid, sender: &Caller, reader: &Caller) -> Message {
    let messages = Messages::default();
    store.clock.advance(Duration::from_mins(1));
    let text = NewText { text: "hello".into() };
    let write = async |tx: &_| {
        let sent = messages.send(tx, sender, thread, text, None).await?;
        messages.advance(tx, reader, sent.id, ReceiptKind::Read).await
    };
    store.db.write(write).await.unwrap()
}

async fn receipts(store: &Store) -> u64 {
    receipt::Entity::find().count(store.db.reader()).await.unwrap()
}

/// Old receipts become one row a day, whose time is that of the last; younger ones stay as they are.
#[both_databases]
async fn old_receipts_are_folded_by_day(store: &Store) {
    let (ada, charles) = (person(store, "ada").await, person(store, "charles").await);
    let thread = group(store, &ada, &charles).await;
    let mut days = Vec::new();
    for _ in 0..3 {
        store.clock.advance(DAY);
        let mut day = Vec::new();
        for _ in 0..4 {
            day.push(sent_and_read(store, thread, &ada, &charles).await);
        }
        days.push(day);
    }
    assert_eq!(receipts(store).await, 12);
    store.clock.advance(DAY);
    assert_eq!(housekeeping::sweep(&store.db, DAY).await.unwrap(), 6);
    assert_eq!(receipts(store).await, 1 + 1 + 4);
    assert_eq!(housekeeping::sweep(&store.db, DAY).await.unwrap(), 0);
    for (index, day) in days.iter().enumerate() {
        for message in day {
            let listed = Messages::default()
                .receipts(store.db.reader(), &ada, message.id, PageRequest::default())
                .await
                .unwrap();
            let exact = if index < 2 { day[3].read_at } else { message.read_at };
            assert_eq!((listed.total, listed.items[0].read_at), (1, exact));
            let again = Messages::default().get(store.db.reader(), &ada, message.id).await.unwrap();
            assert_eq!(&again, message, "what the message itself shows stays exact");
        }
    }
}

/// Two servers fold at once, while the participant goes on reading.
#[both_databases]
async fn folding_is_safe_beside_others(store: &Store) {
    let (ada, charles) = (person(store, "ada").await, person(store, "charles").await);
    let thread = group(store, &ada, &charles).await;
    for _ in 0..5 {
        sent_and_read(store, thread, &ada, &charles).await;
    }
    store.clock.advance(DAY * 2);
    let (first, second, message) = futures::future::join3(
        Box::pin(housekeeping::sweep(&store.db, DAY)),
        Box::pin(housekeeping::sweep(&store.db, DAY)),
        Box::pin(sent_and_read(store, thread, &ada, &charles)),
    )
    .await;
    assert_eq!(first.unwrap() + second.unwrap(), 4);
    assert_eq!((receipts(store).await, message.is_read), (2, true));
}

/// Nobody sees the receipts of a deleted thread, so they go.
#[both_databases]
async fn receipts_of_deleted_threads_go(store: &Store) {
    let (ada, charles) = (person(store, "ada").await, person(store, "charles").await);
    let (kept, deleted) = (group(store, &ada, &charles).await, group(store, &ada, &charles).await);
    for thread in [kept, deleted] {
        sent_and_read(store, thread, &ada, &charles).await;
    }
    store.db.write(async |tx| Threads::default().delete(tx, &ada, deleted).await).await.unwrap();
    housekeeping::sweep(&store.db, DAY).await.unwrap();
    assert_eq!(receipts(store).await, 2, "not at once");
    store.clock.advance(DAY * 2);
    housekeeping::sweep(&store.db, DAY).await.unwrap();
    let left = receipt::Entity::find().all(store.db.reader()).await.unwrap();
    let first = first_receipt::Entity::find().all(store.db.reader()).await.unwrap();
    assert!(
        left.iter()
            .map(|row| row.thread_id)
            .chain(first.iter().map(|row| row.thread_id))
            .all(|id| id == kept)
    );
    assert!(!left.is_empty() && !first.is_empty());
}

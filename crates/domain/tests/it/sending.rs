//! The cost and the effects of sending.

use groundwork_core::{events, sea_orm::EntityTrait};
use groundwork_testkit::both_databases;
use messenger_domain::{
    Messages, Threads,
    messages::{NewDirectMessage, NewText, entity, receipt},
    threads::{NewThread, ThreadType, participant},
};
use sea_orm::PaginatorTrait;

use crate::people::{Store, person};

async fn rows(store: &Store) -> [u64; 4] {
    let db = store.db.reader();
    [
        entity::Entity::find().count(db).await.unwrap(),
        events::Entity::find().count(db).await.unwrap(),
        receipt::Entity::find().count(db).await.unwrap(),
        participant::Entity::find().count(db).await.unwrap(),
    ]
}

/// A message is one row and its event another (beside numbers in the rows of its thread and its sender), in a thread of two as in one of a hundred.
#[both_databases]
async fn costs_two_rows_in_any_thread(store: &Store) {
    let mut people = Vec::new();
    for index in 0..100 {
        people.push(person(store, &format!("person-{index}")).await);
    }
    let (messages, threads) = (Messages::default(), Threads::default());
    let tx = store.db.begin().await.unwrap();
    let (small, _) = threads.direct(&tx, &people[0], people[1].user_id).await.unwrap();
    let group = NewThread {
        kind: ThreadType::Group,
        name: Some("All".into()),
        participant_ids: people.iter().skip(1).map(|person| person.user_id).collect(),
        history: None,
    };
    let (large, _) = threads.start(&tx, &people[0], group).await.unwrap();
    tx.commit().await.unwrap();
    for thread in [small.id, large] {
        let before = rows(store).await;
        let tx = store.db.begin().await.unwrap();
        messages.send(&tx, &people[0], thread, NewText { text: "hello".into() }, None).await.unwrap();
        tx.commit().await.unwrap();
        let after = rows(store).await;
        assert_eq!(after, [before[0] + 1, before[1] + 1, before[2], before[3]]);
    }
}

/// A transaction that is dropped before its end leaves no message, no event and no gap in `seq`.
#[both_databases]
async fn half_a_send_leaves_nothing(store: &Store) {
    let (ada, charles) = (person(store, "ada").await, person(store, "charles").await);
    let messages = Messages::default();
    let new = || NewDirectMessage {
        text: "hello".into(),
        receiver_id: Some(charles.user_id),
        receiver_username: None,
    };
    let before = rows(store).await;
    let tx = store.db.begin().await.unwrap();
    messages.send_direct(&tx, &ada, new(), None).await.unwrap();
    drop(tx);
    assert_eq!(rows(store).await, before);
    let tx = store.db.begin().await.unwrap();
    let sent = messages.send_direct(&tx, &ada, new(), None).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(sent.seq, 1);
}

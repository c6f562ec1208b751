//! Who sees when somebody is online, and when they last were.

use std::time::Duration;

use groundwork_auth::Caller;
use groundwork_core::{Change, Timestamp, Uuid, events::feed::Feed};
use groundwork_testkit::both_databases;
use messenger_domain::{
    MessengerFeed, Threads, Users, scopes,
    threads::{NewThread, ParticipantsPatch, ThreadType},
    users::{LastSeen, Presence, UserPatch},
};

use crate::people::{Store, person};

async fn people<const COUNT: usize>(store: &Store) -> [Caller; COUNT] {
    let mut all = Vec::new();
    for index in 0..COUNT {
        all.push(person(store, &format!("person-{index}")).await);
    }
    all.try_into().unwrap()
}

async fn shows_to(store: &Store, user: &Caller, last_seen: LastSeen) {
    let patch = UserPatch { last_seen: Change::Value(last_seen), ..UserPatch::default() };
    let tx = store.db.begin().await.unwrap();
    let changed = Users::default().update_self(&tx, user, patch).await.unwrap();
    assert_eq!(changed.last_seen, last_seen);
    tx.commit().await.unwrap();
}

async fn group(store: &Store, owner: &Caller, others: &[&Caller]) -> Uuid {
    let new = NewThread {
        kind: ThreadType::Group,
        name: Some("Group".into()),
        participant_ids: others.iter().map(|other| other.user_id).collect(),
        history: None,
    };
    let tx = store.db.begin().await.unwrap();
    let (id, _) = Threads::default().start(&tx, owner, new).await.unwrap();
    tx.commit().await.unwrap();
    id
}

async fn change(store: &Store, caller: &Caller, thread: Uuid, add: &[Uuid], remove: &[Uuid]) {
    let patch = ParticipantsPatch { add: add.to_vec(), remove: remove.to_vec() };
    let tx = store.db.begin().await.unwrap();
    Threads::default().change_participants(&tx, caller, thread, patch).await.unwrap();
    tx.commit().await.unwrap();
}

/// Whether `caller` sees the presence of `other`.
async fn sees(store: &Store, caller: &Caller, other: &Caller) -> bool {
    let seen = Users::default().presence(store.db.reader(), caller, &[other.user_id]).await.unwrap();
    seen.iter().any(|seen| seen.user_id == other.user_id)
}

async fn store_seen(store: &Store, feed: &MessengerFeed, seen: &[(Uuid, Timestamp)]) {
    let tx = store.db.begin().await.unwrap();
    feed.store_last_seen(&tx, seen).await.unwrap();
    tx.commit().await.unwrap();
}

/// A user is seen by everyone, by those who are in a thread with them now, or by nobody else, as they have set it.
#[both_databases]
async fn the_setting_decides_who_sees(store: &Store) {
    let [ada, charles, grace] = people(store).await;
    let thread = group(store, &charles, &[&ada]).await;
    for (setting, contact, stranger) in [
        (LastSeen::Contacts, true, false),
        (LastSeen::Everyone, true, true),
        (LastSeen::Nobody, false, false),
        (LastSeen::Contacts, true, false),
    ] {
        shows_to(store, &ada, setting).await;
        assert!(sees(store, &ada, &ada).await, "oneself always");
        assert_eq!(sees(store, &charles, &ada).await, contact, "{setting:?}");
        assert_eq!(sees(store, &grace, &ada).await, stranger, "{setting:?}");
    }
    change(store, &ada, thread, &[], &[ada.user_id]).await;
    assert!(!sees(store, &charles, &ada).await, "who left is no contact");
    change(store, &charles, thread, &[ada.user_id], &[]).await;
    assert!(sees(store, &charles, &ada).await);
    let tx = store.db.begin().await.unwrap();
    Threads::default().delete(&tx, &charles, thread).await.unwrap();
    tx.commit().await.unwrap();
    assert!(!sees(store, &charles, &ada).await, "nor is who was in a thread that is deleted");

    shows_to(store, &ada, LastSeen::Everyone).await;
    let tx = store.db.begin().await.unwrap();
    Users::default().deactivate_self(&tx, &ada).await.unwrap();
    tx.commit().await.unwrap();
    assert!(!sees(store, &charles, &ada).await, "a deactivated user");
    let many: Vec<Uuid> = (0..101).map(Uuid::from_u128).collect();
    assert!(Users::default().presence(store.db.reader(), &grace, &many).await.is_err());
}

/// When users were last online is stored for many at once, and only moves forward.
#[both_databases]
async fn last_seen_moves_forward(store: &Store) {
    let [ada, charles] = people(store).await;
    let feed = MessengerFeed::new(scopes::groups());
    let at = async |user: &Caller| {
        let found = Users::default().presence(store.db.reader(), user, &[user.user_id]).await.unwrap();
        assert_eq!(found.len(), 1);
        let Presence { last_seen_at, .. } = found[0];
        last_seen_at
    };
    assert_eq!(at(&ada).await, None);
    let now = store.db.now();
    let (earlier, later) = (now - Duration::from_secs(9), now + Duration::from_secs(9));
    let unknown = (0..1200).map(|index| (Uuid::from_u128(index), now));
    let mut seen: Vec<_> = unknown.chain([(ada.user_id, now), (charles.user_id, later)]).collect();
    seen.extend([(ada.user_id, earlier)]);
    store_seen(store, &feed, &seen).await;
    assert_eq!((at(&ada).await, at(&charles).await), (Some(now), Some(later)));
    store_seen(store, &feed, &[(charles.user_id, now), (ada.user_id, later)]).await;
    assert_eq!((at(&ada).await, at(&charles).await), (Some(later), Some(later)));
    store_seen(store, &feed, &[]).await;
}

/// Presence is live in direct threads and in groups of at most 100, and not that of a user who hides it: for those who
/// connect as for those who join.
#[both_databases]
async fn live_presence_is_for_few(store: &Store) {
    let [ada, charles, grace] = people(store).await;
    let feed = MessengerFeed::new(scopes::groups());
    shows_to(store, &grace, LastSeen::Nobody).await;
    let small = group(store, &ada, &[&charles, &grace]).await;
    let mut others = Vec::new();
    for index in 0..100 {
        others.push(person(store, &format!("other-{index}")).await);
    }
    let others: Vec<&Caller> = others.iter().collect();
    let large = group(store, &ada, &others).await;
    let growing = group(store, &ada, &others[..98]).await;
    change(store, &ada, growing, &[charles.user_id], &[]).await;
    let tx = store.db.begin().await.unwrap();
    let (direct, _) = Threads::default().direct(&tx, &ada, grace.user_id).await.unwrap();
    tx.commit().await.unwrap();

    let log = crate::live::log(store).await;
    let live = |user: Uuid, thread: Uuid| {
        let mut joins = log.iter().rev().flat_map(|event| feed.route(event).joins);
        let follow = joins.find(|(who, follow)| *who == user && follow.subject == thread);
        follow.unwrap().1.shows_presence
    };
    for (user, thread, expected) in [
        (&ada, small, true),
        (&charles, small, true),
        (&grace, small, false),
        (&ada, large, false),
        (&charles, growing, true),
        (&ada, direct.id, true),
        (&grace, direct.id, false),
    ] {
        let follows = feed.follows(store.db.reader(), user.user_id).await.unwrap();
        let follow = follows.iter().find(|follow| follow.subject == thread).unwrap();
        assert_eq!(follow.shows_presence, expected);
        assert_eq!(live(user.user_id, thread), expected);
    }
    // The hundred and first.
    change(store, &ada, growing, &[grace.user_id], &[]).await;
    let follows = feed.follows(store.db.reader(), ada.user_id).await.unwrap();
    let follow = follows.iter().find(|follow| follow.subject == growing).unwrap();
    assert!(!follow.shows_presence);
}

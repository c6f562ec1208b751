//! Passing on the ownership of many groups.

use groundwork_core::events;
use groundwork_testkit::both_databases;
use messenger_domain::{
    Threads, Users,
    threads::{NewThread, Role, ThreadType, entity, participant},
};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};

use crate::people::{Store, person};

/// More than one batch.
const GROUPS: u64 = 505;

/// A user who owns more groups than one batch holds passes on each of them, to the right heir.
#[both_databases]
async fn every_group_of_many_is_passed_on(store: &Store) {
    let (owner, ada, grace) =
        (person(store, "owner").await, person(store, "ada").await, person(store, "grace").await);
    let threads = Threads::default();
    let tx = store.db.begin().await.unwrap();
    for index in 0..GROUPS {
        let heir = if index % 2 == 0 { &ada } else { &grace };
        let group = NewThread {
            kind: ThreadType::Group,
            name: Some(format!("Group {index}").into()),
            participant_ids: vec![heir.user_id],
            history: None,
        };
        threads.start(&tx, &owner, group).await.unwrap();
    }
    Users::default().deactivate_self(&tx, &grace).await.unwrap();
    Users::default().deactivate_self(&tx, &owner).await.unwrap();
    tx.commit().await.unwrap();

    let db = store.db.reader();
    let all = participant::Entity::find().filter(participant::Column::Role.eq(Role::Owner));
    let by_ada = all.clone().filter(participant::Column::UserId.eq(ada.user_id));
    assert_eq!(by_ada.count(db).await.unwrap(), GROUPS.div_ceil(2));
    let deleted = entity::Entity::find().filter(entity::Column::DeletedAt.is_not_null());
    assert_eq!(deleted.count(db).await.unwrap(), GROUPS / 2, "nobody is left in those of grace");
    // The heir's change takes the first version after that of the group, and the former owner's the next.
    for (user, version) in [(&ada, 2), (&owner, 3)] {
        let changed = participant::Entity::find()
            .filter(participant::Column::UserId.eq(user.user_id))
            .filter(participant::Column::Version.eq(version));
        assert_eq!(changed.count(db).await.unwrap(), GROUPS.div_ceil(2));
    }
    let kinds = |kind: &'static str| events::Entity::find().filter(events::Column::Kind.eq(kind)).count(db);
    assert_eq!(kinds("participant.updated").await.unwrap(), 2 * GROUPS.div_ceil(2));
    assert_eq!(kinds("thread.deleted").await.unwrap(), GROUPS / 2);
}

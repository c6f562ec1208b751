//! The ownership of a group whose owner is deactivated or deleted.

use futures::future::join_all;
use groundwork_core::events;
use groundwork_testkit::{Client, both_databases};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};

use crate::support::{App, Talks};

const ME: &str = "/api/v1/users/me";

fn of(user: &Client) -> String {
    format!("/api/v1/users/{}", user.id())
}

async fn set_role(owner: &Client, group: &str, user: &Client, role: &str) {
    let path = format!("/api/v1/threads/{group}/participants/{}", user.id());
    owner.patch(&path, &json!({"role": role})).await.expect(200);
}

async fn role_of(seen_by: &Client, group: &str, user: &Client) -> Value {
    let path = format!("/api/v1/threads/{group}/participants/{}", user.id());
    seen_by.get(&path).await.expect(200)["role"].clone()
}

/// The events of a thread after a version: kind, user, payload, actor.
async fn events_after(app: &App, thread: &str, version: i64) -> Vec<(String, Option<String>, Value, String)> {
    let id: groundwork_core::Uuid = thread.parse().unwrap();
    let found = events::Entity::find()
        .filter(events::Column::SubjectId.eq(id))
        .filter(events::Column::Version.gt(version))
        .order_by_asc(events::Column::Position)
        .all(app.db.db.reader())
        .await
        .unwrap();
    let text = |id: groundwork_core::Uuid| id.to_string();
    found
        .into_iter()
        .map(|event| (event.kind, event.user_id.map(text), event.payload, event.actor_id.map(text).unwrap()))
        .collect()
}

/// If the only owner is deactivated or deleted, the active admin who joined first becomes owner, or else the active member
/// who joined first. The former owner stays as a member.
#[both_databases]
async fn a_group_gets_another_owner(app: &App) {
    let admin = app.user_in("admin", "root").await;
    for way in ["self", "patch", "delete"] {
        let user = async |name: &str| app.user(&format!("{name}-{way}")).await;
        let (owner, inactive, first) = (user("owner").await, user("inactive").await, user("first").await);
        let (second, third) = (user("second").await, user("third").await);
        let group = owner.starts_group("Engines", &[&inactive]).await;
        for other in [&first, &second, &third] {
            owner.adds(&group, other).await.expect(200);
        }
        set_role(&owner, &group, &inactive, "admin").await;
        set_role(&owner, &group, &third, "admin").await;
        set_role(&owner, &group, &second, "admin").await;
        let small = owner.starts_group("No admin", &[&inactive]).await;
        owner.adds(&small, &second).await.expect(200);
        owner.adds(&small, &first).await.expect(200);
        inactive.delete(ME).await.expect(204);
        let version = owner.thread(&group).await["version"].as_i64().unwrap();

        let actor = match way {
            "self" => {
                owner.delete(ME).await.expect(204);
                owner.id()
            }
            "patch" => {
                admin
                    .patch(&of(&owner), &json!({"is_active": false, "username": "former"}))
                    .await
                    .expect(200);
                admin.id()
            }
            _ => {
                admin.delete(&of(&owner)).await.expect(204);
                admin.id()
            }
        };
        assert_eq!(role_of(&first, &group, &second).await, "owner", "{way}");
        assert_eq!(role_of(&first, &group, &owner).await, "member", "{way}");
        assert_eq!(role_of(&first, &small, &second).await, "owner", "{way}");
        let thread = second.thread(&group).await;
        assert_eq!((&thread["version"], &thread["participant_count"]), (&json!(version + 2), &json!(5)));
        let updated = "participant.updated".to_owned();
        let expected = [
            (updated.clone(), Some(second.id()), json!({"role": "owner"}), actor.clone()),
            (updated, Some(owner.id()), json!({"role": "member"}), actor),
        ];
        assert_eq!(events_after(app, &group, version).await, expected, "{way}");

        match way {
            "delete" => drop(admin.post(&format!("{}/restore", of(&owner)), &Value::Null).await.expect(200)),
            _ => drop(admin.patch(&of(&owner), &json!({"is_active": true})).await.expect(200)),
        }
        let name = if way == "patch" { "former".to_owned() } else { format!("owner-{way}") };
        let owner = owner.login(&name).await;
        assert_eq!(owner.thread(&group).await["me"]["role"], "member");
    }
}

/// A group without an active participant is deleted, with its event, and stays deleted.
#[both_databases]
async fn a_group_without_anybody_is_deleted(app: &App) {
    let admin = app.user_in("admin", "root").await;
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let group = ada.starts_group("Engines", &[&charles]).await;
    charles.delete(ME).await.expect(204);
    let version = ada.thread(&group).await["version"].as_i64().unwrap();
    ada.delete(ME).await.expect(204);
    let deleted = ("thread.deleted".to_owned(), None, json!({}), ada.id());
    assert_eq!(events_after(app, &group, version).await, [deleted]);
    for user in [&ada, &charles] {
        admin.patch(&of(user), &json!({"is_active": true})).await.expect(200);
    }
    let ada = ada.login("ada").await;
    ada.get(&format!("/api/v1/threads/{group}")).await.refused(404, "not_found");
}

/// A group with another active owner stays as it is. A deactivated owner does not count.
#[both_databases]
async fn only_active_owners_count(app: &App) {
    let admin = app.user_in("admin", "root").await;
    let (ada, charles, grace) = (app.user("ada").await, app.user("charles").await, app.user("grace").await);
    let group = ada.starts_group("Engines", &[&charles, &grace]).await;
    set_role(&ada, &group, &charles, "owner").await;
    let version = ada.thread(&group).await["version"].clone();
    charles.delete(ME).await.expect(204);
    assert_eq!(ada.thread(&group).await["version"], version);
    assert_eq!(role_of(&ada, &group, &charles).await, "owner");
    ada.removes(&group, &ada).await.refused(409, "last_owner");
    let own = format!("/api/v1/threads/{group}/participants/{}", ada.id());
    ada.delete(&own).await.refused(409, "last_owner");
    ada.patch(&own, &json!({"role": "member"})).await.refused(409, "last_owner");
    ada.delete(ME).await.expect(204);
    assert_eq!(grace.thread(&group).await["me"]["role"], "owner");
    admin.patch(&of(&charles), &json!({"is_active": true})).await.expect(200);
    let charles = charles.login("charles").await;
    assert_eq!(charles.thread(&group).await["me"]["role"], "owner");
}

/// An owner is deactivated while everybody sends: no request fails, and the group has an owner.
#[both_databases]
async fn an_owner_goes_while_all_send(app: &App) {
    let admin = app.user_in("admin", "root").await;
    let (ada, charles, grace) = (app.user("ada").await, app.user("charles").await, app.user("grace").await);
    let mut groups = Vec::new();
    for index in 0..8 {
        groups.push(ada.starts_group(&format!("Group {index}"), &[&charles, &grace]).await);
    }
    let sends = groups.iter().cycle().take(64).enumerate().map(|(index, group)| {
        let sender = [&ada, &charles, &grace][index % 3];
        let path = format!("/api/v1/threads/{group}/messages");
        async move { sender.post(&path, &json!({"text": "meanwhile"})).await.status }
    });
    let patch = json!({"is_active": false, "username": "former"});
    let (statuses, gone) = futures::future::join(join_all(sends), admin.patch(&of(&ada), &patch)).await;
    gone.expect(200);
    assert!(statuses.iter().all(|status| [201, 401].contains(status)), "{statuses:?}");
    for group in &groups {
        assert_eq!(role_of(&grace, group, &charles).await, "owner");
    }
}

/// All participants are deactivated concurrently: each group has an active owner or is deleted.
#[both_databases]
async fn all_owners_go_at_once(app: &App) {
    let mut people = Vec::new();
    for index in 0..5 {
        people.push(app.user(&format!("person-{index}")).await);
    }
    let mut groups = Vec::new();
    for owner in &people {
        let others: Vec<&Client> = people.iter().filter(|other| other.id() != owner.id()).collect();
        groups.push(owner.starts_group("Engines", &others).await);
        let group = groups.last().unwrap();
        set_role(owner, group, others[0], "owner").await;
    }
    let (stays, go) = people.split_last().unwrap();
    for answer in join_all(go.iter().map(|user| user.delete(ME))).await {
        answer.expect(204);
    }
    for group in &groups {
        assert_eq!(stays.thread(group).await["me"]["role"], "owner");
    }
    stays.delete(ME).await.expect(204);
    let alive = events::Entity::find().filter(events::Column::Kind.eq("thread.deleted"));
    assert_eq!(alive.all(app.db.db.reader()).await.unwrap().len(), groups.len());
}

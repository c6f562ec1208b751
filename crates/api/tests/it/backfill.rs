//! Migrations of a database that has data.

use api::migrations::Migrator;
use groundwork_testkit::{Client, both_databases};
use groundwork_web::service::migrate;
use messenger_domain::threads::audit;
use sea_orm_migration::MigratorTrait;
use serde_json::{Value, json};

use crate::support::{App, Talks};

/// How many of the last migrations there are from the one with that name.
fn steps_from(name: &str) -> u32 {
    let migrations = Migrator::migrations();
    let place = migrations.iter().position(|migration| migration.name() == name).unwrap();
    u32::try_from(migrations.len() - place).unwrap()
}

async fn threads_of(client: &Client) -> Value {
    client.get("/api/v1/threads").await.expect(200)
}

/// The order of threads and the unread counts are the same after the numbers that they come from were dropped and computed
/// from the rows of the schema before.
#[both_databases]
async fn the_order_and_the_unread_counts_survive_a_migration(app: &App) {
    let (ada, charles, grace) = (app.user("ada").await, app.user("charles").await, app.user("grace").await);
    let mut crowd = Vec::new();
    for index in 0..50 {
        crowd.push(app.user(&format!("person-{index}")).await);
    }
    let ids: Vec<_> = crowd.iter().map(Client::id).chain([charles.id()]).collect();
    let large = json!({"type": "group", "name": "Large", "participant_ids": ids});
    let large = ada.post("/api/v1/threads", &large).await.expect(201)["id"].as_str().unwrap().to_owned();
    let small = ada.starts_group("Small", &[&charles, &grace]).await;
    let left = ada.starts_group("Left", &[&charles, &grace]).await;
    let deleted = ada.starts_group("Deleted", &[&charles]).await;
    charles.removes(&left, &charles).await.expect(200);
    ada.delete(&format!("/api/v1/threads/{deleted}")).await.expect(204);
    for thread in [&small, &large] {
        for (index, who) in [&ada, &charles, &ada, &charles, &ada].into_iter().enumerate() {
            let said = who.says(thread, "hello").await;
            if index == 1 {
                charles.post(&format!("/api/v1/threads/{thread}/read"), &json!({"seq": 1})).await.expect(200);
            }
            if index == 2 {
                ada.delete(&format!("/api/v1/messages/{}", said.id)).await.expect(204);
            }
        }
    }
    ada.writes_to(&charles, "hello").await;
    let before = (threads_of(&ada).await, threads_of(&charles).await, threads_of(&grace).await);
    let counts: Vec<_> =
        before.1["items"].as_array().unwrap().iter().map(|item| &item["unread_count"]).collect();
    assert_eq!(counts, [1, 1, 1]);

    let steps = steps_from("m20261122_recent_threads");
    let db = &app.db.db;
    assert_eq!(migrate::down::<Migrator>(db, steps).await.unwrap(), steps as usize);
    assert_eq!(migrate::up::<Migrator>(db).await.unwrap(), steps as usize);
    assert_eq!(audit::differences(db.reader()).await.unwrap(), Vec::<String>::new());
    assert_eq!((threads_of(&ada).await, threads_of(&charles).await, threads_of(&grace).await), before);
}

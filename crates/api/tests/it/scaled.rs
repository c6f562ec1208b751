//! The messenger with what it is used with on several machines, and when it has grown.

use std::time::Duration;

use api::{app::create_app, migrations::Migrator};
use groundwork_core::{Db, DbOptions, events, sea_orm::ConnectionTrait};
use groundwork_testkit::{
    TestServer,
    postgres::{OwnServer, Pooler, Standby},
};
use sea_orm_migration::MigratorTrait;

use crate::{
    statements::use_it,
    support::{live, messenger},
};

/// Starts the messenger on a database, uses it, and returns what `/health` says of the replica.
async fn work(db: Db, suffix: &str) -> Option<String> {
    let messenger = messenger(db, &[]);
    let delivery = messenger.realtime().start();
    let app = TestServer::start(move || create_app(&messenger));
    live(&app).await;
    use_it(app.client(), suffix).await;
    let health = app.client().get("/health").await.expect(200);
    drop(delivery);
    app.stop().await;
    health["replica"].as_str().map(str::to_owned)
}

/// Nothing relies on a connection through the pooler, and what was written is read from the replica.
#[actix_web::test]
async fn it_works_through_a_pooler_and_with_a_replica() {
    let Some(server) = OwnServer::start_with(&[("synchronous_commit", "on")]).await else { return };
    let Some(pooler) = Pooler::of(&server).await else { return };
    let standby = Standby::of(&server).await;
    let wait = Duration::from_mins(1);
    let options = DbOptions {
        pooler: Some(pooler.url.parse().unwrap()),
        replica: Some(standby.url.parse().unwrap()),
        replica_wait: wait,
        read_timeout: wait,
        ..DbOptions::new(&server.url).unwrap()
    };
    let db = Db::open(&options).await.unwrap();
    Migrator::up(db.schema(), None).await.unwrap();
    assert_eq!(work(db, "").await.as_deref(), Some("ok"));
}

/// With `deploy/partition.sql`, on tables that have rows already.
#[actix_web::test]
async fn it_works_on_partitioned_tables() {
    const SCRIPT: &str = include_str!("../../../../deploy/partition.sql");
    let Some(server) = OwnServer::start().await else { return };
    let open = async || Db::open(&DbOptions::new(&server.url).unwrap()).await.unwrap();
    let db = open().await;
    Migrator::up(db.schema(), None).await.unwrap();
    assert_eq!(work(db, "1").await, None);
    let db = open().await;
    db.schema().execute_unprepared(SCRIPT).await.unwrap();
    let again = db.schema().execute_unprepared(SCRIPT).await.unwrap_err();
    assert!(again.to_string().contains("messages is partitioned already"), "{again}");
    assert_eq!(work(db, "2").await, None);
    let db = open().await;
    assert!(events::prune(&db, db.now()).await.unwrap() > 10);
    db.close().await.unwrap();
}

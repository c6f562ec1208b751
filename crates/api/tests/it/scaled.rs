//! The messenger with what it is used with on several machines.

use std::time::Duration;

use api::{app::create_app, migrations::Migrator};
use groundwork_core::{Db, DbOptions};
use groundwork_testkit::{
    TestServer,
    postgres::{OwnServer, Pooler, Standby},
};
use sea_orm_migration::MigratorTrait;

use crate::{
    statements::use_it,
    support::{live, messenger},
};

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
    let messenger = messenger(db, &[]);
    let delivery = messenger.realtime().start();
    let app = TestServer::start(move || create_app(&messenger));
    live(&app).await;
    use_it(app.client()).await;
    let health = app.client().get("/health").await.expect(200);
    assert_eq!((&health["db"], &health["replica"]), (&"ok".into(), &"ok".into()));
    drop(delivery);
    app.stop().await;
}

use std::time::Duration;

use groundwork_core::{Db, DbOptions, Error};
use groundwork_testkit::both_databases;
use groundwork_web::service::migrate::{self, LOCK};
use sea_orm::{ConnectionTrait, DbBackend};

use crate::{Migrator, Wiki};

/// A server waits for another server's migration without the time limit of statements.
#[both_databases]
async fn a_migration_waits_longer_than_a_statement_may(wiki: &Wiki) {
    let short = Duration::from_millis(100);
    let options =
        DbOptions { statement_timeout: short, lock_timeout: short, ..DbOptions::new(&wiki.db.url).unwrap() };
    let second = Db::open(&options).await.unwrap();
    let lock = format!("SELECT pg_advisory_xact_lock({LOCK})");
    let lock = if second.backend() == DbBackend::Postgres { lock.as_str() } else { "SELECT 1" };

    let first = wiki.db.db.begin().await.unwrap();
    first.execute_unprepared(lock).await.unwrap();
    let finish = async {
        for _ in 0..3 {
            // Refused when the time for a statement is over: so the migration has waited that long as well.
            let refused = second
                .write(async |tx| {
                    tx.execute_unprepared(lock).await?;
                    Ok::<_, Error>(())
                })
                .await;
            assert!(matches!(refused.unwrap_err().code().name, "busy" | "query_timeout"));
        }
        first.rollback().await.unwrap();
    };
    let (migrated, ()) = tokio::join!(migrate::up::<Migrator>(&second), finish);
    assert_eq!(migrated.unwrap(), 0);
    second.close().await.unwrap();
}

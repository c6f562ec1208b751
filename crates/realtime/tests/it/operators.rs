//! What operators see: counters, and the health of live delivery.

use std::time::Duration;

use groundwork_testkit::both_databases;
use sea_orm::DbBackend;

use super::boards::{Boards, Site, Test, options, until, versions};

/// The counters count what happened.
#[both_databases]
async fn counters_are_right(test: &Test) {
    let site = Site::start(test, options()).await;
    site.boards.create(1, &[1, 2]).await;
    let (mut ada, mut bea) = (site.socket(1).await, site.socket(2).await);
    until("all is read", async || site.realtime.stats().read == 2).await;
    let before = site.realtime.stats();
    assert_eq!((before.connections, before.users, before.subjects, before.opened), (2, 2, 1, 2));
    let cursor = ada.cursor().to_owned();
    for _ in 0..5 {
        site.boards.post(1).await;
    }
    versions(&mut ada, 3..=7).await;
    versions(&mut bea, 3..=7).await;
    let after = site.realtime.stats();
    assert_eq!((after.read - before.read, after.queued - before.queued), (5, 10));
    assert_eq!((after.dropped, after.overflows, after.longest_queue, after.replayed), (0, 0, 0, 0));
    site.client(1).get(&format!("/api/v1/sync?since={cursor}")).await.expect(200);
    assert_eq!(site.realtime.stats().replayed, 5);
    let health = site.server.client().get("/health").await.expect(200);
    assert_eq!(health["live"]["bus"], "local", "{health:#}");
    assert_eq!(health["live"]["connections"], 2);
}

/// A transaction that is left open holds the log back, and shows as lag; then what waited comes.
#[both_databases]
async fn a_transaction_left_open_shows_as_lag(test: &Test) {
    if test.db.backend() != DbBackend::Postgres {
        return; // SQLite has one writer, which nothing can overtake.
    }
    let site = Site::start(test, options()).await;
    site.boards.create(1, &[1]).await;
    site.boards.create(2, &[]).await;
    let mut ada = site.socket(1).await;
    let open = test.db.begin().await.unwrap();
    Boards::post_in(&open, 2, "board.posted").await.unwrap();
    site.boards.post(1).await;
    test.clock.advance(Duration::from_secs(7));
    until("the lag shows", async || {
        let health = site.server.client().get("/health").await.expect(200);
        health["live"]["log_lag_ms"].as_u64().unwrap() >= 7000
    })
    .await;
    open.commit().await.unwrap();
    versions(&mut ada, [2]).await;
    until("the lag is over", async || site.realtime.stats().lag_ms == 0).await;
}

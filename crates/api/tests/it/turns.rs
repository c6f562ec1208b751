//! One busy thread does not block the others.

use futures::{StreamExt, stream::FuturesUnordered};
use groundwork_core::{Db, DbOptions};
use groundwork_testkit::both_databases;
use sea_orm::{ConnectionTrait, DbBackend};
use serde_json::json;

use crate::support::{App, Talks};

/// While a thread is locked a bounded number of requests wait for it. The rest are refused at once, and requests for
/// other threads are served.
#[both_databases]
async fn a_locked_thread_holds_up_nobody_else(app: &App) {
    let (ada, charles) = (app.user("ada").await, app.user("charles").await);
    let locked = ada.starts_group("Locked", &[&charles]).await;
    let free = ada.starts_group("Free", &[&charles]).await;
    let elsewhere = Db::open(&DbOptions::new(&app.db.url).unwrap()).await.unwrap();
    let lock = elsewhere.begin().await.unwrap();
    let row = "UPDATE threads SET last_seq = last_seq WHERE name = 'Locked'";
    lock.execute_unprepared(row).await.unwrap();

    let path = format!("/api/v1/threads/{locked}/messages");
    let body = json!({"text": "now?"});
    let mut sends: FuturesUnordered<_> = (0..110).map(|_| ada.post(&path, &body)).collect();
    for _ in 0..7 {
        let refused = sends.next().await.unwrap();
        assert_eq!(refused.headers["retry-after"], "1");
        refused.refused(503, "busy");
    }
    // SQLite has one lock for all.
    if app.db.db.backend() == DbBackend::Postgres {
        for _ in 0..20 {
            ada.says(&free, "meanwhile").await;
        }
    }
    lock.rollback().await.unwrap();
    let mut sent = 0;
    while let Some(answer) = sends.next().await {
        assert!(matches!(answer.status, 201 | 503), "{}: {:#}", answer.status, answer.body);
        sent += usize::from(answer.status == 201);
    }
    assert!(sent > 50, "{sent}");
    assert_eq!(ada.thread(&locked).await["last_seq"], sent);
    elsewhere.close().await.unwrap();
}

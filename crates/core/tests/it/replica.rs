//! Reads that a standby server answers.

use std::time::Duration;

use groundwork_core::{Db, DbOptions, Error};
use groundwork_testkit::postgres::{OwnServer, Standby};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};

/// Longer than a standby needs to catch up, on a machine however busy.
const LONG: Duration = Duration::from_mins(1);
const SHORT: Duration = Duration::from_millis(200);

async fn open(primary: &OwnServer, standby: &str, replica_wait: Duration) -> Db {
    let replica = Some(standby.parse().unwrap());
    let options =
        DbOptions { replica, replica_wait, max_connections: 8, ..DbOptions::new(&primary.url).unwrap() };
    Db::open(&options).await.unwrap()
}

async fn add(db: &Db) {
    let added = db.write(async |tx| {
        tx.execute_unprepared("INSERT INTO t DEFAULT VALUES").await?;
        Ok::<_, Error>(())
    });
    added.await.unwrap();
}

/// Returns the number of rows, and whether a standby server counted them.
async fn rows(conn: &impl ConnectionTrait) -> (i64, bool) {
    let sql = "SELECT count(*) AS n, pg_is_in_recovery() AS by_standby FROM t";
    let row = conn.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap().unwrap();
    (row.try_get("", "n").unwrap(), row.try_get("", "by_standby").unwrap())
}

/// Reads until the standby answers.
async fn until_used(db: &Db) {
    while !rows(&db.any_reader().await).await.1 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(db.ping_replica().await.is_some());
}

async fn say(server: &DatabaseConnection, sql: &str) {
    server.execute_unprepared(sql).await.unwrap();
}

/// Returns whether a standby server has stopped replaying, which it does some time after it is told to.
async fn is_paused(standby: &DatabaseConnection) -> bool {
    let sql = "SELECT pg_get_wal_replay_pause_state() = 'paused' AS is_paused";
    let row = standby.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap();
    row.unwrap().try_get("", "is_paused").unwrap()
}

async fn servers() -> Option<(OwnServer, Standby)> {
    let primary = OwnServer::start_with(&[("synchronous_commit", "on")]).await?;
    let schema = Database::connect(&primary.url).await.unwrap();
    say(&schema, "CREATE TABLE t (i serial)").await;
    let standby = Standby::of(&primary).await;
    Some((primary, standby))
}

/// Whatever was written, on whatever server, is found by the next read of every server.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_of_a_standby_finds_what_was_written_before_it() {
    let Some((primary, standby)) = servers().await else { return };
    let (db, other) = (open(&primary, &standby.url, LONG).await, open(&primary, &standby.url, LONG).await);
    let work = |writer: Db, reader: Db| async move {
        for _ in 0..25 {
            let (before, _) = rows(writer.reader()).await;
            add(&writer).await;
            let (found, by_standby) = rows(&reader.any_reader().await).await;
            assert!(found > before && by_standby, "{found} after {before}, by standby: {by_standby}");
        }
    };
    let tasks = [(&db, &db), (&db, &other), (&other, &db), (&other, &other)];
    let tasks = tasks.map(|(writer, reader)| tokio::spawn(work(writer.clone(), reader.clone())));
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(rows(&db.any_reader().await).await, (100, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_primary_answers_while_the_standby_is_behind_or_away() {
    let Some((primary, standby)) = servers().await else { return };
    let db = open(&primary, &standby.url, SHORT).await;
    until_used(&db).await;

    // It stays behind.
    let server = Database::connect(&standby.url).await.unwrap();
    say(&server, "SELECT pg_wal_replay_pause()").await;
    while !is_paused(&server).await {
        add(&db).await;
    }
    let (behind, _) = rows(&server).await;
    for _ in 0..5 {
        add(&db).await;
        let (written, _) = rows(db.reader()).await;
        assert_eq!(rows(&db.any_reader().await).await, (written, false));
        assert_eq!(db.ping_replica().await, Some(false));
    }
    assert_eq!(rows(&server).await, (behind, true));
    say(&server, "SELECT pg_wal_replay_resume()").await;
    until_used(&db).await;

    // It stops, also in the middle of a request, and comes back.
    let (written, _) = rows(db.reader()).await;
    let in_use = loop {
        let reader = db.any_reader().await;
        if rows(&reader).await.1 {
            break reader;
        }
    };
    server.close().await.unwrap();
    standby.stop().await;
    assert_eq!(rows(&in_use).await, (written, false));
    assert_eq!(rows(&db.any_reader().await).await, (written, false));
    assert_eq!(db.ping_replica().await, Some(false));
    let begun_without = open(&primary, &standby.url, SHORT).await;
    assert_eq!(rows(&begun_without.any_reader().await).await, (written, false));
    standby.start(&primary).await;
    until_used(&db).await;
    until_used(&begun_without).await;
    // The request that met the failure stays with the primary.
    assert_eq!(rows(&in_use).await, (written, false));

    // It becomes a server of its own.
    let server = Database::connect(&standby.url).await.unwrap();
    say(&server, "SELECT pg_promote()").await;
    say(&server, "INSERT INTO t DEFAULT VALUES").await;
    for _ in 0..5 {
        assert_eq!(rows(&db.any_reader().await).await, (written, false));
    }
    assert_eq!(db.ping_replica().await, Some(false));
}

/// A server that is no standby of the primary is never read from.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_standby_of_the_primary_is_used() {
    let Some((primary, standby)) = servers().await else { return };
    let Some(stranger) = OwnServer::start().await else { return };
    for replica in [&primary.url, &stranger.url] {
        let db = open(&primary, replica, LONG).await;
        assert_eq!(rows(&db.any_reader().await).await, (0, false));
        assert_eq!(db.ping_replica().await, Some(false));
    }
    let (address, _) = standby.url.rsplit_once('/').unwrap();
    let elsewhere = open(&primary, &format!("{address}/template1"), LONG).await;
    assert_eq!(elsewhere.ping_replica().await, Some(false));
    assert_eq!(Db::open(&DbOptions::new(&primary.url).unwrap()).await.unwrap().ping_replica().await, None);
}

#[tokio::test]
async fn sqlite_has_neither_a_replica_nor_a_pooler() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/a.db", folder.path().display());
    let beside = || Some("postgres://localhost/a".parse().unwrap());
    let options = || DbOptions::new(&url).unwrap();
    for options in [DbOptions { replica: beside(), ..options() }, DbOptions { pooler: beside(), ..options() }]
    {
        let refused = Db::open(&options).await.unwrap_err();
        let Error::Internal(cause) = refused else { panic!("{refused}") };
        assert_eq!(cause.to_string(), "a pooler and a replica need PostgreSQL");
    }
}

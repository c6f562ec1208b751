//! A pooler that gives each transaction another connection to the server.

use std::time::Duration;

use groundwork_core::{Db, DbOptions, Error, error::codes};
use groundwork_testkit::postgres::{OwnServer, Pooler};
use sea_orm::{ConnectionTrait, DbBackend, Statement};

/// A statement with a parameter, which is prepared.
fn statement(sql: &str, value: i32) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, [value.into()])
}

async fn add(db: &Db, value: i32) -> Result<(), Error> {
    db.write(async |tx| {
        tx.execute_raw(statement("INSERT INTO t (i) VALUES ($1)", value)).await?;
        tx.execute_raw(statement("UPDATE t SET i = i WHERE i = $1", value)).await?;
        Ok(())
    })
    .await
}

async fn read(db: &Db, sql: &str, value: i32) -> Result<i64, Error> {
    let row = db.reader().query_one_raw(statement(sql, value)).await?;
    Ok(row.unwrap().try_get("", "n")?)
}

const COUNT: &str = "SELECT count(*) AS n FROM t WHERE i = $1";

/// More connections than the server has, each with statements of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_keeps_nothing_for_a_connection() {
    let Some(server) = OwnServer::start().await else { return };
    let Some(pooler) = Pooler::of(&server).await else { return };
    let pooler_url = Some(pooler.url.parse().unwrap());
    // Patient, as all wait for the two connections to the server.
    let wait = Duration::from_mins(1);
    let options = DbOptions {
        pooler: pooler_url,
        max_connections: 16,
        acquire_timeout: wait,
        read_timeout: wait,
        statement_timeout: wait,
        ..DbOptions::new(&server.url).unwrap()
    };
    let db = Db::open(&options).await.unwrap();
    // Migrations go to the server itself.
    db.schema().execute_unprepared("CREATE TABLE t (i int)").await.unwrap();

    let work = |db: Db, value: i32| async move {
        for round in 1..=5 {
            add(&db, value).await.unwrap();
            assert_eq!(read(&db, COUNT, value).await.unwrap(), round);
            let other = "SELECT max(i)::bigint AS n FROM t WHERE i <= $1";
            assert_eq!(read(&db, other, value).await.unwrap(), i64::from(value));
        }
    };
    let tasks: Vec<_> = (0..6).map(|value| tokio::spawn(work(db.clone(), value))).collect();
    for task in tasks {
        task.await.unwrap();
    }

    // The limits hold, although no connection has them.
    let hasty = Db::open(&DbOptions { read_timeout: Duration::from_secs(2), ..options }).await.unwrap();
    let slow = read(&hasty, "SELECT 1::bigint AS n FROM pg_sleep(60 + $1)", 0).await;
    assert_eq!(slow.unwrap_err().code(), codes::QUERY_TIMEOUT);
    let written = db.reader().execute_raw(statement("INSERT INTO t (i) VALUES ($1)", 99)).await;
    assert!(written.unwrap_err().to_string().contains("read-only"));

    // Neither an error nor an end half-way leaves a transaction open, which would keep one of the two connections.
    for _ in 0..5 {
        assert!(read(&db, "SELECT 1::bigint / $1 AS n", 0).await.is_err());
        let cancelled = read(&hasty, "SELECT 1::bigint AS n FROM pg_sleep(60 + $1)", 0);
        assert!(tokio::time::timeout(Duration::from_millis(50), cancelled).await.is_err());
        drop(db.begin().await.unwrap());
    }
    add(&db, 77).await.unwrap();
    assert_eq!(read(&db, COUNT, 77).await.unwrap(), 1);
    assert_eq!(read(&db, COUNT, 99).await.unwrap(), 0);
    db.ping().await.unwrap();
    db.close().await.unwrap();
    hasty.close().await.unwrap();
}

//! Limits on the use of the database, and transient errors.

use std::time::Duration;

use groundwork_core::{Db, DbOptions, Error, Result, error::codes};
use groundwork_testkit::{Backend, both_databases};
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, PaginatorTrait};

use crate::book::{Entity, Library, add, shelf};

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_mins(5);

async fn open(library: &Library, change: impl FnOnce(&mut DbOptions)) -> Db {
    let mut options = DbOptions::new(&library.url).unwrap();
    change(&mut options);
    Db::open(&options).await.unwrap()
}

/// A statement that never ends by itself.
fn endless(db: &Db) -> &'static str {
    match db.backend() {
        DbBackend::Postgres => "SELECT pg_sleep(1000000)",
        _ => "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
    }
}

async fn run(db: &Db, sql: &str) -> Result<()> {
    db.write(async |tx| {
        tx.execute_unprepared(sql).await?;
        Ok(())
    })
    .await
}

/// A read that takes too long is cut off, also when there are as many as there are connections, and does not hold up
/// those who write.
#[both_databases]
async fn a_slow_read_is_cut_off(library: &Library) {
    let db = open(library, |options| options.read_timeout = SHORT).await;
    let slow = async || {
        let error = Error::from(db.reader().execute_unprepared(endless(&db)).await.unwrap_err());
        assert_eq!(error.code(), codes::QUERY_TIMEOUT);
    };
    let reads = async {
        for _ in 0..5 {
            tokio::join!(slow(), slow(), slow(), slow(), slow(), slow(), slow(), slow(), slow(), slow());
        }
    };
    let writes = async {
        for _ in 0..5 {
            add(&db, shelf(1), "Emma", 1).await;
        }
    };
    tokio::join!(reads, writes);
    assert_eq!(Entity::find().count(db.reader()).await.unwrap(), 5);
    db.close().await.unwrap();
}

/// A statement in a transaction has a limit of its own, and the next transaction is not affected.
#[both_databases]
async fn a_slow_statement_in_a_transaction_is_cut_off(library: &Library) {
    let db = open(library, |options| options.statement_timeout = SHORT).await;
    for number in 1..=3 {
        assert_eq!(run(&db, endless(&db)).await.unwrap_err().code(), codes::QUERY_TIMEOUT);
        add(&db, shelf(1), "Emma", 1).await;
        assert_eq!(Entity::find().count(db.reader()).await.unwrap(), number);
    }
    db.close().await.unwrap();
}

/// A read whose caller went away is not waited for.
#[both_databases]
async fn a_cancelled_read_takes_no_connection(library: &Library) {
    let db = open(library, |options| {
        options.read_timeout = LONG;
        options.max_connections = 2;
        options.statement_timeout = LONG;
    })
    .await;
    for _ in 0..3 {
        tokio::select! {
            biased;
            _ = db.reader().execute_unprepared(endless(&db)) => unreachable!("it never ends"),
            () = async { add(&db, shelf(1), "Emma", 1).await; } => {}
        }
        assert!(Entity::find().count(db.reader()).await.unwrap() > 0);
    }
    db.close().await.unwrap();
}

/// Waiting for a lock fails after the limit, with the code `busy`.
#[both_databases]
async fn a_wait_for_a_lock_ends(library: &Library) {
    let book = add(&library.db, shelf(1), "Emma", 1).await;
    let other = open(library, |options| options.lock_timeout = SHORT).await;
    let locked = library.db.begin().await.unwrap();
    locked.execute_unprepared("UPDATE books SET pages = 2").await.unwrap();
    for _ in 0..3 {
        let refused = run(&other, "UPDATE books SET pages = 3").await;
        assert_eq!(refused.unwrap_err().code(), codes::BUSY);
    }
    locked.commit().await.unwrap();
    run(&other, "UPDATE books SET pages = 3").await.unwrap();
    let found = Entity::find_by_id(book.id).one(other.reader()).await.unwrap().unwrap();
    assert_eq!(found.pages, 3);
    other.close().await.unwrap();
}

/// The health check uses a separate connection: it succeeds while every other connection is in use.
#[both_databases]
async fn health_does_not_wait_for_the_pools(library: &Library) {
    let db = open(library, |options| {
        options.max_connections = 2;
        options.read_timeout = LONG;
        options.statement_timeout = LONG;
    })
    .await;
    let held = db.begin().await.unwrap();
    tokio::select! {
        biased;
        _ = db.reader().execute_unprepared(endless(&db)) => unreachable!("it never ends"),
        asked = async {
            for _ in 0..10 {
                db.ping().await?;
            }
            Ok::<_, Error>(())
        } => asked.unwrap(),
    }
    held.rollback().await.unwrap();
    db.close().await.unwrap();
}

/// PostgreSQL ends a transaction that is idle, and its locks with it.
#[test]
fn an_idle_transaction_is_ended() {
    groundwork_testkit::run::<Library>(Backend::Postgres, async |library| {
        add(&library.db, shelf(1), "Emma", 1).await;
        let forgetful = open(library, |options| options.idle_in_transaction_timeout = SHORT).await;
        let patient = open(library, |options| options.lock_timeout = LONG).await;
        let idle = forgetful.begin().await.unwrap();
        idle.execute_unprepared("UPDATE books SET pages = 2").await.unwrap();
        // Waits for the lock of the idle one.
        run(&patient, "UPDATE books SET pages = 3").await.unwrap();
        let error = Error::from(idle.execute_unprepared("SELECT 1").await.unwrap_err());
        assert!(matches!(error.code().name, "query_timeout" | "unavailable"), "{error:?}");
        drop(idle);
        run(&forgetful, "UPDATE books SET pages = 4").await.unwrap();
        forgetful.close().await.unwrap();
        patient.close().await.unwrap();
    });
}

/// A server that ends our connections, as in a restart, makes requests fail for now, and the next ones succeed.
#[test]
fn ended_connections_are_replaced() {
    groundwork_testkit::run::<Library>(Backend::Postgres, async |library| {
        let db = open(library, |options| options.max_connections = 6).await;
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        for _ in 0..3 {
            let others = open(library, |options| options.max_connections = 2).await;
            let held = db.begin().await.unwrap();
            let reading = db.reader().execute_unprepared(endless(&db));
            let ending = async {
                // Only once the read runs there is something to end.
                let running = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'";
                while others.reader().execute_unprepared(running).await.unwrap().rows_affected() == 0 {}
                others.reader().execute_unprepared(end).await.unwrap();
            };
            let (read, ()) = tokio::join!(reading, ending);
            assert_eq!(Error::from(read.unwrap_err()).code(), codes::UNAVAILABLE);
            assert_eq!(held.commit().await.unwrap_err().code(), codes::UNAVAILABLE);
            // Connections that were idle meanwhile fail once, each.
            for _ in 0..6 {
                if let Err(error) = Entity::find().count(db.reader()).await {
                    assert_eq!(Error::from(error).code(), codes::UNAVAILABLE);
                }
                if let Err(error) = run(&db, "UPDATE books SET pages = 4").await {
                    assert_eq!(error.code(), codes::UNAVAILABLE);
                }
            }
            add(&db, shelf(1), "Emma", 1).await;
            assert!(Entity::find().count(db.reader()).await.unwrap() > 0);
            db.ping().await.unwrap();
            others.close().await.unwrap();
        }
        db.close().await.unwrap();
    });
}

/// Two transactions that wait for each other, and two that are not serialisable: one of them is to try again.
#[test]
fn deadlocks_and_serialisation_failures_are_busy() {
    groundwork_testkit::run::<Library>(Backend::Postgres, async |library| {
        let db = open(library, |options| options.lock_timeout = LONG).await;
        let (one, two) = (add(&db, shelf(1), "One", 1).await, add(&db, shelf(1), "Two", 1).await);
        let [first, second] = [db.begin().await.unwrap(), db.begin().await.unwrap()];
        let change = |id| format!("UPDATE books SET pages = pages + 1 WHERE id = '{id}'");
        first.execute_unprepared(&change(one.id)).await.unwrap();
        second.execute_unprepared(&change(two.id)).await.unwrap();
        let (a, b) = tokio::join!(
            async {
                let done = first.execute_unprepared(&change(two.id)).await;
                first.rollback().await.unwrap();
                done
            },
            async {
                let done = second.execute_unprepared(&change(one.id)).await;
                second.rollback().await.unwrap();
                done
            },
        );
        let error = a.err().or(b.err()).unwrap();
        assert_eq!(Error::from(error).code(), codes::BUSY);

        let [first, second] = [db.begin().await.unwrap(), db.begin().await.unwrap()];
        for tx in [&first, &second] {
            tx.execute_unprepared("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE").await.unwrap();
            tx.execute_unprepared("SELECT * FROM books").await.unwrap();
        }
        first.execute_unprepared(&change(one.id)).await.unwrap();
        first.commit().await.unwrap();
        let error = second.execute_unprepared(&change(one.id)).await.unwrap_err();
        assert_eq!(Error::from(error).code(), codes::BUSY);
        second.rollback().await.unwrap();
        db.close().await.unwrap();
    });
}

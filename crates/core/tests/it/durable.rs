//! Acknowledged writes are kept, also after the database refused others.

use groundwork_core::{Controller, Db, DbOptions, Error, Result, db::Synchronous, error::codes};
use groundwork_testkit::{Backend, both_databases};
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, PaginatorTrait, Statement};

use crate::book::{Entity, Library, NewBook, add, shelf};

async fn run(db: &Db, sql: &str) -> Result<()> {
    db.write(async |tx| {
        tx.execute_unprepared(sql).await?;
        Ok(())
    })
    .await
}

/// The books that another connection sees: those whose transaction was committed.
async fn books(db: &Db) -> u64 {
    Entity::find().count(db.reader()).await.unwrap()
}

async fn refuse(db: &Db) {
    let refused = db.write(async |_| Err::<(), Error>(codes::CONFLICT.error("no"))).await;
    assert_eq!(refused.unwrap_err().code(), codes::CONFLICT);
}

/// A full disk refuses writes with a code of its own. Once there is space again, every acknowledged write is kept.
#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    groundwork_testkit::run::<Library>(Backend::Sqlite, async |library| {
        let db = &library.db;
        run(db, "CREATE TABLE filler (data BLOB)").await.unwrap();
        // The size that the database has now is the largest that it may have.
        run(db, "PRAGMA max_page_count = 1").await.unwrap();
        let full = run(db, "INSERT INTO filler VALUES (zeroblob(1000000))").await;
        assert_eq!(full.unwrap_err().code().name, "storage_full");
        run(db, "PRAGMA max_page_count = 1000000").await.unwrap();
        refuse(db).await;
        for number in 1..=5 {
            add(db, shelf(1), "Emma", 1).await;
            assert_eq!(books(db).await, number);
        }
        refuse(db).await;
        let again = Db::open(&DbOptions::new(&library.url).unwrap()).await.unwrap();
        assert_eq!(books(&again).await, 5);
        again.close().await.unwrap();
    });
}

/// Whatever statement failed, and whether its error was passed on or swallowed: nothing of the transaction is kept, and
/// the next one is not part of it.
#[both_databases]
async fn after_any_failed_statement_the_next_transaction_stands_alone(library: &Library) {
    let db = &library.db;
    let book = add(db, shelf(1), "Emma", 1).await;
    let failing = [
        "SELECT * FROM no_such_table".to_owned(),
        "no SQL".to_owned(),
        // Not null, and a primary key that is taken.
        "INSERT INTO books (id) VALUES (NULL)".to_owned(),
        "INSERT INTO books SELECT * FROM books".to_owned(),
        "COMMIT; SELECT * FROM no_such_table".to_owned(),
        "ROLLBACK; SELECT * FROM no_such_table".to_owned(),
    ];
    let mut kept = 1;
    for sql in failing {
        run(db, &sql).await.unwrap_err();
        let swallowed = db
            .write(async |tx| {
                let _ = tx.execute_unprepared(&sql).await;
                Controller::delete(&shelf(1), tx, book.id).await
            })
            .await;
        assert!(swallowed.is_err(), "{sql}");
        let swallowed = db
            .write(async |tx| {
                let _ = tx.execute_unprepared(&sql).await;
                Ok::<_, Error>(())
            })
            .await;
        assert_eq!(swallowed.unwrap_err().code().name, "internal", "{sql}");
        add(db, shelf(1), "Emma", 1).await;
        kept += 1;
        assert_eq!(books(db).await, kept, "after {sql}");
    }
}

/// A transaction that is dropped before its end keeps nothing and blocks nobody.
#[both_databases]
async fn a_cancelled_transaction_keeps_nothing(library: &Library) {
    let db = &library.db;
    for number in 0..3 {
        let (started, wait) = tokio::sync::oneshot::channel();
        let work = db.write(async |tx| {
            Controller::create(&shelf(1), tx, NewBook { title: "Emma".into(), isbn: None, pages: 1 }).await?;
            let _ = started.send(());
            std::future::pending::<Result<()>>().await
        });
        tokio::select! {
            _ = work => unreachable!("it never ends"),
            _ = wait => {}
        }
        add(db, shelf(1), "Emma", 1).await;
        assert_eq!(books(db).await, number + 1);
    }
}

/// A commit of SQLite waits for the disk unless it is told otherwise.
#[test]
fn sqlite_is_as_durable_as_it_is_told() {
    groundwork_testkit::run::<Library>(Backend::Sqlite, async |library| {
        for (synchronous, expected) in
            [(None, 2), (Some(Synchronous::Full), 2), (Some(Synchronous::Normal), 1)]
        {
            let mut options = DbOptions::new(&library.url).unwrap();
            options.synchronous = synchronous.unwrap_or(options.synchronous);
            let db = Db::open(&options).await.unwrap();
            let pragma = |name: &str| Statement::from_string(DbBackend::Sqlite, format!("PRAGMA {name}"));
            let tx = db.begin().await.unwrap();
            let row = tx.query_one_raw(pragma("synchronous")).await.unwrap().unwrap();
            assert_eq!(row.try_get_by_index::<i32>(0).unwrap(), expected);
            let row = tx.query_one_raw(pragma("journal_mode")).await.unwrap().unwrap();
            assert_eq!(row.try_get_by_index::<String>(0).unwrap(), "wal");
            tx.rollback().await.unwrap();
            db.close().await.unwrap();
        }
    });
}

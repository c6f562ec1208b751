//! The log: a reader gets every committed event once, in order.

use std::{
    cell::Cell,
    collections::HashMap,
    future::poll_fn,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

use groundwork_core::{
    Db, DbOptions, Error, Tx, Uuid, db,
    db::Reader,
    events::{self, Column, Entity, Model, NewEvent, Position, Subject},
};
use groundwork_testkit::both_databases;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, ExecResult, ExprTrait,
    QueryFilter, QueryOrder, QueryResult, QuerySelect, Statement, sea_query::Expr,
};
use sea_orm_migration::MigratorTrait;

use super::book::{self, Library, Migrator, add, shelf};

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_mins(2);

fn event(subject: Uuid) -> NewEvent {
    NewEvent::new("book.updated", Subject::new("book", subject))
}

async fn append<const N: usize>(db: &Db, new: [NewEvent; N]) {
    db.write(async |tx| events::append_all(tx, new.clone()).await).await.unwrap();
}

async fn append_many(db: &Db, count: usize) {
    let many = || std::iter::repeat_n(event(Uuid::from_u128(1)), count);
    db.write(async |tx| events::append_all(tx, many()).await).await.unwrap();
}

/// Waits until everything committed is settled. Other tests use the same server, and its log waits for their transactions.
async fn settled(db: &Db) {
    let waiting = async {
        while events::read(db.reader(), Position::default(), 0).await.unwrap().is_blocked {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(LONG, waiting).await.unwrap();
}

/// What is committed is read, in the order of the places, and the horizon and the floor enclose it.
#[both_databases]
async fn what_is_committed_is_read(library: &Library) {
    let db = &library.db;
    let book = Uuid::from_u128(1);
    for version in 1..=3 {
        append(db, [event(book).at_version(version)]).await;
    }
    settled(db).await;
    let batch = events::read(db.reader(), Position::default(), 2).await.unwrap();
    let versions: Vec<_> = batch.events.iter().map(|event| event.version).collect();
    assert_eq!(versions, [Some(1), Some(2)]);
    assert_eq!(batch.floor, events::floor(db.reader()).await.unwrap());
    let after = batch.events[1].place();
    let rest = events::read(db.reader(), after, 10).await.unwrap();
    assert_eq!(rest.events.len(), 1);
    assert!(batch.floor < batch.events[0].place() && after < rest.events[0].place());
    assert!(rest.events[0].place() <= rest.horizon);
    let none = events::read(db.reader(), rest.horizon, 10).await.unwrap();
    assert!(none.events.is_empty());
    assert!(none.horizon >= rest.horizon);
    assert!(events::horizon(db.reader()).await.unwrap() >= none.horizon);
    assert_eq!(events::lag(db).await.unwrap(), Duration::ZERO);
    let epoch = events::epoch(db.reader()).await.unwrap();
    assert_eq!(events::epoch(db.reader()).await.unwrap(), epoch);
    assert_eq!(events::Epoch::from_bytes(epoch.to_bytes()), epoch);
}

/// Who waits for events hears of each commit that appended some, and of nothing else.
#[both_databases]
async fn commits_are_announced(library: &Library) {
    let db = library.db.clone();
    let book = Uuid::from_u128(1);
    let appended = db.appended();
    let change = || appended.has_changed().unwrap();
    append(&db, []).await;
    assert!(!change());
    let refused = db.write(async |tx| {
        events::append(tx, event(book)).await?;
        Err::<(), _>(Error::not_found("book"))
    });
    refused.await.unwrap_err();
    assert!(!change());
    append(&db, [event(book)]).await;
    assert!(change());
}

/// Everything that is committed, in order.
async fn all(db: &Db) -> Vec<Model> {
    let ordered = Entity::find().order_by_asc(Column::Stamp).order_by_asc(Column::Position);
    ordered.all(db.reader()).await.unwrap()
}

/// Adds to the version of a book, which locks it, and returns the new one.
async fn next_version(tx: &Tx, book: Uuid) -> i64 {
    let mut update = book::Entity::update_many().filter(book::Column::Id.eq(book));
    update = update.col_expr(book::Column::Pages, Expr::col(book::Column::Pages).add(1));
    update.exec(tx).await.unwrap();
    book::Entity::find_by_id(book).one(tx).await.unwrap().unwrap().pages
}

/// Changes a row that is not the subject: on PostgreSQL the transaction takes its id by that.
async fn take_id(tx: &Tx) {
    let row = book::ActiveModel {
        id: Set(tx.new_id()),
        created_at: Set(tx.now()),
        updated_at: Set(tx.now()),
        title: Set(String::new()),
        pages: Set(0),
        lent: Set(false),
        shelf: Set(Uuid::nil()),
        ..Default::default()
    };
    book::Entity::insert(row).exec_without_returning(tx).await.unwrap();
}

/// With many writers, of which some take their transaction id long before the lock of their subject, and some roll back, a
/// reader that follows gets every committed event once and each subject's in the order of its versions.
#[both_databases]
async fn a_reader_skips_nothing_and_gets_versions_in_order(library: &Library) {
    const WRITERS: u32 = 12;
    const CHANGES: u32 = 40;
    let options = DbOptions {
        max_connections: 2 * WRITERS,
        lock_timeout: LONG,
        acquire_timeout: LONG,
        ..DbOptions::new(&library.url).unwrap()
    };
    let db = Db::open(&options).await.unwrap();
    let mut books = Vec::new();
    for _ in 0..3 {
        books.push(add(&db, shelf(1), "Emma", 1).await.id);
    }
    let write = async |writer: u32| {
        for change in 0..CHANGES {
            let number = writer * 31 + change * 7;
            let tx = db.begin().await.unwrap();
            if number.is_multiple_of(3) {
                take_id(&tx).await;
            }
            if number.is_multiple_of(4) {
                tokio::task::yield_now().await;
            }
            let book = books[number as usize % books.len()];
            for _ in 0..=number % 2 {
                let version = next_version(&tx, book).await;
                events::append(&tx, event(book).at_version(version)).await.unwrap();
            }
            if number.is_multiple_of(5) {
                tx.rollback().await.unwrap();
            } else {
                tx.commit().await.unwrap();
            }
        }
    };
    let read = async |is_over: &Cell<bool>| {
        let (mut seen, mut after) = (Vec::<Model>::new(), Position::default());
        loop {
            let was_over = is_over.get();
            let batch = events::read(db.reader(), after, 7).await.unwrap();
            let is_all = batch.events.is_empty() && !batch.is_blocked;
            assert!(batch.events.iter().all(|event| event.place() <= batch.horizon));
            if let Some(last) = batch.events.last() {
                after = last.place();
            } else if batch.horizon > after {
                // As a cursor of a client who gets no event moves on.
                after = batch.horizon;
            }
            seen.extend(batch.events);
            if was_over && is_all {
                return seen;
            }
            tokio::task::yield_now().await;
        }
    };
    let is_over = Cell::new(false);
    let writing = async {
        let mut tasks: Vec<_> = (0..WRITERS).map(|writer| Box::pin(write(writer))).collect();
        join(&mut tasks).await;
        is_over.set(true);
    };
    let both = async { tokio::join!(writing, read(&is_over), read(&is_over)) };
    let ((), one, other) = tokio::time::timeout(LONG, both).await.unwrap();

    let all = all(&db).await;
    assert!(all.len() > (WRITERS * CHANGES / 2) as usize);
    for seen in [one, other] {
        assert_eq!(seen.len(), all.len());
        assert_eq!(seen, all);
        let mut versions = HashMap::<_, i64>::new();
        for event in seen {
            let last = versions.entry(event.subject_id).or_insert(1);
            *last += 1;
            assert_eq!(event.version, Some(*last));
        }
        assert_eq!(versions.len(), books.len());
    }
    db.close().await.unwrap();
}

/// Runs all of them at the same time on this task.
async fn join<F: Future<Output = ()> + Unpin>(tasks: &mut Vec<F>) {
    poll_fn(|context| {
        tasks.retain_mut(|task| Pin::new(task).poll(context).is_pending());
        if tasks.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// A transaction that took its id first and the lock last has the later version, and its event comes later.
#[both_databases]
async fn the_order_is_that_of_the_locks(library: &Library) {
    let db = &library.db;
    if db.backend() == DbBackend::Sqlite {
        return; // It has one writer.
    }
    let book = add(db, shelf(1), "Emma", 1).await.id;
    let early = db.begin().await.unwrap();
    take_id(&early).await;
    let late = db.begin().await.unwrap();
    let version = next_version(&late, book).await;
    events::append(&late, event(book).at_version(version)).await.unwrap();
    late.commit().await.unwrap();
    let version = next_version(&early, book).await;
    events::append(&early, event(book).at_version(version)).await.unwrap();
    early.commit().await.unwrap();
    settled(db).await;
    let events = events::read(db.reader(), Position::default(), 10).await.unwrap().events;
    assert_eq!(events.iter().map(|event| event.version).collect::<Vec<_>>(), [Some(2), Some(3)]);
}

/// While a transaction is open, a reader gets nothing that may be after its events, and says so. When it ends, nothing is
/// missing.
#[both_databases]
async fn an_open_transaction_holds_the_reader_back(library: &Library) {
    let db = &library.db;
    if db.backend() == DbBackend::Sqlite {
        return; // It has one writer.
    }
    let (held, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    for commits in [true, false] {
        let after = all(db).await.last().map(Model::place).unwrap_or_default();
        let open = db.begin().await.unwrap();
        events::append(&open, event(held)).await.unwrap();
        for _ in 0..5 {
            append(db, [event(other)]).await;
        }
        library.clock.advance(Duration::from_secs(9));
        let batch = events::read(db.reader(), after, 10).await.unwrap();
        assert!(batch.is_blocked && batch.events.is_empty(), "{batch:?}");
        assert!(batch.horizon < all(db).await.last().unwrap().place());
        assert_eq!(events::lag(db).await.unwrap().as_secs(), 9);
        // What is not settled is not removed either, however old.
        let now = db.now();
        assert_eq!(events::prune(db, now + LONG).await.unwrap(), u64::from(!commits) * 6);
        if commits {
            open.commit().await.unwrap();
        } else {
            open.rollback().await.unwrap();
        }
        settled(db).await;
        let batch = events::read(db.reader(), after, 10).await.unwrap();
        let subjects: Vec<_> = batch.events.iter().map(|event| event.subject_id).collect();
        let expected = if commits { vec![held, other, other, other, other, other] } else { vec![other; 5] };
        assert_eq!(subjects, expected);
        assert_eq!(events::lag(db).await.unwrap(), Duration::ZERO);
    }
}

/// Old events are removed from the beginning, and the floor says up to where. A newer event keeps all after it.
#[both_databases]
async fn old_events_are_removed(library: &Library) {
    let db = &library.db;
    let book = Uuid::from_u128(1);
    append_many(db, 1500).await;
    library.clock.advance(Duration::from_hours(1));
    append(db, [event(book)]).await;
    settled(db).await;
    let before = all(db).await;
    let start = before[0].created_at;
    assert_eq!(events::prune(db, start).await.unwrap(), 0);
    assert_eq!(events::floor(db.reader()).await.unwrap(), Position::default());

    let last = before[1500].created_at;
    assert_eq!(events::prune(db, last).await.unwrap(), 1500);
    let floor = events::floor(db.reader()).await.unwrap();
    assert_eq!(floor, before[1499].place());
    assert_eq!(all(db).await, before[1500..]);
    // A reader who was at the floor lost nothing, and one before it can tell.
    let batch = events::read(db.reader(), floor, 10).await.unwrap();
    assert!(batch.floor <= floor && batch.events == before[1500..]);
    let batch = events::read(db.reader(), before[1498].place(), 10).await.unwrap();
    assert!(batch.floor > before[1498].place());

    // An empty log has a place to begin at, and numbers do not come again.
    assert_eq!(events::prune(db, db.now() + LONG).await.unwrap(), 1);
    let horizon = events::horizon(db.reader()).await.unwrap();
    assert!(horizon >= before[1500].place());
    append(db, [event(book)]).await;
    settled(db).await;
    let batch = events::read(db.reader(), horizon, 10).await.unwrap();
    assert_eq!(batch.events.len(), 1);
    assert!(batch.events[0].position > before[1500].position);
}

/// A reader beside the removal has every event, or is told that some are gone.
#[both_databases]
async fn a_reader_notices_what_is_removed(library: &Library) {
    let db = &library.db;
    for _ in 0..6 {
        append_many(db, 1000).await;
    }
    settled(db).await;
    let all = all(db).await;
    let read = async {
        let (mut next, mut is_told) = (0, false);
        // Again and again, until something is gone.
        while next < all.len() || !is_told {
            next %= all.len();
            let after = next.checked_sub(1).map_or(Position::default(), |last| all[last].place());
            let batch = events::read(db.reader(), after, 50).await.unwrap();
            if batch.floor > after {
                is_told = true;
                next = all.iter().position(|event| event.place() > batch.floor).unwrap_or(all.len());
            } else {
                let end = (next + 50).min(all.len());
                assert!(batch.events == all[next..end], "after {after:?}");
                next = end;
            }
        }
    };
    let prune = async {
        let (one, other) =
            tokio::join!(events::prune(db, db.now() + LONG), events::prune(db, db.now() + LONG));
        one.unwrap() + other.unwrap()
    };
    let both = async { tokio::join!(prune, read) };
    let (removed, ()) = tokio::time::timeout(LONG, Box::pin(both)).await.unwrap();
    assert_eq!(removed, 6000);
}

/// A copy of a SQLite database made by a backup has another epoch, as what is restored from it lacks what came later.
#[both_databases]
async fn a_backup_has_an_epoch_of_its_own(library: &Library) {
    let url = library.url.parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("copy.db");
    if library.db.backend() == DbBackend::Postgres {
        return; // It is copied by its own tools.
    }
    append(&library.db, [event(Uuid::from_u128(1))]).await;
    let mut epochs = vec![events::epoch(library.db.reader()).await.unwrap()];
    for _ in 0..2 {
        db::backup(&url, &file).await.unwrap();
        let copy = Db::open(&DbOptions::new(&format!("sqlite://{}", file.display())).unwrap()).await.unwrap();
        let epoch = events::epoch(copy.reader()).await.unwrap();
        assert!(!epochs.contains(&epoch));
        epochs.push(epoch);
        assert_eq!(all(&copy).await.len(), 1);
        copy.close().await.unwrap();
        std::fs::remove_file(&file).unwrap();
    }
    assert_eq!(events::epoch(library.db.reader()).await.unwrap(), epochs[0]);
}

/// Keeps how the database runs the statements.
#[derive(Debug)]
struct Explained<'a> {
    reader: &'a Reader,
    plans: Mutex<Vec<String>>,
}

#[async_trait::async_trait]
impl ConnectionTrait for Explained<'_> {
    fn get_database_backend(&self) -> DbBackend {
        self.reader.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.reader.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.reader.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        Ok(self.query_all_raw(statement).await?.into_iter().next())
    }

    async fn query_all_raw(&self, mut statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let (explain, column) = match self.get_database_backend() {
            DbBackend::Postgres => ("EXPLAIN", "QUERY PLAN"),
            _ => ("EXPLAIN QUERY PLAN", "detail"),
        };
        let sql = std::mem::take(&mut statement.sql);
        statement.sql = format!("{explain} {sql}");
        for row in self.reader.query_all_raw(statement.clone()).await? {
            let line: String = row.try_get("", column)?;
            self.plans.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
        self.reader.query_all_raw(Statement { sql, ..statement }).await
    }
}

/// Reading a few events of a long log takes them from an index: those of the whole log, of a subject, of a user.
#[both_databases]
async fn reading_costs_what_is_read(library: &Library) {
    let db = &library.db;
    let fill = match db.backend() {
        DbBackend::Postgres => {
            "INSERT INTO events (subject_kind, subject_id, user_id, kind, payload, created_at)
            SELECT 'book', gen_random_uuid(), gen_random_uuid(), 'book.updated', '{}', now()
            FROM generate_series(1, 100000)"
        }
        _ => {
            "INSERT INTO events (subject_kind, subject_id, user_id, kind, payload, created_at)
            WITH RECURSIVE numbers AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM numbers WHERE n < 100000)
            SELECT 'book', randomblob(16), randomblob(16), 'book.updated', '{}', '2026-11-21 00:00:00.000000'
            FROM numbers"
        }
    };
    db.schema().execute_unprepared(fill).await.unwrap();
    db.schema().execute_unprepared("ANALYZE").await.unwrap();
    settled(db).await;
    let middle = Entity::find().filter(Column::Position.eq(50_000)).one(db.reader()).await.unwrap().unwrap();
    let explained = || Explained { reader: db.reader(), plans: Mutex::default() };
    let check = |explained: Explained, index: &str| {
        let plans = explained.plans.into_inner().unwrap().join("\n");
        let scans = |line: &&str| line.contains("Seq Scan on events") || line.contains("SCAN events");
        assert_eq!(plans.lines().find(scans), None, "{plans}");
        assert!(plans.contains(index), "{plans}");
    };

    let in_order = match db.backend() {
        DbBackend::Postgres => "ix_events_order",
        _ => "INTEGER PRIMARY KEY (rowid>?)",
    };
    let conn = explained();
    assert_eq!(events::read(&conn, middle.place(), 100).await.unwrap().events.len(), 100);
    check(conn, in_order);
    let conn = explained();
    let horizon = events::horizon(db.reader()).await.unwrap();
    assert_eq!(events::read(&conn, horizon, 100).await.unwrap().events.len(), 0);
    check(conn, in_order);
    let place = Expr::tuple([Expr::col(Column::Stamp), Expr::col(Column::Position)]);
    let start = Expr::tuple([Expr::value(0), Expr::value(0)]);
    let after = Entity::find().filter(place.gt(start)).limit(10);
    let after = after.order_by_asc(Column::Stamp).order_by_asc(Column::Position);
    for (filter, index) in [
        (Column::SubjectId.eq(middle.subject_id), "ix_events_subject"),
        (Column::UserId.eq(middle.user_id), "ix_events_user"),
    ] {
        let conn = explained();
        assert_eq!(after.clone().filter(filter).all(&conn).await.unwrap().len(), 1);
        check(conn, index);
    }
}

/// The statement of the manual that makes all cursors invalid, as for a restore that the server cannot recognize.
const RENEW: [(DbBackend, &str); 2] = [
    (DbBackend::Postgres, "UPDATE event_log SET epoch = hashtextextended(gen_random_uuid()::text, 0)"),
    (DbBackend::Sqlite, "UPDATE event_log SET epoch = random()"),
];

async fn renew(db: &Db) {
    let (_, sql) = RENEW.into_iter().find(|(backend, _)| *backend == db.backend()).unwrap();
    assert!(include_str!("../../../../deploy/README.md").contains(sql));
    db.schema().execute_unprepared(sql).await.unwrap();
}

/// The epoch can be renewed by hand, and stays as it is otherwise.
#[both_databases]
async fn an_epoch_is_renewed_by_hand(library: &Library) {
    let db = &library.db;
    let epoch = async || events::epoch(db.reader()).await.unwrap();
    events::adopt(db).await.unwrap();
    let before = epoch().await;
    append(db, [event(Uuid::from_u128(1))]).await;
    assert!(!events::adopt(db).await.unwrap());
    assert_eq!(epoch().await, before);
    renew(db).await;
    assert_ne!(epoch().await, before);
}

/// The URL of another database on the same server.
async fn beside(library: &Library, name: &str, template: &str) -> DbOptions {
    let (server, here) = library.url.rsplit_once('/').unwrap();
    let sql = format!("CREATE DATABASE {here}_{name} TEMPLATE {template}");
    library.db.schema().execute_unprepared(&sql).await.unwrap();
    DbOptions::new(&format!("{server}/{here}_{name}")).unwrap()
}

/// A log that was moved to another database begins afresh there, once: its stamps mean nothing to that server. A table that
/// was restored in its place is recognized as well.
#[both_databases]
async fn a_log_that_was_moved_begins_afresh(library: &Library) {
    if library.db.backend() == DbBackend::Sqlite {
        return; // Its stamps are the same everywhere.
    }
    let former = Db::open(&beside(library, "former", "template1").await).await.unwrap();
    Migrator::up(former.schema(), None).await.unwrap();
    assert!(!events::adopt(&former).await.unwrap());
    append(&former, [event(Uuid::from_u128(1))]).await;
    let epoch = events::epoch(former.reader()).await.unwrap();
    assert!(!events::adopt(&former).await.unwrap());
    assert_eq!(all(&former).await.len(), 1);
    // As if from a server that has seen more transactions.
    former.schema().execute_unprepared("UPDATE events SET stamp = stamp + 1000000000").await.unwrap();
    former.close().await.unwrap();

    let here = library.url.rsplit_once('/').unwrap().1;
    let options = beside(library, "moved", &format!("{here}_former")).await;
    let (moved, other) = tokio::join!(Db::open(&options), Db::open(&options));
    let (moved, other) = (moved.unwrap(), other.unwrap());
    let (one, two) = tokio::join!(events::adopt(&moved), events::adopt(&other));
    assert!(one.unwrap() != two.unwrap());
    assert!(all(&moved).await.is_empty());
    assert_eq!(events::floor(moved.reader()).await.unwrap(), Position::default());
    let moved_epoch = events::epoch(moved.reader()).await.unwrap();
    assert_ne!(moved_epoch, epoch);
    append(&moved, [event(Uuid::from_u128(1))]).await;
    settled(&moved).await;
    let batch = events::read(moved.reader(), Position::default(), 10).await.unwrap();
    assert_eq!(batch.events.len(), 1);

    let restore =
        "CREATE TABLE copy (LIKE event_log INCLUDING ALL); INSERT INTO copy SELECT * FROM event_log;
        DROP TABLE event_log; ALTER TABLE copy RENAME TO event_log";
    moved.schema().execute_unprepared(restore).await.unwrap();
    assert_ne!(events::epoch(moved.reader()).await.unwrap(), moved_epoch);
    assert!(events::adopt(&moved).await.unwrap());
    for db in [moved, other] {
        db.close().await.unwrap();
    }
}

/// Where the role may not ask which server it is, the stored epoch is what counts, and nothing is emptied.
#[both_databases]
async fn a_server_that_does_not_tell_has_the_stored_epoch(library: &Library) {
    if library.db.backend() == DbBackend::Sqlite {
        return; // It is a file.
    }
    let schema = library.db.schema();
    let here = library.url.rsplit_once('/').unwrap().1;
    for sql in [
        "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC",
        &format!("CREATE ROLE {here}_guest LOGIN PASSWORD 'guest'"),
        &format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {here}_guest"),
        &format!("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {here}_guest"),
    ] {
        schema.execute_unprepared(sql).await.unwrap();
    }
    let (_, address) = library.url.split_once('@').unwrap();
    let url = format!("postgres://{here}_guest:guest@{address}");
    let guest = Db::open(&DbOptions::new(&url).unwrap()).await.unwrap();
    append(&guest, [event(Uuid::from_u128(1))]).await;
    let stored = "SELECT epoch FROM event_log".to_owned();
    let stored = schema.query_one_raw(Statement::from_string(DbBackend::Postgres, stored)).await.unwrap();
    let stored: i64 = stored.unwrap().try_get("", "epoch").unwrap();
    assert_eq!(events::epoch(guest.reader()).await.unwrap().to_bytes(), stored.to_be_bytes());
    assert!(!events::adopt(&guest).await.unwrap());
    assert_eq!(all(&guest).await.len(), 1);
    renew(&library.db).await;
    assert_ne!(events::epoch(guest.reader()).await.unwrap().to_bytes(), stored.to_be_bytes());
    guest.close().await.unwrap();
}

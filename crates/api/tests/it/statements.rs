//! Which tables and keys each statement touches, as PostgreSQL counts them (`pg_stat_statements`), also those inside of
//! functions. A database that is divided by thread or by user can run a statement in one place only if it names one.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use api::{app::create_app, migrations::Migrator};
use groundwork_core::{
    Db, DbOptions,
    sea_orm::{ConnectionTrait, DbBackend, Statement},
};
use groundwork_testkit::{Client, TestServer, postgres::OwnServer};
use messenger_domain::messages::housekeeping;
use sea_orm_migration::MigratorTrait;
use serde_json::{Value, json};

use crate::support::{Talks, live, messenger};

/// The tables that grow with the messages, which would be divided.
const DIVIDED: [&str; 6] =
    ["events", "first_receipts", "messages", "receipts", "recent_threads", "users_and_threads"];
const BY_THREAD: [&str; 2] = ["thread_id", "subject_id"];
const BY_USER: [&str; 3] = ["user_id", "sender_id", "receiver_id"];

/// The statements that touch a divided table without a thread or a user: the tables, and why that is so.
const EVERYWHERE: [(&str, &str); 7] = [
    (
        "event_log, events",
        "the tail and cursors read the log as a whole; a divided log has a tail for each part",
    ),
    ("events", "the begin of the log is removed, in each part by itself"),
    (
        "messages",
        "a message is addressed by its id alone; the thread has to be looked up first, or be part of the id",
    ),
    ("first_receipts, messages", "as above"),
    ("receipts", "old receipts are found to be folded, in each part by itself"),
    ("receipts, threads", "receipts of deleted threads are removed, in each part by itself"),
    ("first_receipts, threads", "as above"),
];

/// What a statement touches.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Touched {
    class: &'static str,
    tables: String,
    verb: String,
    keys: String,
}

impl Touched {
    /// Reads the tables after FROM, JOIN, INTO and UPDATE, and the columns that are compared with a parameter, or inserted.
    fn of(sql: &str, all_tables: &BTreeSet<String>) -> Option<Self> {
        let words = words(sql);
        let word = |index: usize| words.get(index).map_or("", String::as_str);
        let mut tables = BTreeSet::new();
        let mut keys = BTreeSet::new();
        for index in 0..words.len() {
            let before = index.checked_sub(1).map_or("", word).to_uppercase();
            if ["FROM", "JOIN", "INTO", "UPDATE", ","].contains(&before.as_str())
                && all_tables.contains(word(index))
            {
                tables.insert(word(index));
            }
            let is_given = |index: usize| is_given(&words[index.min(words.len())..]);
            if is_given(index + 1) {
                keys.insert(word(index));
            }
            // A row of columns: (thread_id, seq) IN (…), and what INSERT gives.
            let inserted = word(0) == "INSERT" && index == 3;
            if word(index) == "(" {
                let end = (index..words.len()).find(|end| word(*end) == ")").unwrap_or(index);
                if inserted || is_given(end + 1) {
                    keys.extend((index..end).map(word));
                }
            }
        }
        let tables: Vec<_> = tables.into_iter().collect();
        if tables.is_empty() {
            return None;
        }
        let is_key = |key: &&str| {
            key.ends_with("_id") || ["id", "username", "email", "direct_key", "key"].contains(key)
        };
        let keys: Vec<_> = keys.into_iter().filter(is_key).collect();
        let has = |names: &[&str]| keys.iter().any(|key| names.contains(key));
        let class = match tables.iter().any(|table| DIVIDED.contains(table)) {
            true if has(&BY_THREAD) => "thread",
            true if has(&BY_USER) => "user",
            true => "everywhere",
            false => "beside",
        };
        let verb = word(0).to_uppercase();
        Some(Self { class, tables: tables.join(", "), verb, keys: keys.join(", ") })
    }
}

/// Whether these words compare for being equal with a parameter, or with a variable of a function.
fn is_given(words: &[String]) -> bool {
    let mut words = words.iter().map(String::as_str);
    if !words.next().is_some_and(|word| ["=", "IN"].contains(&word.to_uppercase().as_str())) {
        return false;
    }
    let other = words.find(|word| !["(", "ANY"].contains(word));
    other.is_some_and(|word| ["$", "p_", "v_"].iter().any(|start| word.starts_with(start)))
}

/// The words of a statement: names without quotes and without the table before them, and single signs.
fn words(sql: &str) -> Vec<String> {
    let mut spaced = String::new();
    for sign in sql.replace('"', "").chars() {
        match sign {
            '(' | ')' | ',' | '=' => {
                let _ = write!(spaced, " {sign} ");
            }
            sign => spaced.push(sign),
        }
    }
    let last = |word: &str| match word {
        "threads.id" | "t.id" => "thread_id".to_owned(),
        word => word.rsplit('.').next().unwrap_or_default().to_owned(),
    };
    spaced.split_whitespace().map(last).collect()
}

/// What clients do: accounts, groups, messages, receipts, lists. Their names end with `suffix`.
pub async fn use_it(client: Client, suffix: &str) {
    let [ada, bob, carl] = ["ada", "bob", "carl"].map(|name| format!("{name}{suffix}"));
    let (bob, carl) = (client.register(&bob).await, client.register(&carl).await);
    client.register(&ada).await;
    let ada = client.login(&ada).await;
    let sent = ada.writes_to(&bob, "hello").await;
    let second = ada.writes_to(&bob, "and again").await;
    let group = ada.starts_group("Engines", &[&bob]).await;
    ada.adds(&group, &carl).await.expect(200);
    let said = carl.says(&group, "hi").await;
    let nothing = Value::Null;
    let thread = format!("/api/v1/threads/{group}");
    ada.patch(&thread, &json!({"name": "Analytical Engines"})).await.expect(200);
    carl.patch(&format!("/api/v1/messages/{}", said.id), &json!({"text": "hi all"})).await.expect(200);
    bob.post(&format!("/api/v1/messages/{}/delivered", sent.id), &nothing).await.expect(200);
    bob.post(&format!("/api/v1/messages/{}/read", sent.id), &nothing).await.expect(200);
    ada.delete(&format!("/api/v1/messages/{}", second.id)).await.expect(204);
    for path in [
        "/api/v1/users/me".to_owned(),
        "/api/v1/users/search?q=ad".to_owned(),
        "/api/v1/threads".to_owned(),
        "/api/v1/messages/inbox".to_owned(),
        "/api/v1/messages/inbox?unread_only=true".to_owned(),
        "/api/v1/messages/outbox".to_owned(),
        "/api/v1/sync".to_owned(),
        format!("/api/v1/users?ids={}", ada.id()),
        format!("/api/v1/users/presence?ids={}", ada.id()),
        format!("/api/v1/messages/{}", sent.id),
        format!("/api/v1/messages/{}/context", sent.id),
        format!("/api/v1/messages/{}/receipts", sent.id),
        format!("{thread}/messages?limit=20"),
        format!("{thread}/participants"),
        format!("{thread}/changes?since=0"),
        thread.clone(),
    ] {
        let answer = bob.get(&path).await;
        assert!(answer.status < 300, "{path}: {}", answer.body);
    }
    ada.removes(&thread[thread.len() - 36..], &carl).await.expect(200);
    ada.delete(&thread).await.expect(204);
    bob.post("/api/v1/auth/logout", &nothing).await;
}

#[actix_web::test]
async fn every_statement_names_a_thread_or_a_user() {
    let parameters =
        [("shared_preload_libraries", "pg_stat_statements"), ("pg_stat_statements.track", "all")];
    let Some(server) = OwnServer::start_with(&parameters).await else { return };
    let db = Db::open(&DbOptions::new(&server.url).unwrap()).await.unwrap();
    Migrator::up(db.schema(), None).await.unwrap();
    db.schema().execute_unprepared("CREATE EXTENSION pg_stat_statements").await.unwrap();
    let all = "SELECT tablename::text AS text FROM pg_tables WHERE schemaname = 'public'";
    // The server ends with the threads of its connections.
    let asking = Db::open(&DbOptions::new(&server.url).unwrap()).await.unwrap();
    let all_tables: BTreeSet<_> = texts(&asking, all).await.into_iter().collect();
    db.schema().execute_unprepared("SELECT pg_stat_statements_reset()").await.unwrap();

    let messenger = messenger(db.clone(), &[]);
    let delivery = messenger.realtime().start();
    let app = TestServer::start(move || create_app(&messenger));
    live(&app).await;
    use_it(app.client(), "").await;
    let changed_together = texts(&asking, CHANGED_TOGETHER).await;
    assert!(changed_together.is_empty(), "one transaction changed several threads: {changed_together:?}");
    // What is done only sometimes: a message in a later minute than the one before, and messages that are sent together.
    let (dora, eve) = (app.client().register("dora").await, app.client().register("eve").await);
    dora.writes_to(&eve, "hello").await;
    for sql in [LATER, LATER_IN_LISTS, TOGETHER] {
        asking.schema().execute_unprepared(sql).await.unwrap();
    }
    dora.writes_to(&eve, "and later").await;
    housekeeping::sweep(&asking, std::time::Duration::ZERO).await.unwrap();
    groundwork_core::events::prune(&asking, asking.now()).await.unwrap();
    drop(delivery);
    app.stop().await;

    let statements = texts(&asking, "SELECT query AS text FROM pg_stat_statements").await;
    let mut touched: BTreeMap<Touched, String> = BTreeMap::new();
    for sql in statements {
        if let Some(found) = Touched::of(&sql, &all_tables).filter(|_| !sql.contains("/* test */")) {
            touched.insert(found, sql);
        }
    }
    let is_known = |found: &Touched| EVERYWHERE.iter().any(|(tables, _)| *tables == found.tables);
    let unknown = touched.iter().filter(|(found, _)| found.class == "everywhere" && !is_known(found));
    let unknown: Vec<_> = unknown.collect();
    assert!(unknown.is_empty(), "they name neither a thread nor a user: {unknown:#?}");
    let mut lines = String::new();
    for Touched { class, tables, verb, keys } in touched.keys() {
        let _ = writeln!(lines, "{class:10} | {verb:6} | {tables} | {keys}");
    }
    insta::assert_snapshot!(lines);
    asking.close().await.unwrap();
}

/// Moves the last activity of all threads back, as if it had been minutes ago.
const LATER: &str = "UPDATE /* test */ threads SET recent_minute = recent_minute - 5";
const LATER_IN_LISTS: &str = "UPDATE /* test */ recent_threads SET minute = minute - 5";

/// Sends a message into no thread, in the two ways of a batch.
const TOGETHER: &str = "SELECT (send_messages(
        now()::timestamp, now()::timestamp, waits, ARRAY[gen_random_uuid()], ARRAY[gen_random_uuid()],
        ARRAY[gen_random_uuid()], '{hello}', '{\"\"}', '{\"\"}', '{\"\"}'
    )).outcome FROM (VALUES (false), (true)) AS ways (waits)";

/// The transactions that changed more than one thread. A row has the transaction that wrote it last.
const CHANGED_TOGETHER: &str = "
    SELECT /* test */ string_agg(DISTINCT tables, ', ') AS text FROM (
        SELECT xmin::text AS tx, id AS thread_id, 'threads' AS tables FROM threads
        UNION SELECT xmin::text, thread_id, 'messages' FROM messages
        UNION SELECT xmin::text, thread_id, 'users_and_threads' FROM users_and_threads
        UNION SELECT xmin::text, thread_id, 'recent_threads' FROM recent_threads
        UNION SELECT xmin::text, thread_id, 'receipts' FROM receipts
        UNION SELECT xmin::text, subject_id, 'events' FROM events WHERE subject_kind = 'thread'
    ) AS changed GROUP BY tx HAVING count(DISTINCT thread_id) > 1";

async fn texts(db: &Db, sql: &str) -> Vec<String> {
    let rows = db.reader().query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap();
    rows.iter().map(|row| row.try_get("", "text").unwrap()).collect()
}

#[test]
fn a_statement_is_read_with_its_tables_and_keys() {
    let all = ["messages", "threads", "users"].map(str::to_owned).into();
    let read = |sql| {
        let Touched { class, tables, keys, .. } = Touched::of(sql, &all).unwrap();
        (class, tables, keys)
    };
    let direct =
        r#"SELECT "messages"."text" FROM "messages" WHERE "messages"."thread_id" = $1 AND "seq" > $2"#;
    assert_eq!(read(direct), ("thread", "messages".to_owned(), "thread_id".to_owned()));
    let row = "UPDATE messages SET text = $1 WHERE (thread_id, seq) IN (($2, $3))";
    assert_eq!(read(row), ("thread", "messages".to_owned(), "thread_id".to_owned()));
    assert_eq!(read("INSERT INTO messages (id, thread_id) VALUES ($1, $2)").0, "thread");
    assert_eq!(read("SELECT thread_id FROM messages JOIN users ON users.id = $1").0, "everywhere");
    assert_eq!(read("SELECT * FROM users WHERE username = $1").0, "beside");
}

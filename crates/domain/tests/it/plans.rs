//! How PostgreSQL runs the statements of the routes that read, with the statistics of large tables.

use groundwork_auth::Caller;
use groundwork_core::{
    CursorRequest, ListQuery, PageRequest, Timestamp, Tx, Uuid,
    events::{self, Position, feed::Span},
};
use groundwork_testkit::{
    Backend,
    explain::{Explain, Plan, pretend_large},
    run,
};
use messenger_domain::{
    Messages, MessengerFeed, Threads, Users,
    messages::{Direction, NewText, ReceiptKind, ThreadQuery},
    scopes,
    threads::{NewThread, ThreadType},
};

use sea_orm::ConnectionTrait;

use crate::people::{Store, person};

const LARGE: [(&str, u64); 9] = [
    ("users", 1_000_000),
    ("threads", 500_000),
    ("users_and_threads", 1_000_000),
    ("recent_threads", 1_000_000),
    ("messages", 10_000_000),
    ("receipts", 10_000_000),
    ("first_receipts", 10_000_000),
    ("events", 10_000_000),
    ("sessions", 1_000_000),
];

/// What a statement may take.
#[derive(Clone, Copy)]
struct Allowed {
    /// The rows of a sort.
    sort: u64,
    /// The cost of the whole statement.
    cost: f64,
}

/// The rows of the largest page, and some more that PostgreSQL expects by mistake. To read all messages by an index would
/// cost more than 100,000.
const PAGE: Allowed = Allowed { sort: 250, cost: 60_000.0 };
/// A page of threads and all large threads of the user, or the users who have a word.
const MERGED: Allowed = Allowed { sort: 2500, cost: 60_000.0 };
/// What looks at each thread of the user, or at each participant of a thread, and reads a page of it. It scans no table
/// either.
const EACH: Allowed = Allowed { sort: 250_000, cost: f64::MAX };

/// The threads of a user, with others.
struct Stage {
    ada: Caller,
    charles: Caller,
    direct: Uuid,
    small: Uuid,
    large: Uuid,
}

impl Stage {
    /// Enough rows to have statistics, and not more.
    async fn new(store: &Store) -> Self {
        let (ada, charles) = (person(store, "ada").await, person(store, "charles").await);
        let mut others = Vec::new();
        for index in 0..60 {
            others.push(person(store, &format!("person{index}")).await);
        }
        for other in &others[..15] {
            thread(store, ThreadType::Direct, &[other, &charles]).await;
        }
        let everybody: Vec<&Caller> = [&ada, &charles].into_iter().chain(&others).collect();
        Self {
            direct: thread(store, ThreadType::Direct, &everybody[..2]).await,
            small: thread(store, ThreadType::Group, &everybody[..9]).await,
            large: thread(store, ThreadType::Group, &everybody).await,
            ada,
            charles,
        }
    }

    /// Copies the direct thread for others, so that the threads of the stage are a small part of all.
    async fn copy(&self, tx: &Tx) {
        let Self { ada, charles, direct, .. } = self;
        let (ada, charles) = (ada.user_id, charles.user_id);
        let user = |column: &str| format!("'{column}', md5(r.{column}::text || n)::uuid");
        let thread = "'thread_id', md5('thread' || n)::uuid".to_owned();
        let in_thread = format!("r.thread_id = '{direct}'");
        let message = [user("id"), thread.clone(), user("sender_id"), user("receiver_id")];
        let participant = [thread, user("user_id")];
        let copies: [(&str, String, String); 8] = [
            (
                "users",
                format!("{}, 'username', r.username || n, 'email', NULL", user("id")),
                format!("r.id IN ('{ada}', '{charles}')"),
            ),
            (
                "threads",
                "'id', md5('thread' || n)::uuid, 'direct_key', n".to_owned(),
                format!("r.id = '{direct}'"),
            ),
            ("users_and_threads", participant.join(", "), in_thread.clone()),
            ("recent_threads", participant.join(", "), in_thread.clone()),
            ("messages", message.join(", "), in_thread.clone()),
            ("receipts", participant.join(", "), in_thread.clone()),
            ("first_receipts", participant.join(", "), in_thread),
            (
                "events",
                format!(
                    "{}, 'position', r.position + 100000 * n, 'subject_id', md5('thread' || n)::uuid",
                    user("user_id")
                ),
                format!("r.subject_id = '{direct}'"),
            ),
        ];
        for (table, changed, of_stage) in copies {
            let sql = format!(
                "INSERT INTO {table} SELECT (jsonb_populate_record(r, jsonb_build_object({changed}))).*
                 FROM {table} r, generate_series(1, {COPIES}) n WHERE {of_stage}"
            );
            tx.execute_unprepared(&sql).await.unwrap();
        }
    }
}

/// So many that all rows are read for the statistics.
const COPIES: u32 = 400;

/// A thread in which the first two participants talk.
async fn thread(store: &Store, kind: ThreadType, people: &[&Caller]) -> Uuid {
    let new = NewThread {
        kind,
        name: (kind == ThreadType::Group).then(|| "Engines".into()),
        participant_ids: people[1..].iter().map(|other| other.user_id).collect(),
        history: None,
    };
    let write = async |tx: &_| {
        let (messages, (thread, _)) =
            (Messages::default(), Threads::default().start(tx, people[0], new).await?);
        for index in 0..40 {
            let (sender, other) = (people[index % 2], people[(index + 1) % 2]);
            let text = NewText { text: format!("message {index}").into() };
            let sent = messages.send(tx, sender, thread, text, None).await?;
            if index < 20 {
                messages.advance(tx, other, sent.id, ReceiptKind::Read).await?;
            }
            if index % 10 == 9 {
                messages.delete(tx, sender, sent.id).await.ok();
            }
        }
        Ok::<_, groundwork_core::Error>(thread)
    };
    store.db.write(write).await.unwrap()
}

/// What is wrong with the plans of the statements since the last call.
fn problems(route: &str, conn: &Explain<'_, Tx>) -> Vec<String> {
    problems_beyond(PAGE, route, conn)
}

fn problems_beyond(allowed: Allowed, route: &str, conn: &Explain<'_, Tx>) -> Vec<String> {
    let plans = conn.take();
    assert!(!plans.is_empty(), "{route} reads nothing");
    let problem = |plan: Plan| {
        let is_large = |table: &&str| LARGE.iter().any(|(large, _)| large == table);
        let scanned: Vec<&str> = plan.scanned_whole().into_iter().filter(is_large).collect();
        let is_good = scanned.is_empty() && plan.sorted() <= allowed.sort && plan.cost() <= allowed.cost;
        let (sorted, cost, lines) = (plan.sorted(), plan.cost(), plan.lines.join("\n"));
        (!is_good).then(|| {
            format!("{route} scans {scanned:?}, sorts {sorted}, costs {cost}:\n{}\n{lines}\n", plan.sql)
        })
    };
    plans.into_iter().filter_map(problem).collect()
}

/// No route reads a large table as a whole, and none sorts more than a page.
#[test]
fn pages_are_read_from_indexes() {
    run::<Store>(Backend::Postgres, async |store| {
        let stage = Stage::new(store).await;
        let tx = store.db.begin().await.unwrap();
        stage.copy(&tx).await;
        pretend_large(&tx, &LARGE).await.unwrap();
        let conn = &Explain::new(&tx);
        let mut found = Vec::new();
        found.extend(in_threads(conn, &stage).await);
        found.extend(lists_of_threads(conn, &stage).await);
        found.extend(mailboxes(conn, &stage).await);
        found.extend(people(conn, &stage).await);
        found.extend(log(conn, &stage).await);
        tx.rollback().await.unwrap();
        assert!(found.is_empty(), "{}", found.join("\n"));
    });
}

async fn in_threads(conn: &Explain<'_, Tx>, stage: &Stage) -> Vec<String> {
    let Stage { ada, charles, .. } = stage;
    let (messages, threads) = (Messages::default(), Threads::default());
    let (page, cursor) = (PageRequest::default(), CursorRequest::first(20));
    let mut found = Vec::new();
    for thread in [stage.direct, stage.small, stage.large] {
        for direction in [Direction::Descending, Direction::Ascending] {
            for after in [None, Some(15)] {
                let wanted = ThreadQuery { direction, after, ..ThreadQuery::default() };
                let first = messages.list(conn, ada, thread, &wanted, &cursor).await.unwrap();
                found.extend(problems("list of messages", conn));
                for cursor in [first.next_cursor, first.prev_cursor].into_iter().flatten() {
                    let next = CursorRequest { limit: 20, cursor: Some(cursor) };
                    messages.list(conn, ada, thread, &wanted, &next).await.unwrap();
                    found.extend(problems("further list of messages", conn));
                }
            }
        }
        let list = messages.list(conn, ada, thread, &ThreadQuery::default(), &cursor).await.unwrap();
        let message = list.items[3].id;
        messages.context(conn, ada, message, (25, 25), Direction::Descending).await.unwrap();
        messages.get(conn, ada, message).await.unwrap();
        found.extend(problems("message", conn));
        messages.receipts(conn, ada, message, page).await.unwrap();
        found.extend(problems_beyond(EACH, "receipts of a message", conn));
        for since in [0, 30] {
            messages.changes(conn, ada, thread, since, 50).await.unwrap();
            found.extend(problems("changes", conn));
        }
        threads.get(conn, ada, thread).await.unwrap();
        threads.participants(conn, ada, thread, page).await.unwrap();
        threads.participant(conn, ada, thread, charles.user_id).await.unwrap();
        found.extend(problems("thread", conn));
    }
    found
}

async fn lists_of_threads(conn: &Explain<'_, Tx>, Stage { ada, charles, .. }: &Stage) -> Vec<String> {
    let mut found = Vec::new();
    for caller in [ada, charles] {
        let mut request = CursorRequest::first(2);
        for _ in 0..2 {
            let list = Threads::default().list(conn, caller, &ListQuery::default(), &request).await.unwrap();
            request.cursor = list.next_cursor;
            found.extend(problems_beyond(MERGED, "list of threads", conn));
        }
        assert!(Threads::default().unread_total(conn, caller.user_id).await.unwrap() > 0);
        found.extend(problems_beyond(EACH, "unread total", conn));
    }
    found
}

async fn mailboxes(conn: &Explain<'_, Tx>, Stage { ada, charles, .. }: &Stage) -> Vec<String> {
    let (messages, query) = (Messages::default(), ListQuery::default());
    let mut found = Vec::new();
    for caller in [ada, charles] {
        for page in [1, 3] {
            let page = PageRequest { page, size: 5 };
            messages.inbox(conn, caller, None, &query, page).await.unwrap();
            found.extend(problems("inbox", conn));
            for unread_only in [true, false] {
                messages.inbox(conn, caller, Some(unread_only), &query, page).await.unwrap();
                found.extend(problems_beyond(EACH, &format!("inbox, unread {unread_only}"), conn));
            }
            messages.outbox(conn, caller, &query, page).await.unwrap();
            found.extend(problems("outbox", conn));
        }
        // As if there were many unread messages.
        conn.execute_unprepared("UPDATE threads SET last_seq = last_seq + 50000").await.unwrap();
        for query in [ListQuery::default(), ListQuery::parse([("text__ilike", "engine")]).unwrap()] {
            for (page, unread_only) in [(1, false), (3, false), (1, true), (3, true)] {
                let page = PageRequest { page, size: 5 };
                messages.inbox(conn, caller, Some(unread_only), &query, page).await.unwrap();
                found.extend(problems_beyond(EACH, "inbox with many unread messages", conn));
            }
        }
        conn.execute_unprepared("UPDATE threads SET last_seq = last_seq - 50000").await.unwrap();
        let mut request = CursorRequest::first(5);
        for _ in 0..2 {
            let list = messages.list_direct(conn, caller, None, Timestamp::MIN, &request).await.unwrap();
            request.cursor = list.next_cursor;
            found.extend(problems("direct messages", conn));
        }
    }
    found
}

async fn people(conn: &Explain<'_, Tx>, Stage { ada, charles, .. }: &Stage) -> Vec<String> {
    let (users, page) = (Users::default(), PageRequest::default());
    let mut found = Vec::new();
    let both = [ada.user_id, charles.user_id];
    users.get(conn, ada.user_id).await.unwrap();
    users.get_many(conn, &both).await.unwrap();
    users.find_by_login(conn, "ada").await.unwrap();
    users.presence(conn, ada, &both).await.unwrap();
    found.extend(problems("users", conn));
    for text in ["harle", "ada", "person4 person", "nobody"] {
        users.search(conn, text, page).await.unwrap();
        found.extend(problems_beyond(MERGED, "search of users", conn));
    }
    for include_deleted in [false, true] {
        users.list(conn, &ListQuery::default(), page, include_deleted).await.unwrap();
        found.extend(problems("list of users", conn));
    }
    found
}

/// What a client gets that was away for a moment, and one that was away for long.
async fn log(conn: &Explain<'_, Tx>, Stage { ada, charles, .. }: &Stage) -> Vec<String> {
    let until = Position { stamp: i64::MAX, number: i64::MAX };
    let span = Span { after: Position::default(), until };
    let mut found = Vec::new();
    for caller in [ada, charles] {
        for scanned in [1000, 1] {
            let feed = MessengerFeed::new(scopes::groups()).scanning(scanned);
            assert!(feed.missed(conn, caller.user_id, span, 50).await.unwrap().len() > 1);
            found.extend(problems_beyond(EACH, "missed events", conn));
        }
    }
    found
}

/// PostgreSQL expects none of the events that came after it collected statistics. It still does not read all of them for those
/// that concern one user.
#[test]
fn new_events_of_a_user_are_read_from_their_index() {
    run::<Store>(Backend::Postgres, async |store| {
        let (ada, charles, bea) =
            (person(store, "ada").await, person(store, "charles").await, person(store, "bea").await);
        thread(store, ThreadType::Group, &[&charles, &bea]).await;
        let tx = store.db.begin().await.unwrap();
        tx.execute_unprepared("ANALYZE").await.unwrap();
        tx.commit().await.unwrap();
        let after = events::horizon(store.db.reader()).await.unwrap();
        for people in [[&charles, &bea], [&bea, &charles], [&ada, &charles]] {
            thread(store, ThreadType::Group, &people).await;
        }
        let tx = store.db.begin().await.unwrap();
        tx.execute_unprepared("SET LOCAL enable_seqscan = off").await.unwrap();
        let conn = &Explain::new(&tx);
        let span = Span { after, until: Position { stamp: i64::MAX, number: i64::MAX } };
        let feed = MessengerFeed::new(scopes::groups()).scanning(10);
        assert!(feed.missed(conn, ada.user_id, span, 50).await.unwrap().len() > 1);
        let plans: Vec<String> = conn.take().into_iter().map(|plan| plan.lines.join("\n")).collect();
        // The first statement reads ten events in their order.
        assert_eq!(plans.join("\n").matches("ix_events_order").count(), 1, "{}", plans.join("\n"));
        tx.rollback().await.unwrap();
    });
}

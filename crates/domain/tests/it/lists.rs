//! Lists without filters are read by cached statements. They give what the same lists give with filters that match
//! everything, whose statements are built.

use std::time::Duration;

use groundwork_auth::Caller;
use groundwork_core::{CursorRequest, ListQuery, PageRequest, Uuid};
use groundwork_testkit::both_databases;
use messenger_domain::{
    Messages, Threads,
    messages::{Direction, Message, MessageList, NewText, ReceiptKind, ThreadQuery, entity::Entity},
    threads::{NewThread, ParticipantsPatch, ThreadType},
};

use sea_orm::ConnectionTrait;

use crate::people::{Store, person};

/// A filter that every message matches.
fn everything() -> ListQuery<Entity> {
    ListQuery::parse([("seq__gte", "0")]).unwrap()
}

async fn send(store: &Store, sender: &Caller, thread: Uuid, count: usize) {
    for index in 0..count {
        let text = NewText { text: format!("message {index}").into() };
        let send = async |tx: &_| {
            let sent = Messages::default().send(tx, sender, thread, text, None).await?;
            if index % 5 == 4 {
                Messages::default().delete(tx, sender, sent.id).await?;
            }
            Ok::<_, groundwork_core::Error>(())
        };
        store.db.write(send).await.unwrap();
    }
}

async fn thread(store: &Store, kind: ThreadType, owner: &Caller, other: &Caller) -> Uuid {
    let new = NewThread {
        kind,
        name: (kind == ThreadType::Group).then(|| "Engines".into()),
        participant_ids: vec![other.user_id],
        history: None,
    };
    store.db.write(async |tx| Threads::default().start(tx, owner, new).await).await.unwrap().0
}

async fn read(store: &Store, reader: &Caller, thread: Uuid, seq: i64) {
    let read = async |tx: &_| {
        Messages::default().advance_thread(tx, reader, thread, ReceiptKind::Read, Some(seq)).await
    };
    store.db.write(read).await.unwrap();
}

/// All pages of a list from its beginning to its end, and back to its beginning.
async fn walk(store: &Store, caller: &Caller, thread: Uuid, wanted: &ThreadQuery) -> Vec<MessageList> {
    let mut pages = Vec::new();
    let (mut cursor, mut forward) = (None, true);
    for _ in 0..20 {
        let request = CursorRequest { limit: 3, cursor };
        let page =
            Messages::default().list(store.db.reader(), caller, thread, wanted, &request).await.unwrap();
        forward = forward && page.next_cursor.is_some();
        cursor = if forward { page.next_cursor.clone() } else { page.prev_cursor.clone() };
        pages.push(page);
        if cursor.is_none() {
            break;
        }
    }
    pages
}

#[both_databases]
async fn a_thread_is_listed_alike_with_and_without_filters(store: &Store) {
    let (ada, charles) = (person(store, "ada").await, person(store, "charles").await);
    let grace = person(store, "grace").await;
    let thread = thread(store, ThreadType::Group, &ada, &charles).await;
    send(store, &ada, thread, 6).await;
    let patch = ParticipantsPatch { add: vec![grace.user_id], remove: Vec::new() };
    store
        .db
        .write(async |tx| Threads::default().change_participants(tx, &ada, thread, patch).await)
        .await
        .unwrap();
    send(store, &charles, thread, 7).await;
    read(store, &charles, thread, 4).await;
    read(store, &ada, thread, 9).await;
    for caller in [&ada, &charles, &grace] {
        for direction in [Direction::Descending, Direction::Ascending] {
            for (before, after) in [(None, None), (Some(11), None), (None, Some(2)), (Some(11), Some(2))] {
                let plain = ThreadQuery { query: ListQuery::default(), direction, before, after };
                let filtered = ThreadQuery { query: everything(), ..plain.clone() };
                let (plain, filtered) =
                    (walk(store, caller, thread, &plain).await, walk(store, caller, thread, &filtered).await);
                let shown = |pages: &[MessageList]| serde_json::to_value(pages).unwrap();
                assert!(plain.len() >= 2, "{} pages", plain.len());
                assert_eq!(
                    shown(&plain),
                    shown(&filtered),
                    "{direction:?}, before {before:?}, after {after:?}"
                );
            }
        }
    }
    // Only what was sent after she joined.
    let seen = walk(store, &grace, thread, &ThreadQuery::default()).await;
    assert!(seen.iter().flat_map(|page| &page.items).all(|message| message.seq > 6));
    let stranger = person(store, "alan").await;
    let first = CursorRequest::first(3);
    let refused = Messages::default()
        .list(store.db.reader(), &stranger, thread, &ThreadQuery::default(), &first)
        .await
        .unwrap_err();
    assert_eq!(refused.code().name, "not_found");
}

#[both_databases]
async fn mailboxes_are_alike_with_and_without_filters(store: &Store) {
    let (ada, charles) = (person(store, "ada").await, person(store, "charles").await);
    let direct = thread(store, ThreadType::Direct, &ada, &charles).await;
    let group = thread(store, ThreadType::Group, &ada, &charles).await;
    send(store, &ada, direct, 12).await;
    send(store, &charles, direct, 6).await;
    send(store, &ada, group, 4).await;
    read(store, &charles, direct, 7).await;
    let (messages, reader) = (Messages::default(), store.db.reader());
    for caller in [&ada, &charles] {
        for page in 1..=6 {
            let page = PageRequest { page, size: 4 };
            let plain = messages.inbox(reader, caller, None, &ListQuery::default(), page).await.unwrap();
            let filtered = messages.inbox(reader, caller, None, &everything(), page).await.unwrap();
            assert_eq!(plain, filtered);
            let plain = messages.outbox(reader, caller, &ListQuery::default(), page).await.unwrap();
            let filtered = messages.outbox(reader, caller, &everything(), page).await.unwrap();
            assert_eq!(plain, filtered);
        }
    }
    let beyond = PageRequest { page: 9, size: 4 };
    let beyond = messages.outbox(reader, &ada, &ListQuery::default(), beyond).await.unwrap();
    assert_eq!((beyond.items.len(), beyond.total, beyond.total_is_exact), (0, 14, true));
}

/// The inbox tells the messages that were read from those that were not, however they are found.
#[both_databases]
async fn received_messages_are_read_or_unread(store: &Store) {
    let (ada, charles, grace) =
        (person(store, "ada").await, person(store, "charles").await, person(store, "grace").await);
    let talks = [
        (&charles, thread(store, ThreadType::Direct, &ada, &charles).await, 7),
        (&grace, thread(store, ThreadType::Direct, &ada, &grace).await, 0),
        (&ada, thread(store, ThreadType::Direct, &ada, &ada).await, 3),
    ];
    for _ in 0..4 {
        for (sender, thread, _) in talks {
            store.clock.advance(Duration::from_secs(1));
            send(store, sender, thread, 5).await;
            send(store, &ada, thread, 1).await;
        }
    }
    for (_, thread, seq) in talks {
        read(store, &ada, thread, seq).await;
    }
    let inbox = async |unread_only, query: &ListQuery<Entity>, page| {
        Messages::default().inbox(store.db.reader(), &ada, unread_only, query, page).await.unwrap()
    };
    let all = inbox(None, &ListQuery::default(), PageRequest { page: 1, size: 100 }).await.items;
    let is_read = |message: &Message| {
        talks.iter().any(|(_, thread, seq)| *thread == message.thread_id && message.seq <= *seq)
    };
    let (read, mut unread): (Vec<Message>, Vec<Message>) = all.into_iter().partition(is_read);
    // What she writes to herself is not unread.
    unread.retain(|message| message.sender_id != ada.user_id);
    assert!(unread.len() > 20 && read.len() > 6, "{} and {}", unread.len(), read.len());
    for is_crowded in [false, true] {
        if is_crowded {
            // As if there were many unread messages. Then the read ones are looked for in each thread.
            let sql = "UPDATE threads SET last_seq = last_seq + 50000";
            let tx = store.db.begin().await.unwrap();
            tx.execute_unprepared(sql).await.unwrap();
            tx.commit().await.unwrap();
        }
        for query in [ListQuery::default(), everything()] {
            for (unread_only, expected) in [(true, &unread), (false, &read)] {
                for number in 1..=8 {
                    let page = inbox(Some(unread_only), &query, PageRequest { page: number, size: 5 }).await;
                    let skipped = usize::try_from(number - 1).unwrap() * 5;
                    let expected_items: Vec<_> = expected.iter().skip(skipped).take(5).cloned().collect();
                    assert_eq!(page.items, expected_items, "page {number}, unread {unread_only}");
                    if !(is_crowded && unread_only) {
                        assert_eq!((page.total, page.total_is_exact), (expected.len() as u64, true));
                    }
                }
            }
        }
    }
}

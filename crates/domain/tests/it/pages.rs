//! What a page costs, in rows that PostgreSQL reads for it.

use groundwork_auth::Caller;
use groundwork_core::{CursorRequest, ListQuery, PageRequest, Tx, Uuid};
use groundwork_testkit::{Backend, run};
use messenger_domain::{
    Messages, Threads,
    messages::{NewText, ReceiptKind, ThreadQuery},
    threads::{NewThread, ThreadType},
};
use sea_orm::{ConnectionTrait, Statement};

use crate::people::{Store, person};

const MESSAGES: u64 = 300;
const SIZE: u64 = 10;

/// A transaction that takes the indexes, as the planner does by itself where the tables are large.
async fn indexed(store: &Store) -> Tx {
    let tx = store.db.begin().await.unwrap();
    let switches = ["seqscan", "bitmapscan", "sort", "hashjoin", "mergejoin"];
    for switch in switches {
        tx.execute_unprepared(&format!("SET LOCAL enable_{switch} = off")).await.unwrap();
    }
    tx
}

/// How many rows of `receipts` and `first_receipts` the transaction has read so far.
async fn receipt_rows(tx: &Tx) -> u64 {
    let sql = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint AS rows FROM pg_stat_xact_user_tables \
               WHERE relname IN ('receipts', 'first_receipts')";
    let statement = Statement::from_string(tx.get_database_backend(), sql);
    let row = tx.query_one_raw(statement).await.unwrap().unwrap();
    u64::try_from(row.try_get::<i64>("", "rows").unwrap()).unwrap()
}

/// A thread in which `ada` sent every message, `charles` read half of them one by one, and `ada` all of them.
async fn thread(store: &Store, ada: &Caller, charles: &Caller) -> Uuid {
    let (messages, threads) = (Messages::default(), Threads::default());
    let tx = store.db.begin().await.unwrap();
    let new = NewThread {
        kind: ThreadType::Group,
        name: Some("Engines".into()),
        participant_ids: vec![charles.user_id],
        history: None,
    };
    let (thread, _) = threads.start(&tx, ada, new).await.unwrap();
    for index in 0..MESSAGES {
        let text = NewText { text: format!("message {index}").into() };
        let sent = messages.send(&tx, ada, thread, text, None).await.unwrap();
        messages.advance_thread(&tx, ada, thread, ReceiptKind::Read, Some(sent.seq)).await.unwrap();
        if index < MESSAGES / 2 {
            messages.advance(&tx, charles, sent.id, ReceiptKind::Read).await.unwrap();
        }
    }
    tx.commit().await.unwrap();
    thread
}

/// A page reads at most four rows of receipts for each of its messages: not those of skipped rows, and not those that
/// don't cover the message.
#[test]
fn a_page_reads_the_receipts_of_its_own_messages() {
    run::<Store>(Backend::Postgres, async |store| {
        let (ada, charles) = (person(store, "ada").await, person(store, "charles").await);
        let thread = thread(store, &ada, &charles).await;
        let messages = Messages::default();
        let page = PageRequest { page: MESSAGES / SIZE - 2, size: SIZE };

        let tx = indexed(store).await;
        let outbox = messages.outbox(&tx, &ada, &ListQuery::default(), page).await.unwrap();
        assert_eq!((outbox.items.len(), outbox.total), (10, MESSAGES));
        assert!(outbox.items[0].is_read);
        let rows = receipt_rows(&tx).await;
        assert!(rows <= 4 * SIZE, "{rows} rows for a page of the outbox");
        tx.rollback().await.unwrap();

        let tx = indexed(store).await;
        let list = messages
            .list(&tx, &ada, thread, &ThreadQuery::default(), &CursorRequest::first(SIZE))
            .await
            .unwrap();
        assert!(!list.items[0].is_read);
        let rows = receipt_rows(&tx).await;
        assert!(rows <= 4 * (SIZE + 1), "{rows} rows for a page of the thread");
        tx.rollback().await.unwrap();

        let tx = indexed(store).await;
        let id = list.items[0].id;
        messages.receipts(&tx, &ada, id, PageRequest::default()).await.unwrap();
        let rows = receipt_rows(&tx).await;
        assert!(rows <= 12, "{rows} rows for the receipts of a message");
    });
}

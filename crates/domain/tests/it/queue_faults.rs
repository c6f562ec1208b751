//! The queue of sends when something goes wrong: a change at the same moment, a message that cannot be written, a connection
//! that is lost.

use std::time::Duration;

use futures::future::{join, join_all};
use groundwork_auth::Caller;
use groundwork_core::{Result, Tx, Uuid, error::codes};
use groundwork_testkit::{Backend, both_databases, run};
use groundwork_web::http::idempotency::LIFETIME;
use messenger_domain::{
    Threads,
    messages::{Message, NewText, SendQueue, entity, queue::Claim},
    threads::{NewThread, ThreadType, audit},
};
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder};

use crate::people::{Store, person};

const TEN: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

struct Stage<'a> {
    store: &'a Store,
    queue: SendQueue,
    ada: Caller,
    charles: Caller,
    thread: Uuid,
}

impl<'a> Stage<'a> {
    /// Two in a group of their own.
    async fn new(store: &'a Store) -> Self {
        let name = |role: &str| format!("{role}-{}", store.db.new_id().simple());
        let (ada, charles) = (person(store, &name("ada")).await, person(store, &name("charles")).await);
        let group = NewThread {
            kind: ThreadType::Group,
            name: Some("Engines".into()),
            participant_ids: vec![charles.user_id],
            history: None,
        };
        let start = async |tx: &Tx| Threads::default().start(tx, &ada, group).await;
        let (thread, _) = store.db.write(start).await.unwrap();
        let queue = SendQueue::new(&store.db, Duration::from_mins(1), LIFETIME);
        Self { store, queue, ada, charles, thread }
    }

    /// Charles sends a message, with the text as its key.
    async fn says(&self, text: &str) -> Result<Option<Message>> {
        let claim = Claim { key: text.to_owned(), request_hash: text.to_owned() };
        let new = NewText { text: text.into() };
        self.queue.send(&self.charles, self.thread, new, Some(text), Some(claim)).await
    }

    /// Sends ten messages at the same time.
    async fn says_ten(&self) -> Vec<Result<Option<Message>>> {
        join_all(TEN.iter().map(|text| self.says(text))).await
    }

    /// Either all were sent, or none because of what happened meanwhile.
    async fn check(&self, sent: Vec<Result<Option<Message>>>, is_refused: bool) {
        for (sent, text) in sent.into_iter().zip(TEN) {
            match sent {
                Ok(sent) => assert!(!is_refused && sent.unwrap().text == text),
                Err(error) => assert!(is_refused && error.code() == codes::NOT_FOUND, "{error}"),
            }
        }
        assert_eq!(self.texts().await.len(), if is_refused { 0 } else { 10 });
    }

    /// The texts of all messages, by `seq`, which has no gaps.
    async fn texts(&self) -> Vec<String> {
        let db = self.store.db.reader();
        assert_eq!(audit::differences(db).await.unwrap(), Vec::<String>::new());
        let messages = entity::Entity::find()
            .filter(entity::Column::ThreadId.eq(self.thread))
            .order_by_asc(entity::Column::Seq)
            .all(db)
            .await
            .unwrap();
        assert!(messages.iter().zip(1..).all(|(message, seq)| message.seq == seq));
        messages.into_iter().map(|message| message.text).collect()
    }
}

/// Ends the transaction when a statement waits for it. On SQLite a send waits for the one connection that writes.
async fn end_when_awaited(tx: Tx, commits: bool) {
    if tx.get_database_backend() == DbBackend::Postgres {
        let blocked = "SELECT 1 FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while tx.execute_unprepared(blocked).await.unwrap().rows_affected() == 0 {
            tx.execute_unprepared("SELECT pg_stat_clear_snapshot()").await.unwrap();
        }
    }
    if commits { tx.commit().await.unwrap() } else { tx.rollback().await.unwrap() }
}

/// What waits while its thread is deleted is not sent. If the deletion is taken back, it is.
#[both_databases]
async fn nothing_is_sent_into_a_thread_that_is_deleted_meanwhile(store: &Store) {
    for commits in [false, true] {
        let stage = Stage::new(store).await;
        let tx = store.db.begin().await.unwrap();
        Threads::default().delete(&tx, &stage.ada, stage.thread).await.unwrap();
        let (sent, ()) = join(stage.says_ten(), end_when_awaited(tx, commits)).await;
        stage.check(sent, commits).await;
    }
}

/// What waits while its sender is removed is not sent. If the removal is taken back, it is.
#[both_databases]
async fn nothing_is_sent_by_somebody_who_is_removed_meanwhile(store: &Store) {
    for commits in [false, true] {
        let stage = Stage::new(store).await;
        let tx = store.db.begin().await.unwrap();
        let charles = stage.charles.user_id;
        Threads::default().remove_participant(&tx, &stage.ada, stage.thread, charles).await.unwrap();
        let (sent, ()) = join(stage.says_ten(), end_when_awaited(tx, commits)).await;
        stage.check(sent, commits).await;
    }
}

/// A message that the database does not take is the only one of its batch that fails, and it leaves no key.
#[both_databases]
async fn a_message_that_fails_takes_no_other_with_it(store: &Store) {
    let stage = Stage::new(store).await;
    let refuses = match store.db.backend() {
        DbBackend::Postgres => "ALTER TABLE messages ADD CONSTRAINT no_seven CHECK (text <> 'seven')",
        _ => {
            "CREATE TRIGGER no_seven BEFORE INSERT ON messages WHEN new.text = 'seven' \
             BEGIN SELECT raise(ABORT, 'no seven'); END"
        }
    };
    store.db.schema().execute_unprepared(refuses).await.unwrap();
    for (sent, text) in stage.says_ten().await.into_iter().zip(TEN) {
        match sent {
            Ok(sent) => assert_eq!(sent.unwrap().text, text),
            Err(error) => assert_eq!((text, error.code()), ("seven", codes::INTERNAL)),
        }
    }
    let texts = stage.texts().await;
    assert_eq!(texts.len(), 9, "{texts:?}");
    let permits = match store.db.backend() {
        DbBackend::Postgres => "ALTER TABLE messages DROP CONSTRAINT no_seven",
        _ => "DROP TRIGGER no_seven",
    };
    store.db.schema().execute_unprepared(permits).await.unwrap();
    assert_eq!(stage.says("seven").await.unwrap().unwrap().seq, 10);
}

/// After a lost connection the outcome is unknown, and nothing is sent again: who sent it is told, and repeats it with its key.
#[test]
fn nothing_is_sent_again_after_a_lost_connection() {
    run::<Store>(Backend::Postgres, async |store| {
        let stage = Stage::new(store).await;
        let tx = store.db.begin().await.unwrap();
        Threads::default().delete(&tx, &stage.ada, stage.thread).await.unwrap();
        let lose = async move {
            let lost = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                        WHERE datname = current_database() AND wait_event_type = 'Lock'";
            while tx.execute_unprepared(lost).await.unwrap().rows_affected() == 0 {
                tx.execute_unprepared("SELECT pg_stat_clear_snapshot()").await.unwrap();
            }
            tx.rollback().await.unwrap();
        };
        let (sent, ()) = join(stage.says_ten(), lose).await;
        let mut expected = Vec::new();
        for (sent, text) in sent.iter().zip(TEN) {
            match sent {
                Ok(_) => expected.push(text),
                Err(error) => assert_eq!(error.code(), codes::UNAVAILABLE),
            }
        }
        assert!(sent[0].is_err(), "the first one was under way");
        let mut texts = stage.texts().await;
        texts.sort_unstable();
        expected.sort_unstable();
        assert_eq!(texts, expected);
        for repeat in stage.says_ten().await {
            repeat.unwrap();
        }
        let mut texts = stage.texts().await;
        let mut all = TEN;
        texts.sort_unstable();
        all.sort_unstable();
        assert_eq!(texts, all);
    });
}

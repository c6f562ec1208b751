//! The queue of sends against the plain path: the same messages by both leave the same rows.

use std::{collections::BTreeMap, fmt::Debug, sync::Arc, time::Duration};

use futures::{StreamExt, future::join_all};
use groundwork_auth::Caller;
use groundwork_core::{
    Db, DbOptions, Error, Result, Tx, Uuid,
    events::{self, feed::Feed},
};
use groundwork_testkit::{Backend, Fixture, both_databases};
use groundwork_web::{
    Idempotent,
    http::idempotency::{LIFETIME, row},
};
use messenger_domain::{
    Messages, MessengerFeed, Threads,
    messages::{NewText, SendQueue, entity, queue::Claim},
    scopes,
    threads::{NewThread, ThreadType, audit, entity as threads, participant},
    users::entity as users,
};
use proptest::{
    prelude::Strategy,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use sea_orm::{ColumnTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder, prelude::Expr};
use serde_json::json;

use crate::people::{Store, person};

const PEOPLE: usize = 4;
const THREADS: usize = 6;
const COURSES: usize = 10;

/// A message to send: who, into which thread, and with which key.
#[derive(Clone, Debug)]
struct Step {
    who: usize,
    thread: usize,
    key: Option<u8>,
}

/// Several rounds of messages that are sent at the same time.
fn rounds() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let key = proptest::option::weighted(0.4, 0..4_u8);
    let step = (0..PEOPLE, 0..=THREADS, key).prop_map(|(who, thread, key)| Step { who, thread, key });
    proptest::collection::vec(proptest::collection::vec(step, 1..12), 6)
}

/// The same people and threads in each database.
struct World<'a> {
    store: &'a Store,
    people: Vec<Caller>,
    /// The last one does not exist.
    threads: Vec<Uuid>,
    messages: Messages,
}

async fn in_tx<T>(store: &Store, work: impl AsyncFnOnce(&Tx) -> Result<T>) -> T {
    store.db.write(work).await.unwrap()
}

impl<'a> World<'a> {
    /// Direct threads with an active and with a deactivated user, a group that somebody was removed from, two ordinary ones,
    /// and one that is deleted.
    async fn new(store: &'a Store) -> Self {
        let mut people = Vec::new();
        for index in 0..PEOPLE {
            people.push(person(store, &format!("person-{index}")).await);
        }
        let rules = Threads::default();
        let group = |name: &str, others: &[usize]| NewThread {
            kind: ThreadType::Group,
            name: Some(name.into()),
            participant_ids: others.iter().map(|who| people[*who].user_id).collect(),
            history: None,
        };
        let threads = in_tx(store, async |tx| {
            let first = &people[0];
            let threads = vec![
                rules.direct(tx, first, people[1].user_id).await?.0.id,
                rules.direct(tx, first, people[3].user_id).await?.0.id,
                rules.start(tx, first, group("without one", &[1, 2])).await?.0,
                rules.start(tx, first, group("all", &[1, 2, 3])).await?.0,
                rules.start(tx, first, group("others", &[2])).await?.0,
                rules.start(tx, first, group("deleted", &[1])).await?.0,
                tx.new_id(),
            ];
            rules.remove_participant(tx, first, threads[2], people[2].user_id).await?;
            rules.delete(tx, first, threads[5]).await?;
            users::Entity::update_many()
                .col_expr(users::Column::IsActive, Expr::value(false))
                .filter(users::Column::Id.eq(people[3].user_id))
                .exec(tx)
                .await?;
            Ok(threads)
        });
        let threads = threads.await;
        Self { store, people, threads, messages: Messages::default() }
    }

    fn once(&self, step: &Step, text: &str) -> Option<Idempotent> {
        let key = step.key.map(|key| format!("key-{key}"))?;
        let parts = ["send", &self.threads[step.thread].to_string(), text];
        Some(Idempotent::with_key("key", self.people[step.who].user_id, &key, &parts).unwrap())
    }

    /// Sends in a transaction of its own, and returns the `seq` or the code of the error.
    async fn plain(&self, step: &Step, text: &str) -> Result<i64, &'static str> {
        let (caller, thread) = (&self.people[step.who], self.threads[step.thread]);
        let once = self.once(step, text);
        let client_id = once.as_ref().and_then(Idempotent::key);
        let effect = async |tx: &Tx| {
            let new = NewText { text: text.into() };
            let sent = self.messages.send(tx, caller, thread, new, client_id).await?;
            Ok((sent.id, sent.seq))
        };
        let sent = match once.clone() {
            None => self.store.db.write(effect).await.map(|(_, seq)| seq),
            Some(once) => {
                let replay = async |tx: &Tx, id| Ok(self.messages.get(tx, caller, id).await?.seq);
                once.run(&self.store.db, effect, replay)
                    .await
                    .map(|reply| reply.answer)
                    .map_err(|problem| problem.0)
            }
        };
        sent.map_err(|error: Error| error.code().name)
    }

    /// Sends through the queue. `None` if the key was used before.
    async fn queued(&self, queue: &SendQueue, step: &Step, text: &str) -> Option<Result<i64, &'static str>> {
        let once = self.once(step, text);
        let claim = once
            .as_ref()
            .and_then(Idempotent::claim)
            .map(|(key, request_hash)| Claim { key: key.to_owned(), request_hash: request_hash.to_owned() });
        let client_id = once.as_ref().and_then(Idempotent::key);
        let new = NewText { text: text.into() };
        let sent = queue.send(&self.people[step.who], self.threads[step.thread], new, client_id, claim).await;
        sent.map(|sent| sent.map(|sent| sent.seq)).map_err(|error| error.code().name).transpose()
    }

    /// All rows, without the times and with names instead of ids, as these differ.
    async fn rows(&self) -> BTreeMap<&'static str, Vec<String>> {
        let db = self.store.db.reader();
        let mut names = Vec::new();
        names.extend(
            self.people.iter().enumerate().map(|(who, caller)| (caller.user_id, format!("person {who}"))),
        );
        names.extend(self.threads.iter().enumerate().map(|(index, id)| (*id, format!("thread {index}"))));
        let messages = entity::Entity::find().order_by_asc(entity::Column::Seq).all(db).await.unwrap();
        let mut last = BTreeMap::new();
        for message in &messages {
            let before = last.insert(message.thread_id, message.created_at);
            assert!(before <= Some(message.created_at));
            assert_eq!(message.updated_at, message.created_at);
            names.push((message.id, format!("message {} of {}", message.seq, message.thread_id)));
        }
        let threads = threads::Entity::find().all(db).await.unwrap();
        for thread in threads.iter().filter(|thread| thread.last_seq > 0) {
            assert_eq!(last[&thread.id], thread.last_activity_at);
        }
        let mut log = events::Entity::find().all(db).await.unwrap();
        log.sort_by_key(|event| (event.subject_id, event.place()));
        let mut places = BTreeMap::new();
        for event in log.iter().filter(|event| event.version.is_some()) {
            let before = places.insert(event.subject_id, event.version);
            assert!(before < Some(event.version), "the events of a thread are in the order of its versions");
        }
        log.retain(|event| event.kind == "message.created");
        let log = log.into_iter().map(|event| events::Model { stamp: 0, position: 0, ..event });
        let participants = participant::Entity::find().all(db).await.unwrap();
        assert_eq!(audit::differences(db).await.unwrap(), Vec::<String>::new());
        let keys = row::Entity::find().all(db).await.unwrap();
        let keys = keys.into_iter().map(|key| row::Model { request_hash: String::new(), ..key });
        BTreeMap::from([
            ("messages", shown(messages, &names)),
            ("threads", shown(threads, &names)),
            ("events", shown(log, &names)),
            ("participants", shown(participants, &names)),
            ("keys", shown(keys, &names)),
        ])
    }
}

/// The rows as text, sorted, with these names instead of the ids, and without times.
fn shown<R: Debug>(rows: impl IntoIterator<Item = R>, names: &[(Uuid, String)]) -> Vec<String> {
    let shown = rows.into_iter().map(|row| {
        let mut text = format!("{row:?}");
        // Those of messages contain those of threads.
        for (id, name) in names.iter().rev() {
            text = text.replace(&id.to_string(), name);
        }
        while let Some((before, (_, after))) =
            text.split_once("Timestamp(").and_then(|(before, rest)| Some((before, rest.split_once(')')?)))
        {
            text = format!("{before}a time{after}");
        }
        text
    });
    let mut shown: Vec<String> = shown.collect();
    shown.sort();
    shown
}

/// Sends the rounds by both ways, and returns how many messages had each outcome.
async fn compare(
    plain: &World<'_>,
    queued: &World<'_>,
    rounds: &[Vec<Step>],
) -> BTreeMap<&'static str, usize> {
    let queue = SendQueue::new(&queued.store.db, Duration::from_mins(1), LIFETIME);
    let mut outcomes = BTreeMap::new();
    for (number, round) in rounds.iter().enumerate() {
        // Both go into the same minute, and some rounds into another than the one before.
        plain.store.clock.advance(Duration::from_secs(45));
        let text = |index: usize| format!("\"{number}\" \\ {index} \u{1F600}\n");
        let steps = || round.iter().enumerate();
        let sent = join_all(steps().map(|(index, step)| {
            let (queue, text) = (&queue, text(index));
            async move { queued.queued(queue, step, &text).await }
        }));
        let sent = sent.await;
        // One after the other, in an order that has the same outcome: a refused message uses no key, so that another one of the
        // same time may use it; and whose key was used before is answered by the plain path afterwards.
        let mut order: Vec<_> = steps().zip(sent).collect();
        order.sort_by_key(|(_, sent)| match sent {
            Some(Err(_)) => (0, 0),
            Some(Ok(seq)) => (1, *seq),
            None => (2, 0),
        });
        for ((index, step), sent) in order {
            let expected = plain.plain(step, &text(index)).await;
            let (is_repeat, sent) = match sent {
                Some(sent) => (false, sent),
                None => (true, queued.plain(step, &text(index)).await),
            };
            assert_eq!(sent, expected, "{step:?}");
            let outcome = if is_repeat { "repeat" } else { sent.err().unwrap_or("sent") };
            *outcomes.entry(outcome).or_default() += 1;
        }
        let (plain, queued) = (plain.rows().await, queued.rows().await);
        for (table, rows) in plain {
            assert_eq!(rows, queued[table], "{table}");
        }
    }
    outcomes
}

/// Good and bad messages among each other leave the same rows and get the same answers as one after the other.
#[both_databases]
async fn leaves_the_same_rows_as_the_plain_path(store: &Store) {
    let backend = match store.db.backend() {
        DbBackend::Postgres => Backend::Postgres,
        _ => Backend::Sqlite,
    };
    // The same courses each time, so that a failure can be seen again.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut outcomes = BTreeMap::<_, usize>::new();
    for _ in 0..COURSES {
        let rounds = rounds().new_tree(&mut runner).unwrap().current();
        let (one, mut other) = (Store::set_up(backend).await, Store::set_up(backend).await);
        other.db = other.db.clone().with_clock(Arc::new(one.clock.clone()));
        one.clock.advance(Duration::from_secs(1));
        let (plain, queued) = (World::new(&one).await, World::new(&other).await);
        for (outcome, count) in compare(&plain, &queued, &rounds).await {
            *outcomes.entry(outcome).or_default() += count;
        }
        one.tear_down().await;
        other.tear_down().await;
    }
    let expected = ["not_found", "repeat", "sent", "user_inactive"];
    assert!(expected.iter().all(|outcome| outcomes.contains_key(outcome)), "{outcomes:?}");
}

/// Each sender and each thread among many gets each `seq` once, from two servers, and a reader of the log sees the versions
/// of each thread in order.
#[both_databases]
async fn two_servers_number_without_gaps(store: &Store) {
    let world = World::new(store).await;
    let options = DbOptions {
        acquire_timeout: Duration::from_mins(1),
        lock_timeout: Duration::from_mins(1),
        ..DbOptions::new(&store.url).unwrap()
    };
    let (one, other) = (Db::open(&options).await.unwrap(), Db::open(&options).await.unwrap());
    let queues = [&one, &other].map(|db| SendQueue::new(db, Duration::from_mins(1), LIFETIME));
    let sends = (0..600).map(|number| {
        let (queue, thread) = (&queues[number % 2], world.threads[[0, 3, 4][number % 3]]);
        let caller = &world.people[0];
        let new = NewText { text: format!("{number}").into() };
        async move { queue.send(caller, thread, new, None, None).await }
    });
    let mut sent = 0;
    // At most as many of a thread as may wait.
    let mut sends = futures::stream::iter(sends).buffer_unordered(90);
    while let Some(outcome) = sends.next().await {
        outcome.unwrap().unwrap();
        sent += 1;
    }
    assert_eq!(sent, 600);
    let rows = world.rows().await;
    assert_eq!(rows["messages"].len(), 600);
    for thread in [0, 3, 4] {
        let found = threads::Entity::find_by_id(world.threads[thread]).one(store.db.reader()).await;
        let thread = found.unwrap().unwrap();
        assert_eq!(thread.last_seq, 200);
    }
    one.close().await.unwrap();
    other.close().await.unwrap();
}

/// Events of before, whose payload has the id of the message as well, are shown as those of now.
#[both_databases]
async fn older_events_are_shown_as_well(store: &Store) {
    let world = World::new(store).await;
    let queue = SendQueue::new(&store.db, Duration::from_mins(1), LIFETIME);
    let new = NewText { text: "hello".into() };
    let sent = queue.send(&world.people[0], world.threads[0], new, None, None).await.unwrap().unwrap();
    let mut log = events::Entity::find().all(store.db.reader()).await.unwrap();
    log.retain(|event| event.kind == "message.created");
    assert_eq!(log[0].payload, json!({"seq": 1}));
    let feed = MessengerFeed::new(scopes::groups());
    let now = feed.show(store.db.reader(), &log).await.unwrap();
    log[0].payload = json!({"message_id": sent.id, "seq": 1, "client_id": null});
    let before = feed.show(store.db.reader(), &log).await.unwrap();
    assert_eq!(now, before);
    assert_eq!(now[0].as_ref().unwrap().data["id"], json!(sent.id));
}

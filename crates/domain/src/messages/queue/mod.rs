//! The queue of messages that are sent into existing threads: the fast path of [`Messages::send`](super::Messages::send).
//!
//! A message on its own takes a transaction with several round trips and a commit. Here, what arrives while the database
//! writes waits, and is then written together, each message with its own outcome ([`Batcher`]). It writes the same rows as
//! the plain path, which a test checks by sending the same messages by both.
//!
//! 1. A message goes into the queue of all. There nothing waits for the lock of a thread: if somebody else holds it, on
//!    PostgreSQL, the message is not sent yet. So a locked thread does not hold up the others.
//! 2. Such a message goes into the queue of its own thread, and waits for the lock. So does each message of a batch that
//!    failed for a reason that one of them may have.
//!
//! One batch of a server is under way at a time. Several at once would be smaller, and each costs as much as a larger one: on
//! two cores, two send a fifth less under 32 connections than one. Several servers send at the same time.
//!
//! After an error that leaves it unknown whether a batch was committed, nothing is sent again: all callers get the error.

mod postgres;
mod sqlite;

use std::{collections::HashMap, hash::Hash, sync::Arc, time::Duration};

use groundwork_auth::Caller;
use groundwork_core::{
    Batcher, Db, Error, Gate, Result, Timestamp, Uuid, Validate, batch::Bounds, error::codes,
    sea_orm::DbBackend,
};

use super::{
    entity::Model,
    types::{Message, MessageRow, NewText},
};
use crate::codes::USER_INACTIVE;

/// The maximum number of messages of a batch, which bounds for how long it holds its locks.
const SIZE: usize = 100;
/// The maximum number of messages that wait.
const WAITING: usize = 2000;
/// The maximum number of messages of one thread that wait or are under way, so that no thread fills the queue.
const OF_ONE_THREAD: usize = 103;

/// An idempotency key, which is claimed in the transaction of the message.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The key.
    pub key: String,
    /// The hash of the request that it is used for.
    pub request_hash: String,
}

/// A message to send.
#[derive(Debug)]
struct Call {
    thread: Uuid,
    sender: Uuid,
    text: String,
    client_id: Option<String>,
    claim: Option<Claim>,
}

/// What became of a message.
#[derive(Debug)]
enum Outcome {
    Sent(Model),
    /// There is no such thread, or the sender is not in it.
    NotFound,
    /// The receiver is deactivated or deleted.
    Inactive,
    /// The key was used before.
    Repeat,
    /// It has to wait for the lock of its thread.
    Locked,
    Failed(Error),
}

#[derive(Clone)]
struct Settings {
    db: Db,
    key_lifetime: Duration,
}

type Batches<K> = Batcher<K, Arc<Call>, Outcome>;

/// Sends messages into existing threads. Cheap to clone; the clones share the queues.
#[derive(Clone, Debug)]
pub struct SendQueue {
    all: Batches<()>,
    locked: Batches<Uuid>,
    bound: Gate<Uuid>,
}

impl SendQueue {
    /// Creates the queue of a database. A message that has not begun after `patience` is refused, and an idempotency key is
    /// kept for `key_lifetime`.
    pub fn new(db: &Db, patience: Duration, key_lifetime: Duration) -> Self {
        let settings = Settings { db: db.clone(), key_lifetime };
        let is_postgres = db.backend() == DbBackend::Postgres;
        Self {
            // On SQLite there is one lock, for which all wait.
            all: batches(&settings, !is_postgres, Bounds { size: SIZE, waiting: WAITING, patience }),
            locked: batches(&settings, true, Bounds { size: SIZE, waiting: OF_ONE_THREAD, patience }),
            bound: Gate::new(OF_ONE_THREAD, 0, patience),
        }
    }

    /// Sends a message as [`Messages::send`](super::Messages::send) does, in a transaction of the queue, and claims the
    /// idempotency key in the same one. Returns `None` if the key was used before: then nothing was sent.
    ///
    /// # Errors
    /// `invalid`, `not_found`, and `user_inactive` if the other user of a direct thread is deactivated or deleted; `busy`
    /// if too many messages wait.
    pub async fn send(
        &self,
        caller: &Caller,
        thread: Uuid,
        new: NewText,
        client_id: Option<&str>,
        claim: Option<Claim>,
    ) -> Result<Option<Message>> {
        new.check()?;
        let _place = self.bound.enter(thread).await?;
        let client_id = client_id.map(str::to_owned);
        let call = Arc::new(Call { thread, sender: caller.user_id, text: new.text.into(), client_id, claim });
        let mut outcome = self.all.call((), Arc::clone(&call)).await?;
        if matches!(outcome, Outcome::Locked) {
            outcome = self.locked.call(thread, call).await?;
        }
        match outcome {
            Outcome::Sent(message) => Ok(Some(MessageRow::new(message).into())),
            Outcome::Repeat => Ok(None),
            Outcome::NotFound => Err(Error::not_found("thread")),
            Outcome::Inactive => Err(USER_INACTIVE.error("the receiver is deactivated")),
            Outcome::Locked => {
                Err(codes::BUSY.error("other requests are changing the thread; try again in a moment"))
            }
            Outcome::Failed(error) => Err(error),
        }
    }
}

fn batches<K: Clone + Eq + Hash + Send + 'static>(
    queue: &Settings,
    waits: bool,
    bounds: Bounds,
) -> Batches<K> {
    let settings = queue.clone();
    Batcher::new(bounds, move |calls: Vec<Arc<Call>>| {
        let settings = settings.clone();
        Box::pin(async move { send_all(&settings, &calls, waits).await })
    })
}

/// Sends the messages, and returns an outcome for each.
async fn send_all(settings: &Settings, calls: &[Arc<Call>], waits: bool) -> Result<Vec<Outcome>> {
    // A key that is used twice is claimed by the first. The others are answered when that is committed.
    let (mut keys, mut first, mut repeats) = (HashMap::new(), Vec::new(), Vec::new());
    for (index, call) in calls.iter().enumerate() {
        let next = first.len();
        let key = call.claim.as_ref().map(|claim| (call.sender, &claim.key));
        let place = key.map_or(next, |key| *keys.entry(key).or_insert(next));
        if place == next {
            first.push(&**call);
        } else {
            repeats.push((index, place));
        }
    }
    let mut outcomes = send_distinct(settings, &first, waits).await?;
    let repeat = |(index, place)| match outcomes.get(place) {
        // It waits for the thread as well, as it would hold the key that the first one needs.
        Some(Outcome::Locked) => (index, Outcome::Locked),
        _ => (index, Outcome::Repeat),
    };
    let repeats: Vec<(usize, Outcome)> = repeats.into_iter().map(repeat).collect();
    for (index, outcome) in repeats {
        outcomes.insert(index, outcome);
    }
    Ok(outcomes)
}

/// As [`send_all`], for messages with different keys.
async fn send_distinct(settings: &Settings, calls: &[&Call], waits: bool) -> Result<Vec<Outcome>> {
    match write(settings, calls, waits).await {
        Err(error) if error.had_no_effect() && !waits => {
            tracing::warn!(%error, calls = calls.len(), "a batch of messages failed; each is sent by itself");
            Ok(calls.iter().map(|_| Outcome::Locked).collect())
        }
        Err(error) if error.had_no_effect() && error.code() == codes::INTERNAL && calls.len() > 1 => {
            let mut outcomes = Vec::with_capacity(calls.len());
            for call in calls {
                outcomes.extend(
                    write(settings, &[call], waits)
                        .await
                        .unwrap_or_else(|error| vec![Outcome::Failed(error)]),
                );
            }
            Ok(outcomes)
        }
        ended => ended,
    }
}

/// Writes the messages in one transaction.
async fn write(settings: &Settings, calls: &[&Call], waits: bool) -> Result<Vec<Outcome>> {
    match settings.db.backend() {
        DbBackend::Postgres => postgres::write(settings, calls, waits).await,
        _ => sqlite::write(settings, calls).await,
    }
}

impl Call {
    fn client_id(&self) -> &str {
        self.client_id.as_deref().unwrap_or_default()
    }

    fn key(&self) -> &str {
        self.claim.as_ref().map_or("", |claim| &claim.key)
    }

    fn request_hash(&self) -> &str {
        self.claim.as_ref().map_or("", |claim| &claim.request_hash)
    }

    fn sent(
        &self,
        id: Uuid,
        (seq, version): (i64, i64),
        receiver_id: Option<Uuid>,
        at: Timestamp,
    ) -> Outcome {
        Outcome::Sent(Model {
            id,
            created_at: at,
            updated_at: at,
            deleted_at: None,
            thread_id: self.thread,
            seq,
            version,
            sender_id: self.sender,
            receiver_id,
            text: self.text.clone(),
            edited_at: None,
        })
    }
}

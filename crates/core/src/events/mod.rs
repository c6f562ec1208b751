//! The append-only log: what changed, written in the transaction that changed it.
//!
//! Everything that follows changes reads this log. An event refers to its subject by id and contains no text of it, so
//! that deleted text is not in the log either.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/note.rs"));
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> groundwork_core::Result<()> {
//! # let (_folder, db) = open().await?;
//! use groundwork_core::events::{self, NewEvent, Position, Subject};
//!
//! db.write(async |tx| {
//!     events::append(tx, NewEvent::new("note.created", Subject::new("note", tx.new_id()))).await
//! })
//! .await?;
//! let batch = events::read(db.reader(), Position::default(), 100).await?;
//! assert_eq!(batch.events[0].kind, "note.created");
//! # Ok(())
//! # }
//! ```
//!
//! # Order
//!
//! A reader goes through the log by [`Position`] and never comes back to an earlier one, so no event may appear before a
//! place that it has passed, and the events of one subject have to be in the order of their versions.
//!
//! SQLite has one writer at a time. The numbers of the events are in the order of the commits, and suffice.
//!
//! On PostgreSQL they don't: a transaction may take a lower number and commit later. The transaction's id does not suffice
//! either. A transaction may take its id early, when it writes some other row, and then wait for the lock of a subject that
//! a transaction with a higher id holds. Each event therefore has a [`stamp`](Model::stamp): the higher one of the id of its
//! own transaction, and the highest id of all transactions that had ended when the event was appended.
//!
//! - The stamp is at least the id of its own transaction. A transaction that is still open, or begins later, has an id of at
//!   least `pg_snapshot_xmin(pg_current_snapshot())`, and so have the stamps of its events. Events below that are
//!   *settled*: no later commit goes before them. [`read`] returns settled events only.
//! - A transaction that gets the lock of a subject does so after the one that held it has ended. The statement that then
//!   appends its event counts that one among the ended, so its stamp is at least that of the event before, and where
//!   they are equal, the numbers decide. So the events of a subject are in the order in which its lock was held, which is
//!   the order of the versions.
//!
//! Both need what all code here does: the event is appended in a statement after the one that locks the subject, at the
//! isolation level `READ COMMITTED`, so that the statement has a snapshot of its own.
//!
//! A transaction that stays open holds the log back, also one in another database of the same PostgreSQL server, if it has
//! written something. The time limits of the connections bound that for our own; [`lag`] shows it.

pub(crate) mod epoch;
pub mod feed;
mod log;
mod observers;
mod retention;
mod schema;

use std::borrow::Cow;

use sea_orm::{ActiveModelTrait, ActiveValue::NotSet, Set, entity::prelude::*};
use serde_json::Value as Json;

pub use self::{
    epoch::{Epoch, Extent, adopt, epoch, extent},
    log::{Batch, floor, horizon, lag, read},
    observers::{Observed, Observers},
    retention::prune,
    schema::{create_v1, drop_v1},
};

use crate::{Result, Timestamp, Tx};

/// A row of the log.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "events")]
pub struct Model {
    /// The number of the event, ascending. On PostgreSQL a higher one may be committed before a lower one.
    #[sea_orm(primary_key)]
    pub position: i64,
    /// 0 on SQLite. On PostgreSQL the higher one of the id of the event's transaction, and the highest id of a transaction
    /// that had ended when the event was appended; see [the order](self#order). The database sets it.
    pub stamp: i64,
    /// The kind of the event's subject.
    pub subject_kind: String,
    /// The id of the event's subject.
    pub subject_id: Uuid,
    /// The user whom the event concerns, if it concerns a single one.
    pub user_id: Option<Uuid>,
    /// The version of the subject after the change, if the subject has versions.
    pub version: Option<i64>,
    /// The kind of event, `subject.verb`, at most 64 characters.
    pub kind: String,
    /// The user who caused the event.
    pub actor_id: Option<Uuid>,
    /// Ids and numbers that describe the change.
    pub payload: Json,
    /// The time of the change.
    pub created_at: Timestamp,
}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Returns its place in the log.
    pub fn place(&self) -> Position {
        Position { stamp: self.stamp, number: self.position }
    }
}

/// A place in the log. Events are read in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// On PostgreSQL a transaction id, see [`Model::stamp`]; 0 on SQLite.
    pub stamp: i64,
    /// The number of the event: [`Model::position`].
    pub number: i64,
}

/// The resource that an event belongs to, and whose version it carries: a thread, a bookmark, a user. Callers who may see
/// the subject may see the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The kind, in `snake_case`, at most 32 characters: `bookmark`.
    pub kind: &'static str,
    /// The id.
    pub id: Uuid,
}

impl Subject {
    /// Creates a subject.
    pub const fn new(kind: &'static str, id: Uuid) -> Self {
        Self { kind, id }
    }
}

/// An event to write.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The kind of event, `subject.verb`, at most 64 characters.
    pub kind: Cow<'static, str>,
    /// The subject.
    pub subject: Subject,
    /// See [`Model::user_id`].
    pub user_id: Option<Uuid>,
    /// See [`Model::version`].
    pub version: Option<i64>,
    /// See [`Model::actor_id`].
    pub actor_id: Option<Uuid>,
    /// See [`Model::payload`].
    pub payload: Json,
}

impl NewEvent {
    /// Creates an event of that kind and subject.
    pub fn new(kind: impl Into<Cow<'static, str>>, subject: Subject) -> Self {
        Self {
            kind: kind.into(),
            subject,
            user_id: None,
            version: None,
            actor_id: None,
            payload: Json::Object(serde_json::Map::new()),
        }
    }

    /// Sets the user who caused the event.
    #[must_use]
    pub fn by(mut self, actor: Uuid) -> Self {
        self.actor_id = Some(actor);
        self
    }

    /// Sets the version of the subject after the change.
    #[must_use]
    pub fn at_version(mut self, version: i64) -> Self {
        self.version = Some(version);
        self
    }

    /// Sets the user whom the event concerns.
    #[must_use]
    pub fn of_user(mut self, user: Uuid) -> Self {
        self.user_id = Some(user);
        self
    }

    /// Sets the payload: ids and numbers.
    #[must_use]
    pub fn with(mut self, payload: Json) -> Self {
        self.payload = payload;
        self
    }

    fn into_row(self, now: Timestamp) -> ActiveModel {
        ActiveModel {
            position: NotSet,
            stamp: NotSet,
            subject_kind: Set(self.subject.kind.to_owned()),
            subject_id: Set(self.subject.id),
            user_id: Set(self.user_id),
            version: Set(self.version),
            kind: Set(self.kind.into_owned()),
            actor_id: Set(self.actor_id),
            payload: Set(self.payload),
            created_at: Set(now),
        }
    }
}

/// Appends an event. If it has a version, an earlier statement of the transaction has locked its subject.
pub async fn append(tx: &Tx, event: NewEvent) -> Result<()> {
    append_all(tx, [event]).await
}

/// Appends several events in one statement, in that order.
pub async fn append_all(tx: &Tx, events: impl IntoIterator<Item = NewEvent>) -> Result<()> {
    let (mut rows, mut observed) = (Vec::new(), Vec::new());
    for event in events {
        if tx.observers().has(event.subject.kind) {
            observed.push(event.subject);
        }
        rows.push(event.into_row(tx.now()));
    }
    if !rows.is_empty() {
        Entity::insert_many(rows).exec_without_returning(tx).await?;
        tx.mark_appended();
    }
    if !observed.is_empty() {
        let observers = tx.observers().clone();
        tx.after_commit(move || observed.iter().for_each(|subject| observers.tell(subject.kind, subject.id)));
    }
    Ok(())
}

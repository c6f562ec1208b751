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
//! use groundwork_core::events::{self, NewEvent, Subject};
//! use sea_orm::{EntityTrait, PaginatorTrait};
//!
//! db.write(async |tx| {
//!     events::append(tx, NewEvent::new("note.created", Subject::new("note", tx.new_id()))).await
//! })
//! .await?;
//! assert_eq!(events::Entity::find().count(db.reader()).await?, 1);
//! # Ok(())
//! # }
//! ```

pub mod feed;

use std::borrow::Cow;

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::NotSet,
    DeriveIden, Set,
    entity::prelude::*,
    sea_query::{ColumnDef, Index, IndexCreateStatement, Table, TableCreateStatement},
};
use serde_json::Value as Json;

use crate::{Result, Timestamp, Tx};

/// A row of the log.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "events")]
pub struct Model {
    /// Ascending. On PostgreSQL a higher position may be committed before a lower one.
    #[sea_orm(primary_key)]
    pub position: i64,
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

/// Appends an event.
pub async fn append(tx: &Tx, event: NewEvent) -> Result<()> {
    event.into_row(tx.now()).insert(tx).await?;
    Ok(())
}

/// Appends several events in one statement.
pub async fn append_all(tx: &Tx, events: impl IntoIterator<Item = NewEvent>) -> Result<()> {
    let rows: Vec<_> = events.into_iter().map(|event| event.into_row(tx.now())).collect();
    if !rows.is_empty() {
        Entity::insert_many(rows).exec_without_returning(tx).await?;
    }
    Ok(())
}

/// Returns the table and its indexes in their first version, for migrations. A later change is another function.
pub fn table_v1() -> (TableCreateStatement, Vec<IndexCreateStatement>) {
    #[derive(DeriveIden)]
    enum Events {
        Table,
        Position,
        SubjectKind,
        SubjectId,
        UserId,
        Version,
        Kind,
        ActorId,
        Payload,
        CreatedAt,
    }
    let table = Table::create()
        .table(Events::Table)
        .col(ColumnDef::new(Events::Position).big_integer().not_null().auto_increment().primary_key())
        .col(ColumnDef::new(Events::SubjectKind).string_len(32).not_null())
        .col(ColumnDef::new(Events::SubjectId).uuid().not_null())
        .col(ColumnDef::new(Events::UserId).uuid())
        .col(ColumnDef::new(Events::Version).big_integer())
        .col(ColumnDef::new(Events::Kind).string_len(64).not_null())
        .col(ColumnDef::new(Events::ActorId).uuid())
        .col(ColumnDef::new(Events::Payload).json_binary().not_null())
        .col(ColumnDef::new(Events::CreatedAt).date_time().not_null())
        .take();
    let index = Index::create()
        .name("ix_events_subject")
        .table(Events::Table)
        .col(Events::SubjectId)
        .col(Events::Position)
        .take();
    (table, vec![index])
}

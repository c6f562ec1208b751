//! The append-only log: what changed, written in the transaction that changed it.
//!
//! The log is the record from which everything that looks at changes is fed. An event refers to what it tells of by
//! id and holds no text of it, so that what is deleted is gone from the log as well.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/note.rs"));
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> groundwork_core::Result<()> {
//! # let (_folder, db) = open().await?;
//! use groundwork_core::events::{self, NewEvent, Subject};
//! use sea_orm::{EntityTrait, PaginatorTrait};
//!
//! let tx = db.begin().await?;
//! events::append(&tx, NewEvent::new("note.created", Subject::new("note", tx.new_id()))).await?;
//! tx.commit().await?;
//! assert_eq!(events::Entity::find().count(db.reader()).await?, 1);
//! # Ok(())
//! # }
//! ```

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
    /// Goes up; on PostgreSQL a higher one may be committed first.
    #[sea_orm(primary_key)]
    pub position: i64,
    /// The kind of the event's subject.
    pub subject_kind: String,
    /// The id of the event's subject.
    pub subject_id: Uuid,
    /// The one user whom the event concerns, where it is one.
    pub user_id: Option<Uuid>,
    /// The version of the subject after the change, where the subject has versions.
    pub version: Option<i64>,
    /// What happened, as `thing.verb`.
    pub kind: String,
    /// Who did it.
    pub actor_id: Option<Uuid>,
    /// Ids and numbers that say what is meant.
    pub payload: Json,
    /// When.
    pub created_at: Timestamp,
}

impl ActiveModelBehavior for ActiveModel {}

/// What an event belongs to, and whose version it carries: a thread, a bookmark, a user. Who may see the subject may
/// learn of the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// What it is, in `snake_case`, at most 32 characters: `bookmark`.
    pub kind: &'static str,
    /// Its id.
    pub id: Uuid,
}

impl Subject {
    /// The subject of that kind with that id.
    pub const fn new(kind: &'static str, id: Uuid) -> Self {
        Self { kind, id }
    }
}

/// An event to write.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// What happened, as `thing.verb`.
    pub kind: Cow<'static, str>,
    /// What it belongs to.
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
    /// An event of that kind and subject.
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

    /// Says who did it.
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

    /// Says which user it concerns.
    #[must_use]
    pub fn of_user(mut self, user: Uuid) -> Self {
        self.user_id = Some(user);
        self
    }

    /// Says what is meant, by ids and numbers.
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

/// Writes one event.
pub async fn append(tx: &Tx, event: NewEvent) -> Result<()> {
    event.into_row(tx.now()).insert(tx).await?;
    Ok(())
}

/// Writes several, in one statement.
pub async fn append_all(tx: &Tx, events: impl IntoIterator<Item = NewEvent>) -> Result<()> {
    let rows: Vec<_> = events.into_iter().map(|event| event.into_row(tx.now())).collect();
    if !rows.is_empty() {
        Entity::insert_many(rows).exec_without_returning(tx).await?;
    }
    Ok(())
}

/// The table in its first form, for a service's migrations. Never changes: what comes later is a further function.
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

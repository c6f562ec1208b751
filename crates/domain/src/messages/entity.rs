//! The table `messages`.

use groundwork_core::{Listable, Timestamp, Uuid, common_base};
use sea_orm::entity::prelude::*;

/// A message. Deleted ones stay as tombstones, without their text.
///
/// Invariant: within a thread `created_at` never runs backwards as `seq` goes up, even where the servers' clocks
/// disagree.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "messages")]
pub struct Model {
    /// The id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// When it was sent.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was deleted, or null.
    pub deleted_at: Option<Timestamp>,
    /// The thread.
    pub thread_id: Uuid,
    /// Its place in the thread, from 1, without gaps.
    pub seq: i64,
    /// The version of the thread at its last change.
    pub version: i64,
    /// Who sent it.
    pub sender_id: Uuid,
    /// Who it was sent to, in a direct thread.
    pub receiver_id: Option<Uuid>,
    /// What it says; empty once it is deleted.
    #[sea_orm(column_type = "Text")]
    pub text: String,
    /// When it was last edited, or null.
    pub edited_at: Option<Timestamp>,
}

impl ActiveModelBehavior for ActiveModel {}

common_base!();

impl Listable for Entity {
    const FIELDS: &'static [Column] = &[
        Column::Id,
        Column::ThreadId,
        Column::Seq,
        Column::SenderId,
        Column::ReceiverId,
        Column::Text,
        Column::EditedAt,
        Column::CreatedAt,
        Column::UpdatedAt,
    ];
    const SEARCH: &'static [Column] = &[Column::Text];
}

//! The table `messages`.

use groundwork_core::{Listable, Timestamp, Uuid, common_base};
use sea_orm::entity::prelude::*;

/// A message. A deleted message remains as a tombstone without its text.
///
/// Invariant: within a thread `created_at` never decreases as `seq` increases, even if the servers' clocks
/// differ.
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
    /// The position in the thread, from 1, without gaps.
    pub seq: i64,
    /// The version of the thread at its last change.
    pub version: i64,
    /// The sender.
    pub sender_id: Uuid,
    /// The receiver in a direct thread, or null.
    pub receiver_id: Option<Uuid>,
    /// The text; empty once the message is deleted.
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

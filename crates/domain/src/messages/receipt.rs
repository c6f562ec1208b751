//! The table `receipts`: one row each time a participant's delivered or read position moves, and none per message.

use groundwork_core::{Timestamp, Uuid};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The kind of a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum ReceiptKind {
    /// The user has received the messages.
    Delivered,
    /// The user has read the messages, and so has received them.
    Read,
}

/// A receipt: the user received or read the messages after `from_seq` up to `seq`, and no others. A participant who
/// left and came back has not read the messages sent in between, although their position is beyond them.
///
/// Invariant: `at` is not before the `created_at` of any message up to `seq`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "receipts")]
pub struct Model {
    /// The thread.
    #[sea_orm(primary_key, auto_increment = false)]
    pub thread_id: Uuid,
    /// The participant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    /// Received or read.
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: ReceiptKind,
    /// The position that was reached.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    /// The previous position.
    pub from_seq: i64,
    /// When the position moved.
    pub at: Timestamp,
    /// Whether the row is old and stands for all receipts of its day; `at` is then that of the last one.
    pub folded: bool,
}

impl ActiveModelBehavior for ActiveModel {}

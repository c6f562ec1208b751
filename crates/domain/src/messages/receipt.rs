//! The table `receipts`: one row each time a participant's watermark moves, and none per message.

use groundwork_core::{Timestamp, Uuid};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// Which watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum ReceiptKind {
    /// The messages up to here have reached the user.
    Delivered,
    /// The user has read up to here.
    Read,
}

/// A move of a watermark: the messages after `from_seq` up to `seq` were reached by it, and no others. (Somebody who
/// left and came back has not read what was said meanwhile, though their watermark is beyond it.)
///
/// Invariant: `at` is not before the `created_at` of any message up to `seq`. So who first read a message is found by
/// looking from its `created_at` on.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "receipts")]
pub struct Model {
    /// The thread.
    #[sea_orm(primary_key, auto_increment = false)]
    pub thread_id: Uuid,
    /// Whose watermark.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    /// Which of the two.
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: ReceiptKind,
    /// Where it moved to.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    /// Where it moved from.
    pub from_seq: i64,
    /// When.
    pub at: Timestamp,
}

impl ActiveModelBehavior for ActiveModel {}

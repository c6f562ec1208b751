//! The table `users_and_threads`: who takes part in which thread, and how far they have read.

use groundwork_core::{Timestamp, Uuid};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a participant may do in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything, also to delete the thread and to give roles.
    Owner,
    /// To rename the thread, to add and remove participants, and to delete messages.
    Admin,
    /// To read and write.
    Member,
}

impl Role {
    /// Whether it may manage participants, the name and others' messages.
    pub fn is_admin(self) -> bool {
        matches!(self, Self::Owner | Self::Admin)
    }
}

/// A user in a thread; one row for each pair, kept when they leave.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users_and_threads")]
pub struct Model {
    /// The thread.
    #[sea_orm(primary_key, auto_increment = false)]
    pub thread_id: Uuid,
    /// The user.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    /// What they may do.
    pub role: Role,
    /// When they last joined.
    pub joined_at: Timestamp,
    /// They see the messages after this `seq`.
    pub joined_seq: i64,
    /// When they left, or null.
    pub left_at: Option<Timestamp>,
    /// How far messages have reached them.
    pub last_delivered_seq: i64,
    /// How far they have read.
    pub last_read_seq: i64,
    /// The version that the last change of the role or the membership gave the thread.
    pub version: i64,
}

impl ActiveModelBehavior for ActiveModel {}

//! The table `users_and_threads`: the participants of threads, with their positions.

use groundwork_core::{Timestamp, Uuid};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The role of a participant in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Can do everything, also delete the thread and change roles.
    Owner,
    /// Can update the thread, add and remove participants, and delete messages.
    Admin,
    /// Can read and send messages.
    Member,
}

impl Role {
    /// Returns whether the role can manage participants, the thread and messages of others.
    pub fn is_admin(self) -> bool {
        matches!(self, Self::Owner | Self::Admin)
    }
}

/// A user in a thread; one row for each pair, which stays when the user leaves.
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
    /// The role.
    pub role: Role,
    /// When the user last joined.
    pub joined_at: Timestamp,
    /// The user sees the messages after this `seq`.
    pub joined_seq: i64,
    /// The version of the thread when the user last joined. The user sees the events from this one on.
    pub joined_version: i64,
    /// When the user left, or null.
    pub left_at: Option<Timestamp>,
    /// The delivered position: the `seq` of the last message that was delivered to the user.
    pub last_delivered_seq: i64,
    /// The read position: the `seq` of the last message that the user has read.
    pub last_read_seq: i64,
    /// The version of the thread at the last change of the role or the membership.
    pub version: i64,
    /// How many of the messages after the read position are the user's own, deleted ones included. Each message that the
    /// user sends increments it, so no index may have it.
    pub sent_since_read: i64,
}

impl ActiveModelBehavior for ActiveModel {}

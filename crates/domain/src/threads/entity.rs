//! The table `threads`.

use groundwork_core::{Listable, Timestamp, Uuid, common_base};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The type of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum ThreadType {
    /// Between two users, one for each pair, or with yourself.
    Direct,
    /// Between any number of users, with a name.
    Group,
}

/// Which earlier messages new participants of a thread see.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum History {
    /// None: new participants see messages from joining on.
    #[default]
    FromJoining,
    /// All messages.
    Full,
}

/// A thread. `version` goes up by one with every change in it, under the lock of this row; a message takes its `seq`
/// and its `version` from the same step.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "threads")]
pub struct Model {
    /// The id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// When the thread was created.
    pub created_at: Timestamp,
    /// When the thread was last changed.
    pub updated_at: Timestamp,
    /// When the thread was deleted, or null.
    pub deleted_at: Option<Timestamp>,
    /// Direct or group.
    #[sea_orm(column_name = "type")]
    pub kind: ThreadType,
    /// The name of a group.
    pub name: Option<String>,
    /// The user who created the thread.
    pub creator_id: Uuid,
    /// For a direct thread the ids of the two users in order; unique.
    pub direct_key: Option<String>,
    /// Which earlier messages new participants see.
    pub history: History,
    /// The `seq` of the last message; 0 for none.
    pub last_seq: i64,
    /// The number of changes so far.
    pub version: i64,
    /// The version at the last change of the thread's own fields (`name`, `history`).
    pub details_version: i64,
    /// When the last message was sent, or the thread was created.
    pub last_activity_at: Timestamp,
    /// The number of participants; changes only under the lock of this row.
    pub participant_count: i32,
    /// Where the thread is in `recent_threads`: the minute of the last activity, or 0 for a large thread.
    pub recent_minute: i32,
}

impl ActiveModelBehavior for ActiveModel {}

common_base!();

impl Listable for Entity {
    const FIELDS: &'static [Column] = &[
        Column::Id,
        Column::Kind,
        Column::Name,
        Column::CreatorId,
        Column::CreatedAt,
        Column::UpdatedAt,
        Column::LastActivityAt,
    ];
    const SEARCH: &'static [Column] = &[Column::Name];
}

impl Model {
    /// Returns the other user of a direct thread; the user in a thread with themselves.
    pub fn other_than(&self, user: Uuid) -> Option<Uuid> {
        let (first, second) = self.direct_key.as_deref()?.split_once(':')?;
        let (first, second) = (first.parse().ok()?, second.parse().ok()?);
        Some(if first == user { second } else { first })
    }
}

/// Returns the key of the direct thread of two users.
pub fn direct_key(a: Uuid, b: Uuid) -> String {
    let (first, second) = if a <= b { (a, b) } else { (b, a) };
    format!("{first}:{second}")
}

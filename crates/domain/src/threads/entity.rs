//! The table `threads`.

use groundwork_core::{Listable, Timestamp, Uuid, common_base};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What kind of thread it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum ThreadType {
    /// Between two users, one for each pair; with oneself for notes.
    Direct,
    /// Of any number of users, with a name.
    Group,
}

/// What someone who joins later sees of what was said before.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum History {
    /// What is said from then on.
    #[default]
    FromJoining,
    /// All of it.
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
    /// When it was started.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was deleted, or null.
    pub deleted_at: Option<Timestamp>,
    /// Direct or group.
    #[sea_orm(column_name = "type")]
    pub kind: ThreadType,
    /// The name of a group.
    pub name: Option<String>,
    /// Who started it.
    pub creator_id: Uuid,
    /// Of a direct thread: the two user ids in order. Unique.
    pub direct_key: Option<String>,
    /// What someone who joins later sees.
    pub history: History,
    /// The `seq` of the last message; 0 where there is none.
    pub last_seq: i64,
    /// The number of changes so far.
    pub version: i64,
    /// The version that the last change of the thread's own fields (`name`, `history`) gave it.
    pub details_version: i64,
    /// When the last message was sent, or the thread started.
    pub last_activity_at: Timestamp,
    /// How many participants there are now; changed only under the lock of this row.
    pub participant_count: i32,
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
    /// The other one of a direct thread with `user`; oneself in a thread with oneself.
    pub fn other_than(&self, user: Uuid) -> Option<Uuid> {
        let (first, second) = self.direct_key.as_deref()?.split_once(':')?;
        let (first, second) = (first.parse().ok()?, second.parse().ok()?);
        Some(if first == user { second } else { first })
    }
}

/// The key of the direct thread of two users.
pub fn direct_key(a: Uuid, b: Uuid) -> String {
    let (first, second) = if a <= b { (a, b) } else { (b, a) };
    format!("{first}:{second}")
}

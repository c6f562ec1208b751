//! The requests and responses about threads.

use std::collections::HashSet;

use groundwork_core::{Change, FieldErrors, Text, Timestamp, Uuid, Validate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    entity::{History, ThreadType},
    participant::Role,
};
use crate::{demo, messages::Message};

/// The name of a group.
pub type ThreadName = Text<1, 100>;
/// The maximum number of participants of a thread.
pub const MAX_PARTICIPANTS: i32 = 10_000;
/// How many participants a thread is returned with.
pub const SHOWN_PARTICIPANTS: u64 = 50;

/// A thread to create.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"type": "group", "name": "Engines", "participant_ids": [demo::CHARLES, demo::GRACE]}))]
pub struct NewThread {
    /// `direct` with one other user (or with yourself), or `group`.
    #[serde(rename = "type")]
    pub kind: ThreadType,
    /// The name of a group; a direct thread has none.
    #[serde(default)]
    pub name: Option<ThreadName>,
    /// The other participants: 1 user for a direct thread, 1 to 100 for a group.
    #[schema(min_items = 1, max_items = 100)]
    pub participant_ids: Vec<Uuid>,
    /// Which earlier messages new participants of a group see; `from_joining` by default.
    #[serde(default)]
    pub history: Option<History>,
}

impl Validate for NewThread {
    fn validate(&self, errors: &mut FieldErrors) {
        let named = self.participant_ids.len();
        match self.kind {
            ThreadType::Direct => {
                errors.check(named == 1, "participant_ids", "wrong_count", "must name one user");
                errors.check(
                    self.name.is_none(),
                    "name",
                    "not_allowed",
                    "must be absent for a direct thread",
                );
                let no_history = self.history.is_none();
                errors.check(no_history, "history", "not_allowed", "must be absent for a direct thread");
            }
            ThreadType::Group => {
                errors.check(named >= 1, "participant_ids", "too_few", "must have at least 1 item");
                match &self.name {
                    Some(name) => name.check("name", errors),
                    None => errors.add("name", "missing", "is required for a group"),
                }
            }
        }
    }
}

/// A change of a group. An absent field stays as it is.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Difference engines"}))]
pub struct ThreadPatch {
    /// A new name.
    #[serde(default)]
    pub name: Change<ThreadName>,
    /// Which earlier messages participants see who join from now on.
    #[serde(default)]
    pub history: Change<History>,
}

impl Validate for ThreadPatch {
    fn validate(&self, errors: &mut FieldErrors) {
        let empty = self.name.is_absent() && self.history.is_absent();
        errors.check(!empty, "", "empty", "must name at least one field");
        if let Some(name) = self.name.value() {
            name.check("name", errors);
        }
    }
}

/// Users to add to a group and to remove from it, all or none.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"add": [demo::EMMY], "remove": []}))]
pub struct ParticipantsPatch {
    /// Users to add, at most 100.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub add: Vec<Uuid>,
    /// Users to remove, at most 100. To leave the group, remove only yourself.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub remove: Vec<Uuid>,
}

impl Validate for ParticipantsPatch {
    fn validate(&self, errors: &mut FieldErrors) {
        let none = self.add.is_empty() && self.remove.is_empty();
        errors.check(!none, "", "empty", "must name at least one user");
        let mut seen = HashSet::new();
        for (field, ids) in [("add", &self.add), ("remove", &self.remove)] {
            for (index, id) in ids.iter().enumerate() {
                if !seen.insert(id) {
                    errors.add(format!("{field}.{index}"), "repeated", "is listed twice");
                }
            }
        }
    }
}

/// A role to set.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRole {
    /// The role.
    pub role: Role,
}

impl Validate for NewRole {
    fn validate(&self, _: &mut FieldErrors) {}
}

/// A participant of a thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Participant {
    /// The user.
    pub id: Uuid,
    /// The username.
    #[schema(example = "ada")]
    pub username: String,
    /// False for a user who is deactivated or deleted.
    pub is_active: bool,
    /// The role.
    pub role: Role,
    /// When the user last joined.
    pub joined_at: Timestamp,
    /// The `seq` of the last message that was delivered to the user.
    #[schema(example = 7)]
    pub last_delivered_seq: i64,
    /// The `seq` of the last message that the user has read.
    #[schema(example = 7)]
    pub last_read_seq: i64,
}

/// The added and removed participants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ParticipantsChange {
    /// The participants who were added, in the order of their ids.
    pub added: Vec<Participant>,
    /// The ids of the users who were removed.
    pub removed: Vec<Uuid>,
}

/// Your membership in a thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Membership {
    /// Your role.
    pub role: Role,
    /// When you last joined.
    pub joined_at: Timestamp,
    /// The `seq` of the last message that was delivered to you.
    #[schema(example = 7)]
    pub last_delivered_seq: i64,
    /// The `seq` of the last message that you have read.
    #[schema(example = 7)]
    pub last_read_seq: i64,
}

/// A thread, as you see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Thread {
    /// The id.
    pub id: Uuid,
    /// Direct or group.
    #[serde(rename = "type")]
    pub kind: ThreadType,
    /// The name of a group.
    #[schema(example = "Engines")]
    pub name: Option<String>,
    /// The user who created the thread.
    pub creator_id: Uuid,
    /// Which earlier messages new participants see.
    pub history: History,
    /// Your membership.
    pub me: Membership,
    /// The first 50 participants, in the order of their ids.
    pub participants: Vec<Participant>,
    /// The number of participants.
    #[schema(example = 2)]
    pub participant_count: i32,
    /// The last message that you can see, or null.
    pub last_message: Option<Message>,
    /// The `seq` of the last message; 0 for none.
    #[schema(example = 8)]
    pub last_seq: i64,
    /// The number of changes so far. Each change increments it by one.
    #[schema(example = 9)]
    pub version: i64,
    /// The number of messages of others that you have not read.
    #[schema(example = 1)]
    pub unread_count: i64,
    /// When the thread was created.
    pub created_at: Timestamp,
    /// When the thread was last changed.
    pub updated_at: Timestamp,
    /// When the last message was sent, or the thread was created.
    pub last_activity_at: Timestamp,
}

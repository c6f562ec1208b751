//! What comes in and goes out about threads.

use std::collections::HashSet;

use groundwork_core::{FieldErrors, Timestamp, Uuid, Validate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    entity::{History, ThreadType},
    participant::Role,
};
use crate::messages::Message;

/// The most characters of a group's name.
pub const NAME_MAX: usize = 100;
/// The most users that one request names.
pub const MAX_NAMED: usize = 100;
/// The most participants of a thread.
pub const MAX_PARTICIPANTS: i32 = 10_000;
/// The most participants that a thread is shown with; the rest is in the list of its participants.
pub const SHOWN_PARTICIPANTS: u64 = 50;

/// A thread to start.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"type": "group", "name": "Engines", "participant_ids": ["0198f0c0-6f6e-7c3e-9a55-0d1f4e1f9b11"]}))]
pub struct NewThread {
    /// `direct` with one other (or oneself), or `group`.
    #[serde(rename = "type")]
    pub kind: ThreadType,
    /// The name of a group; a direct thread has none.
    #[serde(default)]
    #[schema(max_length = 100)]
    pub name: Option<String>,
    /// Who takes part, besides the caller: 1 for a direct thread, 1 to 100 for a group.
    #[schema(min_items = 1, max_items = 100)]
    pub participant_ids: Vec<Uuid>,
    /// What those who join a group later see. `from_joining` unless it is given.
    #[serde(default)]
    pub history: Option<History>,
}

impl Validate for NewThread {
    fn validate(&self, errors: &mut FieldErrors) {
        let named = self.participant_ids.len();
        errors.check(named <= MAX_NAMED, "participant_ids", "too_many", "must have at most 100 items");
        match self.kind {
            ThreadType::Direct => {
                errors.check(named == 1, "participant_ids", "wrong_count", "must name one user");
                errors.check(self.name.is_none(), "name", "not_allowed", "a direct thread has no name");
                let no_history = self.history.is_none();
                errors.check(no_history, "history", "not_allowed", "is for a group");
            }
            ThreadType::Group => {
                errors.check(named >= 1, "participant_ids", "too_few", "must have at least 1 items");
                match &self.name {
                    Some(name) => check_name(name, errors),
                    None => errors.add("name", "missing", "is required for a group"),
                }
            }
        }
    }
}

/// A change of a group. A field that isn't mentioned stays as it is.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ThreadPatch {
    /// A new name.
    #[serde(default)]
    #[schema(value_type = String, example = "Difference engines", min_length = 1, max_length = 100)]
    pub name: Option<String>,
    /// What those who join from now on see.
    #[serde(default)]
    #[schema(value_type = History)]
    pub history: Option<History>,
}

impl Validate for ThreadPatch {
    fn validate(&self, errors: &mut FieldErrors) {
        let empty = self.name.is_none() && self.history.is_none();
        errors.check(!empty, "", "empty", "must name at least one field");
        if let Some(name) = &self.name {
            check_name(name, errors);
        }
    }
}

fn check_name(name: &str, errors: &mut FieldErrors) {
    errors.check(!name.trim().is_empty(), "name", "blank", "must not be blank");
    errors.length("name", name, 0, NAME_MAX);
}

/// Users to add to a group and to remove from it, in one step.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"add": ["0198f0c0-6f6e-7c3e-9a55-0d1f4e1f9b11"], "remove": []}))]
pub struct ParticipantsPatch {
    /// Users to add, at most 100.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub add: Vec<Uuid>,
    /// Users to remove, at most 100. Removing oneself is leaving, for which one needs no role.
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
            errors.check(ids.len() <= MAX_NAMED, field, "too_many", "must have at most 100 items");
            for (index, id) in ids.iter().enumerate() {
                if !seen.insert(id) {
                    errors.add(format!("{field}.{index}"), "repeated", "is named twice");
                }
            }
        }
    }
}

/// A role to give.
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Participant {
    /// The user.
    pub id: Uuid,
    /// Their name.
    #[schema(example = "ada")]
    pub username: String,
    /// What they may do.
    pub role: Role,
    /// When they joined.
    pub joined_at: Timestamp,
    /// How far messages have reached them.
    #[schema(example = 7)]
    pub last_delivered_seq: i64,
    /// How far they have read.
    #[schema(example = 7)]
    pub last_read_seq: i64,
}

/// A thread, as one of its participants sees it.
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
    /// Who started it.
    pub creator_id: Uuid,
    /// What someone who joins later sees.
    pub history: History,
    /// The participants, at most the first 50.
    pub participants: Vec<Participant>,
    /// How many participants there are.
    #[schema(example = 2)]
    pub participant_count: i32,
    /// The last message that the caller can see.
    pub last_message: Option<Message>,
    /// The `seq` of the last message; 0 where there is none.
    #[schema(example = 8)]
    pub last_seq: i64,
    /// The number of changes so far.
    #[schema(example = 9)]
    pub version: i64,
    /// How many messages of others the caller has not read.
    #[schema(example = 1)]
    pub unread_count: i64,
    /// When it was started.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When the last message was sent, or the thread started.
    pub last_activity_at: Timestamp,
}

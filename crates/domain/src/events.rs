//! The kinds of event that the messenger writes to the log, and their subjects.

use groundwork_core::{Uuid, events::Subject};

/// A thread as the subject of an event.
pub fn thread(id: Uuid) -> Subject {
    Subject::new("thread", id)
}

/// A user as the subject of an event.
pub fn user(id: Uuid) -> Subject {
    Subject::new("user", id)
}

/// A message was sent. Payload: `message_id`, `seq`.
pub const MESSAGE_CREATED: &str = "message.created";
/// A message was edited. Payload: `message_id`, `seq`.
pub const MESSAGE_UPDATED: &str = "message.updated";
/// A message was deleted. Payload: `message_id`, `seq`.
pub const MESSAGE_DELETED: &str = "message.deleted";
/// A participant's delivered or read position moved. Payload: `kind`, `seq`.
pub const RECEIPT_UPDATED: &str = "receipt.updated";
/// A thread was started.
pub const THREAD_CREATED: &str = "thread.created";
/// A thread was renamed or otherwise changed.
pub const THREAD_UPDATED: &str = "thread.updated";
/// A thread was deleted.
pub const THREAD_DELETED: &str = "thread.deleted";
/// Someone came into a thread. Payload: `role`.
pub const PARTICIPANT_ADDED: &str = "participant.added";
/// Someone has another role in a thread. Payload: `role`.
pub const PARTICIPANT_UPDATED: &str = "participant.updated";
/// Someone left a thread or was removed from it.
pub const PARTICIPANT_REMOVED: &str = "participant.removed";
/// A user was made, changed, deactivated, deleted or restored.
pub const USER_UPDATED: &str = "user.updated";

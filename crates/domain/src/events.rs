//! The kinds and the subjects of the messenger's events.
//!
//! Each event of a thread that has a version has it alone: `(thread, version)` is unique in the log.

use groundwork_core::{Uuid, events::Subject};

/// A thread as the subject of an event.
pub fn thread(id: Uuid) -> Subject {
    Subject::new("thread", id)
}

/// The kind of a user as the subject of an event.
pub const USER: &str = "user";

/// A user as the subject of an event.
pub fn user(id: Uuid) -> Subject {
    Subject::new(USER, id)
}

/// A message was sent. Payload: `seq`, and `client_id`, the sender's own id for it, if there is one. Older events have
/// `message_id` as well; the thread and the `seq` identify the message.
pub const MESSAGE_CREATED: &str = "message.created";
/// A message was edited. Payload: `seq`.
pub const MESSAGE_UPDATED: &str = "message.updated";
/// A message was deleted. Payload: `seq`.
pub const MESSAGE_DELETED: &str = "message.deleted";
/// A participant's delivered or read position moved. It has no version. Payload: `kind`, `seq`, `at`.
pub const RECEIPT_UPDATED: &str = "receipt.updated";
/// A thread was created. Payload: `participants`, each with `id` and `shows_presence`.
pub const THREAD_CREATED: &str = "thread.created";
/// The name or the history setting of a thread changed.
pub const THREAD_UPDATED: &str = "thread.updated";
/// A thread was deleted.
pub const THREAD_DELETED: &str = "thread.deleted";
/// A user was added to a thread. Payload: `role`, `joined_seq`, `joined_version`, `shows_presence`.
pub const PARTICIPANT_ADDED: &str = "participant.added";
/// The role of a participant changed. Payload: `role`.
pub const PARTICIPANT_UPDATED: &str = "participant.updated";
/// A participant left a thread or was removed from it.
pub const PARTICIPANT_REMOVED: &str = "participant.removed";
/// A user was created, updated, deactivated, deleted or restored.
pub const USER_UPDATED: &str = "user.updated";

//! The messenger's entries of the table of error codes.

use groundwork_core::{Code, Kind};

/// The username or the e-mail address is in use.
pub const NAME_TAKEN: Code = Code::new("name_taken", Kind::Conflict, "The name is taken")
    .example("another account has that username or e-mail address");
/// The request names a user that does not exist.
pub const USER_NOT_FOUND: Code =
    Code::new("user_not_found", Kind::NotFound, "User not found").example("there is no such user");
/// The request names a user who is deactivated or deleted, and so can't receive messages, join or own a thread.
pub const USER_INACTIVE: Code =
    Code::new("user_inactive", Kind::Conflict, "The user is deactivated").example("the user is deactivated");
/// The only active superuser can't be demoted, deactivated or deleted.
pub const LAST_SUPERUSER: Code =
    Code::new("last_superuser", Kind::Conflict, "There must be an active superuser")
        .example("make another user a superuser first");
/// A direct thread has no name and no roles, and its participants can't change.
pub const DIRECT_THREAD: Code =
    Code::new("direct_thread", Kind::Conflict, "A direct thread can't be changed")
        .example("a direct thread can't be renamed, left, deleted or given roles");
/// A user to add is a participant already.
pub const ALREADY_PARTICIPANT: Code =
    Code::new("already_participant", Kind::Conflict, "Already a participant")
        .example("a user to add is in the thread already");
/// A user to remove is not a participant.
pub const NOT_A_PARTICIPANT: Code = Code::new("not_a_participant", Kind::Conflict, "Not a participant")
    .example("a user to remove is not in the thread");
/// The only active owner of a group can't leave, be removed or get another role.
pub const LAST_OWNER: Code = Code::new("last_owner", Kind::Conflict, "A group must have an owner")
    .example("make another active participant an owner first");
/// A thread can't have more participants.
pub const THREAD_FULL: Code = Code::new("thread_full", Kind::Conflict, "The thread is full")
    .example("a thread has at most 10000 participants");
/// A message that somebody has read can't be deleted by its sender.
pub const ALREADY_READ: Code = Code::new("already_read", Kind::Conflict, "The message has been read")
    .example("somebody has read the message");
/// A client knows a version that the thread has not reached, as after a restore of the database.
pub const VERSION_AHEAD: Code =
    Code::new("version_ahead", Kind::Conflict, "The version is ahead of the thread")
        .example("since is 12, but the thread's version is 9; start again from 0");

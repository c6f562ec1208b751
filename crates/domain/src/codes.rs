//! The messenger's entries of the table of error codes.

use groundwork_core::{Code, Kind};

/// A username or an e-mail address is in use.
pub const NAME_TAKEN: Code = Code::new("name_taken", Kind::Conflict, "That name is taken")
    .example("another account has that username or e-mail address");
/// A user who was named isn't there, or isn't active.
pub const USER_NOT_FOUND: Code = Code::new("user_not_found", Kind::NotFound, "No such user")
    .example("a user that was named isn't there or isn't active");
/// The only superuser can't be demoted, deactivated or deleted.
pub const LAST_SUPERUSER: Code =
    Code::new("last_superuser", Kind::Conflict, "The last superuser has to stay")
        .example("make somebody else a superuser first");
/// A direct thread has neither name nor roles, and keeps its two participants.
pub const DIRECT_THREAD: Code =
    Code::new("direct_thread", Kind::Conflict, "A direct thread can't be changed")
        .example("a direct thread can't be renamed, left, deleted or given roles");
/// Someone is a participant already.
pub const ALREADY_PARTICIPANT: Code =
    Code::new("already_participant", Kind::Conflict, "Already a participant")
        .example("someone to add is in the thread");
/// Someone is no participant.
pub const NOT_A_PARTICIPANT: Code = Code::new("not_a_participant", Kind::Conflict, "Not a participant")
    .example("someone to remove is not in the thread");
/// A group must keep an owner.
pub const LAST_OWNER: Code = Code::new("last_owner", Kind::Conflict, "A group must keep an owner")
    .example("make somebody else an owner first");
/// A thread has as many participants as it can have.
pub const THREAD_FULL: Code = Code::new("thread_full", Kind::Conflict, "The thread is full")
    .example("a thread has at most 10000 participants");
/// A message that somebody has read can't be taken back.
pub const ALREADY_READ: Code = Code::new("already_read", Kind::Conflict, "Already read")
    .example("a message that somebody has read can't be taken back");
/// A client knows a version that the thread has not reached, as after a restore of the database.
pub const VERSION_AHEAD: Code =
    Code::new("version_ahead", Kind::Conflict, "The version is ahead of the thread")
        .example("since is 12, but the thread's version is 9; start again from 0");

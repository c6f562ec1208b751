//! The messenger's entries of the table of error codes.

use groundwork_core::{Code, Kind};

/// A username or an e-mail address is in use.
pub const NAME_TAKEN: Code = Code::new("name_taken", Kind::Conflict, "That name is taken");
/// A user who was named isn't there, or isn't active.
pub const USER_NOT_FOUND: Code = Code::new("user_not_found", Kind::NotFound, "No such user");
/// The only superuser can't be demoted, deactivated or deleted.
pub const LAST_SUPERUSER: Code =
    Code::new("last_superuser", Kind::Conflict, "The last superuser has to stay");
/// A direct thread has neither name nor roles, and keeps its two participants.
pub const DIRECT_THREAD: Code =
    Code::new("direct_thread", Kind::Conflict, "A direct thread can't be changed");
/// Someone is a participant already.
pub const ALREADY_PARTICIPANT: Code =
    Code::new("already_participant", Kind::Conflict, "Already a participant");
/// Someone is no participant.
pub const NOT_A_PARTICIPANT: Code = Code::new("not_a_participant", Kind::Conflict, "Not a participant");
/// A group must keep an owner.
pub const LAST_OWNER: Code = Code::new("last_owner", Kind::Conflict, "A group must keep an owner");
/// A thread has as many participants as it can have.
pub const THREAD_FULL: Code = Code::new("thread_full", Kind::Conflict, "The thread is full");
/// A message that somebody has read can't be taken back.
pub const ALREADY_READ: Code = Code::new("already_read", Kind::Conflict, "Already read");
/// A client knows a version that the thread has not reached, as after a restore of the database.
pub const VERSION_AHEAD: Code =
    Code::new("version_ahead", Kind::Conflict, "The version is ahead of the thread");

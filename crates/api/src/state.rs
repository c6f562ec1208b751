//! What the handlers work with.

use groundwork_auth::Auth;
use groundwork_core::Db;
use messenger_domain::{Messages, Threads, Users};

/// Created once and shared by all workers.
#[derive(Clone, Debug)]
pub struct State {
    /// The database.
    pub db: Db,
    /// Signing up, in and out.
    pub auth: Auth<Users>,
    /// The rules for users.
    pub users: Users,
    /// The rules for threads.
    pub threads: Threads,
    /// The rules for messages.
    pub messages: Messages,
}

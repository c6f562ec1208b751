//! What the handlers work with.

use groundwork_auth::Auth;
use groundwork_core::{Db, Gate, Result, Uuid, gate::Pass};
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
    /// Bounds the requests that change one thread, and so wait for its row.
    pub turns: Gate<Uuid>,
}

/// How many requests that change the same thread may hold a connection to the database. The thread's row lets one through
/// at a time; the next ones are ready when it does.
pub(crate) const TURNS: usize = 3;
/// How many more may wait.
pub(crate) const WAITING: usize = 100;

impl State {
    /// Waits for the turn to change a thread, before a connection to the database is taken.
    ///
    /// # Errors
    /// `busy` if too many requests wait already, or the turn does not come in time.
    pub async fn turn(&self, thread: Uuid) -> Result<Pass<Uuid>> {
        self.turns.enter(thread).await
    }

    /// As [`turn`](Self::turn), for the thread of a message.
    pub async fn turn_of_message(&self, message: Uuid) -> Result<Pass<Uuid>> {
        let thread = self.messages.thread_of(self.db.reader(), message).await?;
        // Without such a message there is nothing to wait for.
        self.turns.enter(thread.unwrap_or(message)).await
    }
}

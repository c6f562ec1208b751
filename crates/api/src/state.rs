//! The shared state of the handlers.

use groundwork_auth::Auth;
use groundwork_core::{Db, Gate, Result, Uuid, gate::Pass};
use messenger_domain::{Messages, Threads, Users};

/// The shared state of the handlers. Created once for all workers.
#[derive(Clone, Debug)]
pub struct State {
    /// The database.
    pub db: Db,
    /// The authentication of the users.
    pub auth: Auth<Users>,
    /// The rules for users.
    pub users: Users,
    /// The rules for threads.
    pub threads: Threads,
    /// The rules for messages.
    pub messages: Messages,
    /// Limits the requests that change one thread, as they wait for its row.
    pub turns: Gate<Uuid>,
}

/// The number of requests that change the same thread and hold a connection to the database at the same time. The lock of
/// the thread's row admits one at a time, and the next ones are ready.
pub(crate) const TURNS: usize = 3;
/// The number of further requests that may wait.
pub(crate) const WAITING: usize = 100;

impl State {
    /// Waits for the turn to change a thread. Called before taking a connection to the database.
    ///
    /// # Errors
    /// `busy` if too many requests are waiting, or after the time limit.
    pub async fn turn(&self, thread: Uuid) -> Result<Pass<Uuid>> {
        self.turns.enter(thread).await
    }

    /// As [`turn`](Self::turn), for the thread of a message.
    pub async fn turn_of_message(&self, message: Uuid) -> Result<Pass<Uuid>> {
        let thread = self.messages.thread_of(self.db.reader(), message).await?;
        // Nothing to wait for if the message does not exist.
        self.turns.enter(thread.unwrap_or(message)).await
    }
}

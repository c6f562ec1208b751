//! The shared state of the handlers.

use std::time::Duration;

use groundwork_auth::{Auth, Caller};
use groundwork_core::{Db, Gate, Recent, Result, Uuid, error::codes, events::Observed, gate::Pass};
use groundwork_web::http::respond::Rendered;
use messenger_domain::{Messages, Threads, Users, events, messages::SendQueue, users::Profile};

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
    /// The profiles of callers that were read a moment ago.
    pub profiles: Profiles,
    /// Sends messages into existing threads.
    pub sends: SendQueue,
    /// Limits the requests that change one thread, as they wait for its row.
    pub turns: Gate<Uuid>,
}

/// How many profiles are remembered at most, each less than a kilobyte.
const PROFILES: usize = 4096;

/// The profiles of callers that were read a moment ago, by the ids of the users.
#[derive(Clone, Debug)]
pub struct Profiles(Recent<Uuid, Rendered<Profile>>);

impl Profiles {
    /// Remembers profiles for `ttl`, or until an event of the user.
    pub fn new(db: &Db, ttl: Duration) -> Self {
        let recent = Recent::new(ttl, PROFILES);
        let profiles = recent.clone();
        db.observers().observe(events::USER, move |observed| match observed {
            Observed::Subject(user) => profiles.forget(&user),
            Observed::Anything => profiles.forget_all(),
        });
        Self(recent)
    }
}

/// The number of requests that change the same thread and hold a connection to the database at the same time. The lock of
/// the thread's row admits one at a time, and the next ones are ready.
pub(crate) const TURNS: usize = 3;
/// The number of further requests that may wait.
pub(crate) const WAITING: usize = 100;

impl State {
    /// Returns the profile of the caller.
    ///
    /// # Errors
    /// `session_ended` for a user who was deleted since the session was checked.
    pub async fn profile(&self, caller: &Caller) -> Result<Rendered<Profile>> {
        let read = async || {
            let found = self.users.get_many(self.db.reader(), &[caller.user_id]).await?;
            let profile = found.into_iter().next().map(|user| Profile::new(user, self.auth.groups()));
            profile.as_ref().map(Rendered::new).transpose()
        };
        let profile = self.profiles.0.get_or_read(&caller.user_id, self.db.now(), read).await?;
        profile.ok_or_else(|| codes::SESSION_ENDED.error("the account of the access token was deleted"))
    }

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

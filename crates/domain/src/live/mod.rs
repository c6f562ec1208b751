//! What the messenger tells about its events: who may learn of one, and what they see of it.
//!
//! ```
//! use groundwork_core::events::feed::Feed;
//! use messenger_domain::{MessengerFeed, scopes};
//!
//! let feed = MessengerFeed::new(scopes::groups());
//! assert_eq!(feed.subjects(), ["thread", "user"]);
//! ```

mod catch_up;
mod route;
mod show;
pub mod types;

use groundwork_auth::Groups;
use groundwork_core::{
    Reader, Result, Timestamp, Tx, Uuid,
    events::{
        Model as Event,
        feed::{BoxFuture, Feed, Follow, PersonalData, Route, Shown, Span},
    },
};
use sea_orm::ConnectionTrait;
use serde_json::{Map, Value as Json};

pub use types::LiveEvent;

use crate::{
    threads::{ThreadRepository, Threads},
    users::UserRepository,
};

/// The messenger's answers about the events of threads and users.
#[derive(Clone, Debug)]
pub struct MessengerFeed {
    groups: Groups,
    scan: u64,
}

impl MessengerFeed {
    /// Creates the feed. `groups` have the scopes of the users.
    pub fn new(groups: Groups) -> Self {
        Self { groups, scan: catch_up::SCAN }
    }

    /// Sets how many rows of the log, at least one, a catch-up reads in their order, before it looks into each thread of the user.
    #[must_use]
    pub fn scanning(self, rows: u64) -> Self {
        Self { scan: rows.max(1), ..self }
    }

    /// Returns the events of the span that the user may learn of, as [`Feed::catch_up`] does, on any connection.
    pub async fn missed<C: ConnectionTrait>(
        &self,
        conn: &C,
        user: Uuid,
        span: Span,
        limit: u64,
    ) -> Result<Vec<Event>> {
        catch_up::catch_up(conn, user, span, limit, self.scan).await
    }
}

impl Feed for MessengerFeed {
    fn subjects(&self) -> &'static [&'static str] {
        &["thread", "user"]
    }

    fn route(&self, event: &Event) -> Route {
        route::route(event)
    }

    fn follows<'a>(&'a self, conn: &'a Reader, user: Uuid) -> BoxFuture<'a, Result<Vec<Follow>>> {
        Box::pin(async move {
            let hidden = UserRepository.hidden(conn, &[user]).await?.contains(&user);
            ThreadRepository.follows(conn, user, hidden).await
        })
    }

    fn show<'a>(
        &'a self,
        conn: &'a Reader,
        events: &'a [Event],
    ) -> BoxFuture<'a, Result<Vec<Option<Shown>>>> {
        Box::pin(show::show(conn, &self.groups, events))
    }

    fn personal<'a>(
        &'a self,
        conn: &'a Reader,
        events: &'a [Event],
        wanted: &'a [(usize, Uuid)],
    ) -> BoxFuture<'a, Result<PersonalData>> {
        Box::pin(show::personal(conn, events, wanted))
    }

    fn catch_up<'a>(
        &'a self,
        conn: &'a Reader,
        user: Uuid,
        span: Span,
        limit: u64,
    ) -> BoxFuture<'a, Result<Vec<Event>>> {
        Box::pin(self.missed(conn, user, span, limit))
    }

    fn greeting<'a>(&'a self, conn: &'a Reader, user: Uuid) -> BoxFuture<'a, Result<Map<String, Json>>> {
        Box::pin(async move {
            let total = Threads::default().unread_total(conn, user).await?;
            Ok([("unread_total".to_owned(), total.into())].into_iter().collect())
        })
    }

    fn store_last_seen<'a>(&'a self, tx: &'a Tx, seen: &'a [(Uuid, Timestamp)]) -> BoxFuture<'a, Result<()>> {
        Box::pin(UserRepository.store_last_seen(tx, seen))
    }
}

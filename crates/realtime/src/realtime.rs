//! The parts of live delivery, put together.

use std::{
    collections::HashSet,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix_web::HttpRequest;
use groundwork_core::{
    Db, Result, Uuid,
    error::codes,
    events::{Epoch, Position, feed::Feed},
};
use groundwork_web::{
    Routes,
    http::bearer::{self, Authenticator},
    service::health::{Live, LiveHealth},
};
use tokio::task::JoinHandle;

use crate::{
    Commands, Options, Stats,
    bus::{Bus, BusState},
    cursor::Cursor,
    feeds::Feeds,
    hub::Hub,
    presence::Presence,
    stats::Counters,
    tail::Tail,
};

/// How long connections have to end after they were told to, when the server stops.
const DRAIN: Duration = Duration::from_secs(5);
/// The time until what failed in the background is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Live delivery on this server. Cheap to clone; kept as app data.
#[derive(Clone)]
pub struct Realtime(Arc<Inner>);

struct Inner {
    db: Db,
    bus: Bus,
    feeds: Feeds,
    options: Options,
    hub: Arc<Hub>,
    presence: Presence,
    authenticator: Authenticator,
    commands: Option<Arc<dyn Commands>>,
    epoch: RwLock<Option<Epoch>>,
    unauthenticated: Arc<tokio::sync::Semaphore>,
    is_stopping: AtomicBool,
}

impl fmt::Debug for Realtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Realtime").field("options", &self.0.options).finish_non_exhaustive()
    }
}

/// The tasks of live delivery. They end when it is dropped.
#[derive(Debug)]
pub struct Running(Vec<JoinHandle<()>>);

impl Drop for Running {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

impl Realtime {
    /// Creates live delivery of the events of these feeds.
    pub fn new(
        db: Db,
        authenticator: Authenticator,
        bus: Bus,
        feeds: Vec<Arc<dyn Feed>>,
        commands: Option<Arc<dyn Commands>>,
        options: Options,
    ) -> Self {
        let hub = Arc::new(Hub::new(options, Arc::new(Counters::default())));
        Self(Arc::new(Inner {
            bus,
            feeds: Feeds::new(feeds),
            options,
            hub,
            presence: Presence::new(db.new_id()),
            authenticator,
            commands,
            epoch: RwLock::default(),
            is_stopping: AtomicBool::new(false),
            unauthenticated: Arc::new(tokio::sync::Semaphore::new(options.unauthenticated)),
            db,
        }))
    }

    /// Adds `/ws`, `/events` and `/sync`.
    pub fn routes(routes: &mut Routes) {
        routes.tag("realtime", "Live events: WebSocket, Server-Sent Events and a paged feed.");
        crate::socket::routes(routes);
        crate::sse::routes(routes);
        crate::sync::routes(routes);
    }

    /// Starts to read the log. Without it nothing is delivered.
    pub fn start(&self) -> Running {
        Running(vec![tokio::spawn(Tail::new(self.clone()).run()), tokio::spawn(self.clone().run_presence())])
    }

    /// Tells all clients to come back after a random delay, and waits a few seconds for their connections to end.
    async fn stop(&self) {
        self.0.is_stopping.store(true, Ordering::SeqCst);
        self.everybody_leaves();
        if let Err(error) = self.store_last_seen().await {
            tracing::warn!(%error, "the times at which users were last online were not stored");
        }
        self.hub().stop();
        self.hub().drained(DRAIN).await;
        self.bus().close().await;
    }

    /// Returns the counters of this server.
    pub fn stats(&self) -> Stats {
        let (connections, users, subjects, longest_queue) = self.hub().sizes();
        let size = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        let (counters, bus) = (&self.hub().counters, self.bus().status());
        Stats {
            connections: size(connections),
            users: size(users),
            subjects: size(subjects),
            longest_queue: size(longest_queue),
            opened: Counters::get(&counters.opened),
            queued: Counters::get(&counters.queued),
            dropped: Counters::get(&counters.dropped),
            overflows: Counters::get(&counters.overflows),
            read: Counters::get(&counters.read),
            reads: Counters::get(&counters.reads),
            replayed: Counters::get(&counters.replayed),
            received: Counters::get(&counters.received),
            invalid: Counters::get(&counters.invalid),
            lag_ms: Counters::get(&counters.lag_ms),
            bus_sent: bus.sent,
            bus_received: bus.received,
            bus_dropped: bus.dropped,
        }
    }

    /// Whether the user follows the subject now. Known only while the user has a connection here.
    pub fn follows(&self, user: Uuid, subject: Uuid) -> bool {
        self.hub().follows(user, subject)
    }

    /// Returns the bus.
    pub fn bus(&self) -> &Bus {
        &self.0.bus
    }

    pub(crate) fn db(&self) -> &Db {
        &self.0.db
    }

    pub(crate) fn feeds(&self) -> &Feeds {
        &self.0.feeds
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.0.hub
    }

    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    pub(crate) fn presence(&self) -> &Presence {
        &self.0.presence
    }

    pub(crate) fn authenticator(&self) -> &Authenticator {
        &self.0.authenticator
    }

    pub(crate) fn commands(&self) -> Option<&Arc<dyn Commands>> {
        self.0.commands.as_ref()
    }

    pub(crate) fn unauthenticated(&self) -> &Arc<tokio::sync::Semaphore> {
        &self.0.unauthenticated
    }

    pub(crate) fn epoch(&self) -> Option<Epoch> {
        self.0.epoch.read().map_or(None, |epoch| *epoch)
    }

    pub(crate) fn set_epoch(&self, epoch: Epoch) {
        if let Ok(mut place) = self.0.epoch.write() {
            *place = Some(epoch);
        }
    }

    /// The cursor of a place in the log.
    pub(crate) fn cursor(&self, position: Position) -> Cursor {
        Cursor { epoch: self.epoch().unwrap_or(Epoch::from_bytes([0; 8])), position }
    }

    /// # Errors
    /// `unavailable` until the log was read once, and while the server stops.
    pub(crate) fn require_log(&self) -> Result<()> {
        if self.0.is_stopping.load(Ordering::SeqCst) {
            return Err(codes::UNAVAILABLE.error("the server is stopping; try again in a moment"));
        }
        let not_yet =
            || codes::UNAVAILABLE.error("the event log has not been read yet; try again in a moment");
        self.epoch().map(|_| ()).ok_or_else(not_yet)
    }

    /// Checks the token of a request once more, when its connection is attached to the hub. Otherwise, if the session ended
    /// after the first check and before that, nothing would end the connection.
    pub(crate) async fn check_again(&self, request: &HttpRequest) -> Result<()> {
        self.authenticator().authenticate(&bearer::token_of(request)?).await.map(|_| ())
    }

    /// Reads again what a user follows. One task per user does so, however often this is called.
    pub(crate) fn reload(&self, user: Uuid) {
        if !self.hub().begin_reload(user) {
            return;
        }
        let realtime = self.clone();
        tokio::spawn(async move {
            loop {
                let before = realtime.hub().presence_subjects(user);
                while let Err(error) =
                    realtime.hub().load(realtime.feeds(), realtime.db().reader(), user).await
                {
                    tracing::warn!(%error, "what a user follows was not read again; trying once more");
                    tokio::time::sleep(RETRY).await;
                }
                let before: HashSet<Uuid> = before.into_iter().collect();
                let after: HashSet<Uuid> = realtime.hub().presence_subjects(user).into_iter().collect();
                let from: Vec<Uuid> = before.difference(&after).copied().collect();
                let to: Vec<Uuid> = after.difference(&before).copied().collect();
                realtime.move_presence(user, &from, &to);
                if !realtime.hub().end_reload(user) {
                    return;
                }
            }
        });
    }
}

impl Live for Realtime {
    fn health(&self) -> LiveHealth {
        let stats = self.stats();
        let bus = match self.bus().status().state {
            BusState::Local => "local",
            BusState::Connected => "connected",
            BusState::Disconnected => "disconnected",
        };
        LiveHealth { bus: bus.to_owned(), log_lag_ms: stats.lag_ms, connections: stats.connections }
    }

    fn shut_down(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.stop())
    }
}

//! The connections of this server, and who of them follows what.
//!
//! An event goes from its subject to the users who follow it, and from each of them to their connections: nothing is
//! searched. Only the tail of the log changes who follows what, in the order of the log, so that a change of membership takes
//! effect exactly between the event before it and the one after it.

mod connection;
mod state;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use groundwork_auth::Caller;
use groundwork_core::{
    Reader, Result, Uuid,
    events::{
        Model as Event, Position,
        feed::{Audience, Leaves, Personal, PersonalData, Route, Shown},
    },
};
use serde_json::{Map, Value as Json};
use tokio::sync::watch;

pub(crate) use self::connection::{Connection, Outbox, Pushed};
use self::state::State;
use crate::{
    codes::{Close, TOO_MANY_CONNECTIONS},
    feeds::Feeds,
    frame::{Frame, Head},
    merge::Merger,
    options::Options,
    stats::Counters,
};

/// The maximum number of users on this server for whom an event carries personal data. With more, it has none.
const MAX_PERSONAL: usize = 200;

/// An event on its way to the connections.
#[derive(Debug)]
pub(crate) struct Delivery<'a> {
    pub event: &'a Event,
    pub route: &'a Route,
    /// What clients see; `None` for an event that nobody here gets, or that there is nothing to show of.
    pub shown: Option<Shown>,
    /// Its index in the batch, for the personal data.
    pub index: usize,
    pub personal: &'a PersonalData,
    /// The cursor that clients have reached with it.
    pub cursor: String,
}

/// The connections of this server.
#[derive(Debug)]
pub(crate) struct Hub {
    state: Mutex<State>,
    options: Options,
    stopping: watch::Sender<bool>,
    visits: AtomicUsize,
    pub counters: Arc<Counters>,
}

impl Hub {
    pub fn new(options: Options, counters: Arc<Counters>) -> Self {
        Self {
            state: Mutex::default(),
            options,
            stopping: watch::Sender::new(false),
            visits: AtomicUsize::new(0),
            counters,
        }
    }

    /// Nothing that holds the lock panics halfway through a change, so a poisoned lock is as good as any.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection of the caller. From now on it gets the caller's events.
    ///
    /// # Errors
    /// `too_many_connections`, and the errors of reading what the user follows.
    pub async fn attach(
        self: &Arc<Self>,
        feeds: &Feeds,
        conn: &Reader,
        caller: &Caller,
        queue: usize,
    ) -> Result<Connection> {
        let user = caller.user_id;
        let (connection, is_known) = {
            let mut state = self.state();
            if state.connections_of(user) >= self.options.connections_per_user {
                let limit = self.options.connections_per_user;
                return Err(TOO_MANY_CONNECTIONS
                    .error(format!("a user may have at most {limit} open connections to a server")));
            }
            state.add(Arc::clone(self), caller, queue)
        };
        // Dropping the connection after an error detaches it.
        if !is_known {
            self.load(feeds, conn, user).await?;
        }
        Ok(connection)
    }

    /// Reads what the user follows. Changes that the tail makes meanwhile are made again on top.
    pub async fn load(&self, feeds: &Feeds, conn: &Reader, user: Uuid) -> Result<()> {
        let Some(id) = self.state().begin_load(user) else { return Ok(()) };
        // The request may be dropped at any await.
        let load = Load { hub: self, user, id };
        let follows = feeds.follows(conn, user).await?;
        load.hub.state().end_load(user, id, Some(&follows));
        Ok(())
    }

    /// See [`State::begin_reload`].
    pub fn begin_reload(&self, user: Uuid) -> bool {
        self.state().begin_reload(user)
    }

    /// See [`State::end_reload`].
    pub fn end_reload(&self, user: Uuid) -> bool {
        self.state().end_reload(user)
    }

    /// Removes a connection.
    pub fn detach(&self, user: Uuid, connection: u64) {
        self.state().remove(user, connection);
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        !self.state().has_connections()
    }

    /// For each event of a batch, whether somebody here may get it.
    pub fn wanted(&self, events: &[(&Event, &Route)]) -> Vec<bool> {
        let state = self.state();
        let mut joined = std::collections::HashSet::new();
        events
            .iter()
            .map(|(event, route)| {
                let joins = route.joins.iter().any(|(user, _)| state.is_connected(*user));
                if joins {
                    joined.insert(event.subject_id);
                }
                let leaves = match &route.leaves {
                    Leaves::Users(users) => users.iter().any(|user| state.is_connected(*user)),
                    Leaves::Nobody | Leaves::Everybody => false,
                };
                match route.audience {
                    Audience::Nobody => false,
                    Audience::Concerned => event.user_id.is_some_and(|user| state.is_connected(user)),
                    Audience::Followers { .. } => {
                        leaves
                            || joined.contains(&event.subject_id)
                            || state.followers(event.subject_id).is_some()
                    }
                    Audience::Everyone => state.has_connections(),
                }
            })
            .collect()
    }

    /// The users for whom the event has personal data, at most [`MAX_PERSONAL`]; none if there are more.
    pub fn personal_of(&self, event: &Event, route: &Route, personal: Personal) -> Vec<Uuid> {
        let state = self.state();
        let mut users: Vec<Uuid> = match personal {
            Personal::Nobody => return Vec::new(),
            Personal::Concerned => event.user_id.into_iter().collect(),
            Personal::Audience => {
                let followers = state.followers(event.subject_id).map_or(0, std::collections::HashMap::len);
                if followers > MAX_PERSONAL {
                    return Vec::new();
                }
                let followers = state.followers(event.subject_id).into_iter().flat_map(|all| all.keys());
                followers.copied().chain(route.joins.iter().map(|(user, _)| *user)).collect()
            }
        };
        users.retain(|user| state.is_connected(*user));
        users.sort_unstable();
        users.dedup();
        users.truncate(MAX_PERSONAL);
        users
    }

    /// Sends an event to everybody here who may learn of it, and changes who follows its subject. `merger` takes an event
    /// that may wait; `before` is the place of the event before it.
    pub fn deliver(&self, delivery: &Delivery<'_>, before: Position, merger: &mut Merger) {
        let Delivery { event, route, .. } = delivery;
        let mut state = self.state();
        for (user, follow) in &route.joins {
            state.join(*user, *follow);
        }
        if let Some(shown) = &delivery.shown {
            let users = state.recipients(event, route);
            self.send_event(&mut state, delivery, shown, users, before, merger);
        }
        match &route.leaves {
            Leaves::Nobody => {}
            Leaves::Users(users) => {
                for user in users {
                    state.leave(*user, event.subject_id);
                }
            }
            Leaves::Everybody => state.remove_subject(event.subject_id),
        }
    }

    fn send_event(
        &self,
        state: &mut State,
        delivery: &Delivery<'_>,
        shown: &Shown,
        mut users: Vec<Uuid>,
        before: Position,
        merger: &mut Merger,
    ) {
        let head = Head::of(delivery.event, shown.scope);
        let frame = |data: &Map<String, Json>| Arc::new(Frame::event(&head, delivery.cursor.clone(), data));
        // Those with data of their own get a frame of their own.
        users.retain(|user| {
            let Some(own) = delivery.personal.get(&(delivery.index, *user)) else { return true };
            let mut data = shown.data.clone();
            data.extend(own.clone());
            state.send(&[*user], &frame(&data), &self.counters);
            false
        });
        if users.is_empty() {
            return;
        }
        // What was merged goes to all who follow the subject by then.
        let is_for_all = delivery.route.audience == Audience::Followers { place: None };
        match &shown.merge {
            Some(merge) if is_for_all => merger.push(before, delivery.event, shown, merge),
            _ => state.send(&users, &frame(&shown.data), &self.counters),
        }
    }

    /// Sends a frame to the followers of a subject, except to one user.
    pub fn send_to_followers(&self, subject: Uuid, frame: &Arc<Frame>, except: Option<Uuid>) {
        let mut state = self.state();
        let users: Vec<Uuid> = state
            .followers(subject)
            .into_iter()
            .flat_map(|all| all.keys())
            .copied()
            .filter(|user| Some(*user) != except)
            .collect();
        state.send(&users, frame, &self.counters);
    }

    /// Sends a frame to one connection, in the order of its other frames.
    pub fn send_to_connection(&self, connection: &Connection, frame: &Arc<Frame>) {
        self.state().send_to(connection.user, connection.id(), frame, &self.counters);
    }

    /// Sends a frame to the connections of these users.
    pub fn send_to_users(&self, users: &[Uuid], frame: &Arc<Frame>) {
        self.state().send(users, frame, &self.counters);
    }

    /// The users here who follow one of the subjects, each once.
    pub fn followers_of(&self, subjects: &[Uuid]) -> Vec<Uuid> {
        let state = self.state();
        let mut users: Vec<Uuid> = subjects
            .iter()
            .filter_map(|subject| state.followers(*subject))
            .flat_map(|followers| followers.keys().copied())
            .collect();
        users.sort_unstable();
        users.dedup();
        users
    }

    /// Whether the user follows the subject, as far as this server knows.
    pub fn follows(&self, user: Uuid, subject: Uuid) -> bool {
        self.state().followers(subject).is_some_and(|followers| followers.contains_key(&user))
    }

    /// The subjects of the user whose other followers see when they are online.
    pub fn presence_subjects(&self, user: Uuid) -> Vec<Uuid> {
        self.state().presence_subjects(user)
    }

    /// The subjects that the user follows.
    pub fn subjects_of(&self, user: Uuid) -> Vec<Uuid> {
        self.state().subjects_of(user)
    }

    /// The users with a connection here whose presence shows in one of the subjects.
    pub fn present_in(&self, subjects: &[Uuid]) -> Vec<Uuid> {
        self.state().present_in(subjects)
    }

    /// A connection goes on with a fresh token of the same user.
    pub fn renew(&self, connection: &Connection, caller: &Caller) {
        self.state().renew(connection.id(), caller);
    }

    /// The users who have a connection here.
    pub fn users(&self) -> std::collections::HashSet<Uuid> {
        self.state().users()
    }

    /// Closes the connections of a session.
    pub fn end_session(&self, user: Uuid, session: Uuid) {
        self.state().end_session(user, session, Close::SESSION_ENDED);
    }

    /// Closes all connections.
    pub fn end_all(&self, close: Close) {
        self.state().end_all(close);
    }

    /// Closes all connections, and every further one at once, as the server stops.
    pub fn stop(&self) {
        self.state().close(Close::RESTART);
        self.stopping.send_replace(true);
    }

    /// Waits until the server stops.
    pub async fn stopping(&self) {
        // The sender lives as long as the hub.
        let _ = self.stopping.subscribe().wait_for(|is_stopping| *is_stopping).await;
    }

    /// Counts a client until the guard is dropped, so that a server that stops waits for it.
    pub fn visit(self: &Arc<Self>) -> Visit {
        self.visits.fetch_add(1, Ordering::SeqCst);
        Visit(Arc::clone(self))
    }

    /// The number of connections, of users with one, and of subjects that are followed, and the longest queue.
    pub fn sizes(&self) -> (usize, usize, usize, usize) {
        self.state().sizes()
    }

    /// Waits until no client is left, at most that long.
    pub async fn drained(&self, limit: Duration) {
        let wait = async {
            while self.visits.load(Ordering::SeqCst) > 0 || self.state().has_connections() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = tokio::time::timeout(limit, wait).await;
    }
}

/// A read of what a user follows. It ends when this is dropped.
struct Load<'a> {
    hub: &'a Hub,
    user: Uuid,
    id: u64,
}

impl Drop for Load<'_> {
    fn drop(&mut self) {
        self.hub.state().end_load(self.user, self.id, None);
    }
}

/// A client that the server serves. See [`Hub::visit`].
#[derive(Debug)]
pub(crate) struct Visit(Arc<Hub>);

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.visits.fetch_sub(1, Ordering::SeqCst);
    }
}

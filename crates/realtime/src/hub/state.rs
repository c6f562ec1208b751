//! The tables of the hub.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use groundwork_auth::{Caller, Scopes};
use groundwork_core::{
    Uuid,
    events::{
        Model as Event,
        feed::{Audience, Follow, Leaves, Route},
    },
};

use super::{Connection, Hub, Outbox, Pushed};
use crate::{codes::Close, frame::Frame, stats::Counters};

/// The maximum number of users of one subject whose presence is looked up at once.
const MAX_PRESENT: usize = 200;

/// A connection in the tables.
#[derive(Debug)]
pub(super) struct Entry {
    id: u64,
    session: Uuid,
    scopes: Scopes,
    outbox: Arc<Outbox>,
}

impl Entry {
    /// Puts a frame into the queue. A full queue ends the connection, unless it reads the log anyway.
    fn queue(&self, frame: &Arc<Frame>, counters: &Counters) {
        match self.outbox.push(frame) {
            Pushed::Queued => Counters::add(&counters.queued, 1),
            Pushed::Dropped => Counters::add(&counters.dropped, 1),
            Pushed::Overflowed => {
                Counters::add(&counters.dropped, 1);
                Counters::add(&counters.overflows, 1);
            }
        }
    }
}

/// A user with a connection here.
#[derive(Debug, Default)]
struct User {
    entries: Vec<Entry>,
    /// What they follow, and whether others see their presence there.
    subjects: HashMap<Uuid, bool>,
    is_loaded: bool,
    /// The reads under way of what they follow, each with what the tail changed meanwhile.
    loads: Vec<(u64, Vec<Change>)>,
    /// Whether a reload is under way, and whether another one has to follow.
    reload: Reload,
}

/// A subject, and how the user follows it from now on; `None` for no longer.
type Change = (Uuid, Option<Follow>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reload {
    #[default]
    Idle,
    Running,
    Again,
}

impl User {
    /// The reads under way may have seen an older state.
    fn note(&mut self, subject: Uuid, follow: Option<Follow>) {
        for (_, changes) in &mut self.loads {
            changes.push((subject, follow));
        }
    }
}

/// The tables of the hub.
#[derive(Debug, Default)]
pub(super) struct State {
    users: HashMap<Uuid, User>,
    followers: HashMap<Uuid, HashMap<Uuid, Follow>>,
    last_id: u64,
    /// The server stops: every further connection ends at once.
    closing: Option<Close>,
}

impl State {
    pub fn connections_of(&self, user: Uuid) -> usize {
        self.users.get(&user).map_or(0, |user| user.entries.len())
    }

    pub fn is_connected(&self, user: Uuid) -> bool {
        self.users.contains_key(&user)
    }

    pub fn has_connections(&self) -> bool {
        !self.users.is_empty()
    }

    pub fn followers(&self, subject: Uuid) -> Option<&HashMap<Uuid, Follow>> {
        self.followers.get(&subject)
    }

    pub fn presence_subjects(&self, user: Uuid) -> Vec<Uuid> {
        let subjects = self.users.get(&user).into_iter().flat_map(|user| &user.subjects);
        subjects.filter(|(_, shows)| **shows).map(|(subject, _)| *subject).collect()
    }

    pub fn subjects_of(&self, user: Uuid) -> Vec<Uuid> {
        self.users.get(&user).into_iter().flat_map(|user| user.subjects.keys().copied()).collect()
    }

    /// Of large subjects nobody's presence shows, so this looks at few followers of each.
    pub fn present_in(&self, subjects: &[Uuid]) -> Vec<Uuid> {
        let shows = |user: &Uuid, subject: &Uuid| {
            self.users.get(user).and_then(|user| user.subjects.get(subject)).is_some_and(|shows| *shows)
        };
        let mut users = Vec::new();
        for subject in subjects {
            let followers = self.followers.get(subject).into_iter().flat_map(HashMap::keys);
            users.extend(followers.filter(|user| shows(user, subject)).take(MAX_PRESENT));
        }
        users
    }

    /// Adds a connection. Returns it, and whether what its user follows is known already.
    pub fn add(&mut self, hub: Arc<Hub>, caller: &Caller, queue: usize) -> (Connection, bool) {
        self.last_id += 1;
        let outbox = Arc::new(Outbox::new(queue));
        if let Some(close) = self.closing {
            outbox.end(close);
        }
        let user = self.users.entry(caller.user_id).or_default();
        user.entries.push(Entry {
            id: self.last_id,
            session: caller.session_id,
            scopes: caller.scopes.clone(),
            outbox: Arc::clone(&outbox),
        });
        (Connection { user: caller.user_id, outbox, id: self.last_id, hub }, user.is_loaded)
    }

    /// Replaces the session and the scopes of a connection, after a fresh authentication.
    pub fn renew(&mut self, connection: u64, caller: &Caller) {
        let entries = self.users.get_mut(&caller.user_id).into_iter().flat_map(|user| &mut user.entries);
        for entry in entries.filter(|entry| entry.id == connection) {
            entry.session = caller.session_id;
            entry.scopes = caller.scopes.clone();
        }
    }

    pub fn remove(&mut self, user_id: Uuid, connection: u64) {
        let Some(user) = self.users.get_mut(&user_id) else { return };
        user.entries.retain(|entry| entry.id != connection);
        if !user.entries.is_empty() {
            return;
        }
        let subjects = self.users.remove(&user_id).map(|user| user.subjects).unwrap_or_default();
        for subject in subjects.keys() {
            self.remove_follower(*subject, user_id);
        }
    }

    fn remove_follower(&mut self, subject: Uuid, user: Uuid) {
        if let Some(followers) = self.followers.get_mut(&subject) {
            followers.remove(&user);
            if followers.is_empty() {
                self.followers.remove(&subject);
            }
        }
    }

    /// Begins to read what a user follows. Returns the number of the read; `None` if the user has no connection any more.
    pub fn begin_load(&mut self, user: Uuid) -> Option<u64> {
        let user = self.users.get_mut(&user)?;
        self.last_id += 1;
        user.loads.push((self.last_id, Vec::new()));
        Some(self.last_id)
    }

    /// Ends a read, with its result or without one. A read that began before the user's present connections is unknown by
    /// now, and has no effect.
    pub fn end_load(&mut self, user_id: Uuid, load: u64, follows: Option<&[Follow]>) {
        let Some(user) = self.users.get_mut(&user_id) else { return };
        let Some(place) = user.loads.iter().position(|(id, _)| *id == load) else { return };
        let (_, changes) = user.loads.swap_remove(place);
        let Some(follows) = follows else { return };
        user.is_loaded = true;
        let mut wanted: HashMap<Uuid, Follow> =
            follows.iter().map(|follow| (follow.subject, *follow)).collect();
        for (subject, follow) in changes {
            match follow {
                Some(follow) => wanted.insert(subject, follow),
                None => wanted.remove(&subject),
            };
        }
        let shows = wanted.iter().map(|(subject, follow)| (*subject, follow.shows_presence)).collect();
        let before = std::mem::replace(&mut user.subjects, shows);
        for subject in before.keys().filter(|subject| !wanted.contains_key(*subject)) {
            self.remove_follower(*subject, user_id);
        }
        for (subject, follow) in wanted {
            self.followers.entry(subject).or_default().insert(user_id, follow);
        }
    }

    /// Returns whether a reload has to be started: not if the user is not here, or if one is under way, which then does
    /// another round.
    pub fn begin_reload(&mut self, user: Uuid) -> bool {
        let Some(user) = self.users.get_mut(&user) else { return false };
        let is_idle = user.reload == Reload::Idle;
        user.reload = if is_idle { Reload::Running } else { Reload::Again };
        is_idle
    }

    /// Returns whether the reload has to do another round.
    pub fn end_reload(&mut self, user: Uuid) -> bool {
        let Some(user) = self.users.get_mut(&user) else { return false };
        let is_again = user.reload == Reload::Again;
        user.reload = if is_again { Reload::Running } else { Reload::Idle };
        is_again
    }

    /// The user follows a subject from now on.
    pub fn join(&mut self, user_id: Uuid, follow: Follow) {
        let Some(user) = self.users.get_mut(&user_id) else { return };
        user.note(follow.subject, Some(follow));
        user.subjects.insert(follow.subject, follow.shows_presence);
        self.followers.entry(follow.subject).or_default().insert(user_id, follow);
    }

    /// The user no longer follows a subject.
    pub fn leave(&mut self, user_id: Uuid, subject: Uuid) {
        let Some(user) = self.users.get_mut(&user_id) else { return };
        user.note(subject, None);
        user.subjects.remove(&subject);
        self.remove_follower(subject, user_id);
    }

    /// Nobody follows the subject any more.
    pub fn remove_subject(&mut self, subject: Uuid) {
        let followers: Vec<Uuid> =
            self.followers.get(&subject).into_iter().flat_map(|all| all.keys().copied()).collect();
        for user in followers {
            self.leave(user, subject);
        }
        // Whoever is being read may find it in an older state of the database.
        for user in self.users.values_mut() {
            user.note(subject, None);
        }
    }

    /// The users here who may learn of the event, each once.
    pub fn recipients(&self, event: &Event, route: &Route) -> Vec<Uuid> {
        match route.audience {
            Audience::Nobody => Vec::new(),
            Audience::Concerned => {
                event.user_id.filter(|user| self.is_connected(*user)).into_iter().collect()
            }
            Audience::Everyone => self.users.keys().copied().collect(),
            Audience::Followers { place } => {
                let may = |follow: &Follow| {
                    event.version.is_none_or(|version| version >= follow.from_version)
                        && place.is_none_or(|place| place > follow.after_place)
                };
                let followers = self.followers.get(&event.subject_id);
                let mut users: Vec<Uuid> = followers
                    .into_iter()
                    .flatten()
                    .filter(|(_, follow)| may(follow))
                    .map(|(user, _)| *user)
                    .collect();
                // They may have connected after the database was changed, and before the tail came to this event.
                if let Leaves::Users(leaving) = &route.leaves {
                    let is_new =
                        |user: &&Uuid| !followers.is_some_and(|followers| followers.contains_key(*user));
                    users.extend(leaving.iter().filter(is_new).filter(|user| self.is_connected(**user)));
                }
                users
            }
        }
    }

    /// Queues a frame for every connection of these users whose token has its scope.
    pub fn send(&mut self, users: &[Uuid], frame: &Arc<Frame>, counters: &Counters) {
        let entries = users.iter().filter_map(|user| self.users.get(user)).flat_map(|user| &user.entries);
        for entry in entries.filter(|entry| frame.scope.is_empty() || entry.scopes.contains(frame.scope)) {
            entry.queue(frame, counters);
        }
    }

    /// Queues a frame for one connection.
    pub fn send_to(&self, user: Uuid, connection: u64, frame: &Arc<Frame>, counters: &Counters) {
        let entries = self.users.get(&user).into_iter().flat_map(|user| &user.entries);
        for entry in entries.filter(|entry| entry.id == connection) {
            entry.queue(frame, counters);
        }
    }

    /// Ends the connections of a session.
    pub fn end_session(&self, user: Uuid, session: Uuid, close: Close) {
        let entries = self.users.get(&user).into_iter().flat_map(|user| &user.entries);
        for entry in entries.filter(|entry| entry.session == session) {
            entry.outbox.end(close);
        }
    }

    /// Ends all connections.
    pub fn end_all(&self, close: Close) {
        for entry in self.users.values().flat_map(|user| &user.entries) {
            entry.outbox.end(close);
        }
    }

    /// From now on every connection ends at once.
    pub fn close(&mut self, close: Close) {
        self.closing = Some(close);
        self.end_all(close);
    }

    /// The number of connections, of users and of subjects, and the length of the longest queue.
    pub fn sizes(&self) -> (usize, usize, usize, usize) {
        let entries = || self.users.values().flat_map(|user| &user.entries);
        let longest = entries().map(|entry| entry.outbox.len()).max();
        (entries().count(), self.users.len(), self.followers.len(), longest.unwrap_or(0))
    }

    /// The users who have a connection here.
    pub fn users(&self) -> HashSet<Uuid> {
        self.users.keys().copied().collect()
    }
}

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
use tokio::sync::mpsc::{self, error::TrySendError};

use super::{Connection, Ended, Hub};
use crate::{codes::Close, frame::Frame, stats::Counters};

/// The maximum number of users of one subject whose presence is looked up at once.
const MAX_PRESENT: usize = 200;

/// A connection in the tables.
#[derive(Debug)]
pub(super) struct Entry {
    id: u64,
    pub session: Uuid,
    scopes: Scopes,
    queue: mpsc::Sender<Arc<Frame>>,
    ended: Arc<Ended>,
}

impl Entry {
    /// Puts a frame into the queue. A full queue ends the connection, unless it reads the log anyway.
    fn queue(&self, frame: &Arc<Frame>, counters: &Counters) {
        match self.queue.try_send(Arc::clone(frame)) {
            Ok(()) => Counters::add(&counters.queued, 1),
            Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(_)) => {
                Counters::add(&counters.dropped, 1);
                if !self.ended.overflow() {
                    Counters::add(&counters.overflows, 1);
                }
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
    loads: usize,
    /// What the tail changed while it was being read.
    changes: Vec<(Uuid, Option<Follow>)>,
}

/// The tables of the hub.
#[derive(Debug, Default)]
pub(super) struct State {
    users: HashMap<Uuid, User>,
    followers: HashMap<Uuid, HashMap<Uuid, Follow>>,
    last_id: u64,
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
        let (sender, frames) = mpsc::channel(queue.max(1));
        let ended = Arc::new(Ended::default());
        let user = self.users.entry(caller.user_id).or_default();
        user.entries.push(Entry {
            id: self.last_id,
            session: caller.session_id,
            scopes: caller.scopes.clone(),
            queue: sender,
            ended: Arc::clone(&ended),
        });
        (Connection { user: caller.user_id, ended, id: self.last_id, frames, hub }, user.is_loaded)
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

    /// Begins to read what a user follows. Returns from which change on the result has to be corrected; `None` if the user
    /// has no connection any more.
    pub fn begin_load(&mut self, user: Uuid) -> Option<usize> {
        let user = self.users.get_mut(&user)?;
        user.loads += 1;
        Some(user.changes.len())
    }

    pub fn end_load(&mut self, user_id: Uuid, since: usize, follows: Option<&[Follow]>) {
        let Some(user) = self.users.get_mut(&user_id) else { return };
        user.loads = user.loads.saturating_sub(1);
        let changes: Vec<_> = user.changes.iter().skip(since).copied().collect();
        if user.loads == 0 {
            user.changes.clear();
        }
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

    /// The user follows a subject from now on.
    pub fn join(&mut self, user_id: Uuid, follow: Follow) {
        let Some(user) = self.users.get_mut(&user_id) else { return };
        if user.loads > 0 {
            user.changes.push((follow.subject, Some(follow)));
        }
        user.subjects.insert(follow.subject, follow.shows_presence);
        self.followers.entry(follow.subject).or_default().insert(user_id, follow);
    }

    /// The user no longer follows a subject.
    pub fn leave(&mut self, user_id: Uuid, subject: Uuid) {
        let Some(user) = self.users.get_mut(&user_id) else { return };
        if user.loads > 0 {
            user.changes.push((subject, None));
        }
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
        for user in self.users.values_mut().filter(|user| user.loads > 0) {
            user.changes.push((subject, None));
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

    /// Ends the connections that match, of one user or of all.
    pub fn end_where(&self, user: Option<Uuid>, close: Close, matches: impl Fn(&Entry) -> bool) {
        let of_user = |id: &Uuid| user.is_none_or(|user| user == *id);
        let users = self.users.iter().filter(|(id, _)| of_user(id));
        for entry in users.flat_map(|(_, user)| &user.entries).filter(|entry| matches(entry)) {
            entry.ended.end(close);
        }
    }

    /// The number of connections, of users and of subjects, and the length of the longest queue.
    pub fn sizes(&self) -> (usize, usize, usize, usize) {
        let entries = || self.users.values().flat_map(|user| &user.entries);
        let longest = entries().map(|entry| entry.queue.max_capacity() - entry.queue.capacity()).max();
        (entries().count(), self.users.len(), self.followers.len(), longest.unwrap_or(0))
    }

    /// The users who have a connection here.
    pub fn users(&self) -> HashSet<Uuid> {
        self.users.keys().copied().collect()
    }
}

//! Who is online, and other hints that end by themselves, such as typing.
//!
//! All of it is in memory and goes over the bus alone. Only the time at which a user was last online is stored, for many
//! users at once.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use groundwork_core::{Result, Timestamp, Uuid};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::{
    Realtime,
    bus::{Hint, Signal},
    frame::Frame,
};

/// How long a user counts as online after their last connection, so that a page that is loaded again goes unnoticed.
const GRACE: Duration = Duration::from_secs(5);
/// How often a server repeats who is online there.
const REPEAT: Duration = Duration::from_secs(30);
/// How long that is believed.
const BELIEVED: Duration = Duration::from_secs(75);
/// How often the times at which users were last online are stored.
const STORE: Duration = Duration::from_mins(1);
/// The maximum number of users in one signal to other servers.
const CHUNK: usize = 200;
/// The maximum number of subjects in a signal about one user.
const MAX_SUBJECTS: usize = 200;
/// The maximum number of users whose presence a client gets when it connects.
const MAX_GREETED: usize = 200;
/// The maximum number of users of other servers, and of hints, that are kept.
const MAX_KEPT: usize = 200_000;
/// The hint of a change of presence.
const PRESENCE: &str = "presence";
/// The hint that repeats who is online.
const PRESENT: &str = "present";

/// Whether a user is online.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Without a connection.
    Offline,
    /// Connected, but not there.
    Away,
    /// Connected.
    Online,
}

/// What is known of a user.
#[derive(Debug, Default)]
struct Known {
    /// By connection here.
    here: HashMap<u64, Status>,
    /// When the user is offline here, after the last connection.
    leaves_at: Option<Instant>,
    /// Where the user's presence shows, as of the last connection.
    subjects: Vec<Uuid>,
    /// By other server: the status, and until when it is believed.
    elsewhere: HashMap<Uuid, (Status, Instant)>,
}

impl Known {
    fn here(&self) -> Status {
        let connected = self.here.values().max().copied();
        connected.or(self.leaves_at.map(|_| Status::Online)).unwrap_or(Status::Offline)
    }

    fn status(&self) -> Status {
        let elsewhere = self.elsewhere.values().map(|(status, _)| *status).max();
        self.here().max(elsewhere.unwrap_or(Status::Offline))
    }
}

/// A hint: its kind, the subject by kind and id, and the user.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct HintKey {
    kind: String,
    subject_kind: String,
    subject: Uuid,
    user: Uuid,
}

#[derive(Debug, Default)]
struct State {
    users: HashMap<Uuid, Known>,
    /// Users of other servers, by the subjects where their presence shows.
    elsewhere: HashMap<Uuid, HashSet<Uuid>>,
    /// Hints that are shown now, until when.
    hints: HashMap<HintKey, Instant>,
    /// Users who went offline, and when.
    seen: HashMap<Uuid, Timestamp>,
}

/// Presence and hints on this server.
#[derive(Debug)]
pub(crate) struct Presence {
    server: Uuid,
    state: Mutex<State>,
}

/// A change that others have to learn of.
struct Change {
    user: Uuid,
    status: Status,
    subjects: Vec<Uuid>,
}

impl Presence {
    pub fn new(server: Uuid) -> Self {
        Self { server, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change to what is known of a user, and returns the new status if it is another.
    fn change(&self, user: Uuid, change: impl FnOnce(&mut Known)) -> Option<Status> {
        let mut state = self.state();
        let known = state.users.entry(user).or_default();
        let before = known.status();
        change(known);
        let after = known.status();
        if after == Status::Offline && known.here.is_empty() && known.elsewhere.is_empty() {
            state.users.remove(&user);
        }
        (before != after).then_some(after)
    }

    pub fn status(&self, user: Uuid) -> Status {
        self.state().users.get(&user).map_or(Status::Offline, Known::status)
    }

    /// Takes the times at which users went offline.
    fn take_seen(&self) -> Vec<(Uuid, Timestamp)> {
        self.state().seen.drain().collect()
    }
}

fn frame(user: Uuid, status: Status, last_seen_at: Option<Timestamp>) -> Arc<Frame> {
    let data = json!({"user_id": user, "status": status, "last_seen_at": last_seen_at});
    Arc::new(Frame::control("presence", json!({"data": data})))
}

impl Realtime {
    /// Returns whether these users are online, on any server. It does not check who may know.
    pub fn statuses(&self, users: &[Uuid]) -> Vec<Status> {
        users.iter().map(|user| self.presence().status(*user)).collect()
    }

    pub(crate) fn connected(&self, user: Uuid, connection: u64) {
        self.set_status(user, connection, Status::Online);
    }

    /// A connection says whether its user is there.
    pub(crate) fn set_status(&self, user: Uuid, connection: u64, status: Status) {
        let changed = self.presence().change(user, |known| {
            known.here.insert(connection, status);
            known.leaves_at = None;
        });
        if let Some(status) = changed {
            self.announce(&Change { user, status, subjects: self.hub().presence_subjects(user) });
        }
    }

    /// A connection is about to end.
    pub(crate) fn disconnected(&self, user: Uuid, connection: u64) {
        let subjects = self.hub().presence_subjects(user);
        let changed = self.presence().change(user, |known| {
            known.here.remove(&connection);
            known.subjects.clone_from(&subjects);
            if known.here.is_empty() {
                known.leaves_at = Some(Instant::now() + GRACE);
            }
        });
        if let Some(status) = changed {
            self.announce(&Change { user, status, subjects });
        }
    }

    /// What a user's presence shows in has changed: those who no longer see it see the user go.
    pub(crate) fn hide(&self, user: Uuid, subjects: &[Uuid]) {
        let frame = frame(user, Status::Offline, None);
        let users = self.hub().followers_of(subjects);
        self.hub().send_to_users(&others(users, user), &frame);
    }

    /// Tells this server's connections and the other servers.
    fn announce(&self, change: &Change) {
        let Change { user, status, subjects } = change;
        self.show(*user, *status, subjects);
        let data = json!({"server": self.presence().server, "status": self.presence_here(*user)});
        let subjects = subjects.iter().copied().take(MAX_SUBJECTS).collect();
        self.signal(PRESENCE, subjects, *user, data, BELIEVED);
    }

    fn presence_here(&self, user: Uuid) -> Status {
        self.presence().state().users.get(&user).map_or(Status::Offline, Known::here)
    }

    fn show(&self, user: Uuid, status: Status, subjects: &[Uuid]) {
        if subjects.is_empty() {
            return;
        }
        let seen_at = (status == Status::Offline).then(|| self.db().now());
        let users = others(self.hub().followers_of(subjects), user);
        self.hub().send_to_users(&users, &frame(user, status, seen_at));
    }

    fn signal(&self, kind: &str, subjects: Vec<Uuid>, user: Uuid, data: Json, ttl: Duration) {
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        self.bus().send(Signal::Hint(Hint { kind: kind.to_owned(), subjects, user_id: user, data, ttl_ms }));
    }

    /// The presence of those whom a user who just connected may see: those who share a subject with them and are online.
    pub(crate) fn greet_with_presence(&self, user: Uuid) -> Vec<Arc<Frame>> {
        let subjects = self.hub().subjects_of(user);
        let mut users = self.hub().present_in(&subjects);
        {
            let state = self.presence().state();
            let elsewhere = subjects.iter().filter_map(|subject| state.elsewhere.get(subject));
            users.extend(elsewhere.flatten().copied());
        }
        users.sort_unstable();
        users.dedup();
        users.retain(|other| *other != user);
        let statuses = users.iter().map(|user| (*user, self.presence().status(*user)));
        let online = statuses.filter(|(_, status)| *status != Status::Offline).take(MAX_GREETED);
        online.map(|(user, status)| frame(user, status, None)).collect()
    }

    /// Shows the others who follow `subject` that `user` does something, such as typing, until `ttl` is over. Repeats are
    /// cheap: only those in the second half of that time are sent on.
    pub fn hint(&self, kind: &'static str, subject: (&'static str, Uuid), user: Uuid, ttl: Duration) {
        let key =
            HintKey { kind: kind.to_owned(), subject_kind: subject.0.to_owned(), subject: subject.1, user };
        {
            let mut state = self.presence().state();
            let until = state.hints.get(&key).copied();
            if until.is_some_and(|until| until > Instant::now() + ttl / 2) {
                return;
            }
            if state.hints.len() < MAX_KEPT {
                state.hints.insert(key, Instant::now() + ttl);
            }
        }
        self.show_hint(kind, subject, user, Some(ttl));
        self.signal(kind, vec![subject.1], user, json!({"subject": subject.0}), ttl);
    }

    fn show_hint(
        &self,
        kind: &str,
        (subject_kind, subject): (&str, Uuid),
        user: Uuid,
        ttl: Option<Duration>,
    ) {
        let left = ttl.map_or(0, |ttl| u64::try_from(ttl.as_millis()).unwrap_or(0));
        let mut members = serde_json::Map::new();
        members.insert(format!("{subject_kind}_id"), json!(subject));
        members.insert(
            "data".to_owned(),
            json!({"user_id": user, "active": ttl.is_some(), "expires_in_ms": left}),
        );
        let frame = Arc::new(Frame::control(kind, Json::Object(members)));
        self.hub().send_to_followers(subject, &frame, Some(user));
    }

    /// Takes a hint of another server. One that it does not understand is ignored.
    pub(crate) fn take_hint(&self, hint: &Hint) {
        let ttl = Duration::from_millis(hint.ttl_ms).min(BELIEVED);
        match hint.kind.as_str() {
            PRESENCE => {
                let Some((server, status)) = sender_of(&hint.data) else { return };
                self.believe(server, hint.user_id, status, &hint.subjects);
            }
            PRESENT => {
                let Some(server) = hint.data.get("server").and_then(|id| id.as_str()?.parse().ok()) else {
                    return;
                };
                let users = hint.data.get("users").and_then(Json::as_array).into_iter().flatten();
                for entry in users.take(CHUNK) {
                    let user = entry.get(0).and_then(|id| id.as_str()?.parse().ok());
                    let status = entry.get(1).and_then(|status| Status::deserialize(status).ok());
                    if let (Some(user), Some(status)) = (user, status) {
                        self.believe(server, user, status, &[]);
                    }
                }
            }
            kind => {
                let subject_kind = hint.data.get("subject").and_then(Json::as_str);
                let (Some(subject_kind), [subject]) = (subject_kind, hint.subjects.as_slice()) else {
                    return;
                };
                {
                    let mut state = self.presence().state();
                    if state.hints.len() < MAX_KEPT {
                        let key = HintKey {
                            kind: kind.to_owned(),
                            subject_kind: subject_kind.to_owned(),
                            subject: *subject,
                            user: hint.user_id,
                        };
                        state.hints.insert(key, Instant::now() + ttl);
                    }
                }
                self.show_hint(kind, (subject_kind, *subject), hint.user_id, Some(ttl));
            }
        }
    }

    fn believe(&self, server: Uuid, user: Uuid, status: Status, subjects: &[Uuid]) {
        {
            let state = self.presence().state();
            if !state.users.contains_key(&user) && state.users.len() >= MAX_KEPT {
                return;
            }
        }
        let changed = self.presence().change(user, |known| {
            if status == Status::Offline {
                known.elsewhere.remove(&server);
            } else {
                known.elsewhere.insert(server, (status, Instant::now() + BELIEVED));
            }
            if !subjects.is_empty() {
                known.subjects = subjects.to_vec();
            }
        });
        {
            let mut state = self.presence().state();
            for subject in subjects {
                if status == Status::Offline {
                    forget(&mut state.elsewhere, *subject, user);
                } else {
                    state.elsewhere.entry(*subject).or_default().insert(user);
                }
            }
        }
        if let Some(status) = changed {
            self.show(user, status, subjects);
        }
    }

    /// Ends what has ended: called every second.
    fn expire(&self) {
        let now = Instant::now();
        let mut changes = Vec::new();
        let mut ended = Vec::new();
        {
            let mut state = self.presence().state();
            let state = &mut *state;
            let seen_at = self.db().now();
            state.users.retain(|user, known| {
                let before = known.status();
                if known.leaves_at.is_some_and(|at| at <= now) {
                    known.leaves_at = None;
                    state.seen.insert(*user, seen_at);
                }
                let servers = known.elsewhere.len();
                known.elsewhere.retain(|_, (_, until)| *until > now);
                let status = known.status();
                if servers > 0 && known.elsewhere.is_empty() {
                    for subject in &known.subjects {
                        forget(&mut state.elsewhere, *subject, *user);
                    }
                }
                if status != before {
                    changes.push(Change { user: *user, status, subjects: known.subjects.clone() });
                }
                status != Status::Offline
            });
            state.hints.retain(|key, until| {
                let goes_on = *until > now;
                if !goes_on {
                    ended.push(key.clone());
                }
                goes_on
            });
        }
        for change in &changes {
            self.announce(change);
        }
        for HintKey { kind, subject_kind, subject, user } in ended {
            self.show_hint(&kind, (&subject_kind, subject), user, None);
        }
    }

    /// Tells the other servers who is online here.
    fn repeat(&self) {
        let here: Vec<Json> = {
            let state = self.presence().state();
            let here = state.users.iter().map(|(user, known)| (user, known.here()));
            here.filter(|(_, status)| *status != Status::Offline)
                .map(|(user, status)| json!([user, status]))
                .collect()
        };
        for users in here.chunks(CHUNK) {
            let data = json!({"server": self.presence().server, "users": users});
            self.signal(PRESENT, Vec::new(), Uuid::nil(), data, BELIEVED);
        }
    }

    /// Ends hints and presence in time, without end.
    pub(crate) async fn run_presence(self) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut repeated, mut stored) = (Instant::now(), Instant::now());
        loop {
            ticks.tick().await;
            self.expire();
            if repeated.elapsed() >= REPEAT {
                repeated = Instant::now();
                self.repeat();
            }
            if stored.elapsed() >= STORE {
                stored = Instant::now();
                if let Err(error) = self.store_last_seen().await {
                    tracing::warn!(%error, "the times at which users were last online were not stored");
                }
            }
        }
    }

    /// Stores when users were last online.
    pub(crate) async fn store_last_seen(&self) -> Result<()> {
        let seen = self.presence().take_seen();
        for seen in seen.chunks(CHUNK) {
            self.db().write(async |tx| self.feeds().store_last_seen(tx, seen).await).await?;
        }
        Ok(())
    }

    /// Counts everybody here as gone: the server stops.
    pub(crate) fn everybody_leaves(&self) {
        let users: Vec<(Uuid, Vec<Uuid>)> =
            self.hub().users().into_iter().map(|user| (user, self.hub().presence_subjects(user))).collect();
        let now = self.db().now();
        self.presence().state().seen.extend(users.iter().map(|(user, _)| (*user, now)));
        for (user, subjects) in users {
            let data = json!({"server": self.presence().server, "status": Status::Offline});
            self.signal(PRESENCE, subjects.into_iter().take(MAX_SUBJECTS).collect(), user, data, BELIEVED);
        }
    }
}

fn sender_of(data: &Json) -> Option<(Uuid, Status)> {
    let server = data.get("server")?.as_str()?.parse().ok()?;
    Some((server, Status::deserialize(data.get("status")?).ok()?))
}

fn others(mut users: Vec<Uuid>, user: Uuid) -> Vec<Uuid> {
    users.retain(|other| *other != user);
    users
}

fn forget(elsewhere: &mut HashMap<Uuid, HashSet<Uuid>>, subject: Uuid, user: Uuid) {
    if let Some(users) = elsewhere.get_mut(&subject) {
        users.remove(&user);
        if users.is_empty() {
            elsewhere.remove(&subject);
        }
    }
}

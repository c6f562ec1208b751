//! Who is online, and other hints that end by themselves, such as typing.
//!
//! All of it is in memory and goes over the bus alone. Only the time at which a user was last online is stored, for many
//! users at once.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use groundwork_core::{Result, Timestamp, Uuid, events::feed::Follow};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::{
    Realtime,
    bus::{Hint, Signal},
    control::{ControlFrame, HintData, UserPresence},
    frame::Frame,
};

/// How often the times at which users were last online are stored.
const STORE: Duration = Duration::from_mins(1);
/// The longest time for which a hint of another server is believed.
const MAX_TTL: Duration = Duration::from_mins(5);
/// How long the users of a server that stops count as online.
const GONE_AFTER: Duration = Duration::from_secs(10);
/// The maximum number of other servers on which a user is known to be online.
const MAX_SERVERS: usize = 50;
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
/// The question where the presence of users shows, to the server that said that they are online.
const WHERE: &str = "where";
/// The hint that a server stops.
const GONE: &str = "gone";

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
    /// The status of the last connection here, which counts until then.
    left: Option<(Status, Instant)>,
    /// Where the user's presence shows, as of the last connection here.
    subjects: Vec<Uuid>,
    /// By other server: the status, and until when it is believed.
    elsewhere: HashMap<Uuid, (Status, Instant)>,
    /// Where the user's presence shows, as other servers say; `None` if they have not said so.
    places: Option<Vec<Uuid>>,
}

impl Known {
    fn here(&self) -> Status {
        let connected = self.here.values().max().copied();
        connected.or(self.left.map(|(status, _)| status)).unwrap_or(Status::Offline)
    }

    fn status(&self) -> Status {
        let elsewhere = self.elsewhere.values().map(|(status, _)| *status).max();
        self.here().max(elsewhere.unwrap_or(Status::Offline))
    }

    fn is_gone(&self) -> bool {
        self.here.is_empty() && self.left.is_none() && self.elsewhere.is_empty()
    }

    fn all_subjects(&self) -> Vec<Uuid> {
        let mut all = self.subjects.clone();
        all.extend(self.places.iter().flatten());
        all.sort_unstable();
        all.dedup();
        all
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

/// What a change makes different.
#[derive(Clone, Copy, Debug, Default)]
struct Changed {
    /// The user's status, for the clients of this server.
    status: Option<Status>,
    /// The status here, for the other servers.
    here: Option<Status>,
}

impl Presence {
    pub fn new(server: Uuid) -> Self {
        Self { server, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change to what is known of a user.
    fn change(&self, user: Uuid, change: impl FnOnce(&mut Known)) -> Changed {
        let mut state = self.state();
        let state = &mut *state;
        let known = state.users.entry(user).or_default();
        let changed = changed(known, change);
        if known.is_gone() {
            forget(&mut state.elsewhere, user, known);
            state.users.remove(&user);
        }
        changed
    }

    pub fn status(&self, user: Uuid) -> Status {
        self.state().users.get(&user).map_or(Status::Offline, Known::status)
    }

    /// Takes the times at which users went offline.
    fn take_seen(&self) -> Vec<(Uuid, Timestamp)> {
        self.state().seen.drain().collect()
    }
}

fn changed(known: &mut Known, change: impl FnOnce(&mut Known)) -> Changed {
    let (status, here) = (known.status(), known.here());
    change(known);
    let other = |before, after| (before != after).then_some(after);
    Changed { status: other(status, known.status()), here: other(here, known.here()) }
}

fn frame(user: Uuid, status: Status, last_seen_at: Option<Timestamp>) -> Arc<Frame> {
    let data = UserPresence { user_id: user, status, last_seen_at };
    Arc::new(Frame::control(&ControlFrame::Presence { data }))
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
            known.left = None;
        });
        self.announce(user, changed, &self.hub().presence_subjects(user));
    }

    /// A connection is about to end.
    pub(crate) fn disconnected(&self, user: Uuid, connection: u64) {
        let subjects = self.hub().presence_subjects(user);
        let until = Instant::now() + self.options().presence_grace;
        let changed = self.presence().change(user, |known| {
            let status = known.here.remove(&connection);
            known.subjects.clone_from(&subjects);
            if known.here.is_empty() {
                known.left = status.map(|status| (status, until));
            }
        });
        self.announce(user, changed, &subjects);
    }

    /// A user who is online begins to follow a subject: they and the others there see each other.
    pub(crate) fn joined(&self, user: Uuid, follow: &Follow) {
        if self.hub().follows(user, follow.subject) {
            let others = self.present_frames(user, &[follow.subject]);
            for frame in others {
                self.hub().send_to_users(&[user], &frame);
            }
            if follow.shows_presence {
                self.move_presence(user, &[], &[follow.subject]);
            }
        }
    }

    /// A user's presence no longer shows in some subjects, and shows in others from now on.
    pub(crate) fn move_presence(&self, user: Uuid, from: &[Uuid], to: &[Uuid]) {
        let here = self.presence_here(user);
        if here == Status::Offline || (from.is_empty() && to.is_empty()) {
            return;
        }
        self.hide(user, from);
        self.show(user, self.presence().status(user), to);
        self.tell(user, here, &self.hub().presence_subjects(user));
    }

    /// Those who no longer see a user's presence see the user go.
    fn hide(&self, user: Uuid, subjects: &[Uuid]) {
        let frame = frame(user, Status::Offline, None);
        let users = self.hub().followers_of(subjects);
        self.hub().send_to_users(&others(users, user), &frame);
    }

    /// Tells this server's connections and the other servers, each if there is something new for them.
    fn announce(&self, user: Uuid, changed: Changed, subjects: &[Uuid]) {
        if let Some(status) = changed.status {
            self.show(user, status, subjects);
        }
        if let Some(status) = changed.here {
            self.tell(user, status, subjects);
        }
    }

    /// Tells the other servers the status of a user here.
    fn tell(&self, user: Uuid, status: Status, subjects: &[Uuid]) {
        let data = json!({"server": self.presence().server, "status": status});
        let mut subjects = subjects.to_vec();
        // The same ones each time, if there are too many.
        subjects.sort_unstable();
        subjects.truncate(MAX_SUBJECTS);
        self.signal(PRESENCE, subjects, user, data, self.options().presence_believed());
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
        self.present_frames(user, &self.hub().subjects_of(user))
    }

    /// The others who are online and whose presence shows in one of these subjects.
    fn present_frames(&self, user: Uuid, subjects: &[Uuid]) -> Vec<Arc<Frame>> {
        let mut users = self.hub().present_in(subjects);
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
        let expires_in_ms = ttl.map_or(0, |ttl| u64::try_from(ttl.as_millis()).unwrap_or(0));
        let data = HintData { user_id: user, active: ttl.is_some(), expires_in_ms };
        let frame = Arc::new(Frame::hint(kind, (subject_kind, subject), data));
        self.hub().send_to_followers(subject, &frame, Some(user));
    }

    /// Takes a hint of another server. One that it does not understand is ignored.
    pub(crate) fn take_hint(&self, hint: &Hint) {
        let ttl = Duration::from_millis(hint.ttl_ms).min(MAX_TTL);
        match hint.kind.as_str() {
            PRESENCE => {
                let Some((server, status)) = sender_of(&hint.data) else { return };
                self.believe(server, hint.user_id, status, ttl, Some(&hint.subjects));
            }
            PRESENT => {
                let Some(server) = server_of(&hint.data) else { return };
                let users = hint.data.get("users").and_then(Json::as_array).into_iter().flatten();
                let mut unknown = Vec::new();
                for entry in users.take(CHUNK) {
                    let user = entry.get(0).and_then(|id| id.as_str()?.parse().ok());
                    let status = entry.get(1).and_then(|status| Status::deserialize(status).ok());
                    if let (Some(user), Some(status)) = (user, status)
                        && self.believe(server, user, status, ttl, None)
                    {
                        unknown.push(user);
                    }
                }
                if !unknown.is_empty() {
                    self.signal(
                        WHERE,
                        Vec::new(),
                        Uuid::nil(),
                        json!({"server": server, "users": unknown}),
                        ttl,
                    );
                }
            }
            WHERE => {
                if server_of(&hint.data) == Some(self.presence().server) {
                    let users = hint.data.get("users").and_then(Json::as_array).into_iter().flatten();
                    for user in users.take(CHUNK).filter_map(|user| user.as_str()?.parse().ok()) {
                        self.tell(user, self.presence_here(user), &self.hub().presence_subjects(user));
                    }
                }
            }
            GONE => {
                if let Some(server) = server_of(&hint.data) {
                    self.doubt(server);
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

    /// Takes what another server says about a user; `subjects` are where their presence shows, if it says so. Returns
    /// whether that is still unknown.
    fn believe(
        &self,
        server: Uuid,
        user: Uuid,
        status: Status,
        ttl: Duration,
        subjects: Option<&[Uuid]>,
    ) -> bool {
        let (shown, hidden, places, is_unknown) = {
            let mut state = self.presence().state();
            let state = &mut *state;
            if !state.users.contains_key(&user) && state.users.len() >= MAX_KEPT {
                return false;
            }
            let known = state.users.entry(user).or_default();
            let changed = changed(known, |known| {
                if status == Status::Offline {
                    known.elsewhere.remove(&server);
                } else if known.elsewhere.len() < MAX_SERVERS || known.elsewhere.contains_key(&server) {
                    known.elsewhere.insert(server, (status, Instant::now() + ttl));
                }
            });
            let mut hidden = Vec::new();
            if let Some(subjects) = subjects.filter(|_| status != Status::Offline) {
                hidden = known.places.clone().unwrap_or_default();
                hidden.retain(|place| !subjects.contains(place));
                forget(&mut state.elsewhere, user, known);
                let places: Vec<Uuid> = subjects.iter().copied().take(MAX_SUBJECTS).collect();
                for subject in &places {
                    state.elsewhere.entry(*subject).or_default().insert(user);
                }
                known.places = Some(places);
            }
            let places = known.all_subjects();
            let is_new = changed.status.is_some() || (subjects.is_some() && status != Status::Offline);
            let shown = is_new.then(|| known.status());
            let is_unknown = known.places.is_none() && !known.elsewhere.is_empty();
            if known.elsewhere.is_empty() {
                forget(&mut state.elsewhere, user, known);
            }
            if known.is_gone() {
                state.users.remove(&user);
            }
            (shown, hidden, places, is_unknown)
        };
        self.hide(user, &hidden);
        if let Some(status) = shown {
            self.show(user, status, &places);
        }
        is_unknown
    }

    /// A server stops. Its users count as online for as long as they may take to connect again.
    fn doubt(&self, server: Uuid) {
        let soon = Instant::now() + GONE_AFTER.min(self.options().presence_grace * 2);
        for known in self.presence().state().users.values_mut() {
            if let Some((_, until)) = known.elsewhere.get_mut(&server) {
                *until = soon.min(*until);
            }
        }
    }

    /// Ends what has ended: called every tick.
    fn expire(&self) {
        let now = Instant::now();
        let mut changed_users = Vec::new();
        let mut ended = Vec::new();
        {
            let mut state = self.presence().state();
            let state = &mut *state;
            let seen_at = self.db().now();
            state.users.retain(|user, known| {
                let subjects = known.all_subjects();
                let changed = changed(known, |known| {
                    if known.left.is_some_and(|(_, at)| at <= now) {
                        known.left = None;
                        state.seen.insert(*user, seen_at);
                    }
                    known.elsewhere.retain(|_, (_, until)| *until > now);
                });
                if known.elsewhere.is_empty() {
                    forget(&mut state.elsewhere, *user, known);
                }
                if changed.status.is_some() || changed.here.is_some() {
                    changed_users.push((*user, changed, subjects));
                }
                !known.is_gone()
            });
            state.hints.retain(|key, until| {
                let goes_on = *until > now;
                if !goes_on {
                    ended.push(key.clone());
                }
                goes_on
            });
        }
        for (user, changed, subjects) in &changed_users {
            self.announce(*user, *changed, subjects);
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
            self.signal(PRESENT, Vec::new(), Uuid::nil(), data, self.options().presence_believed());
        }
    }

    /// Ends hints and presence in time, without end.
    pub(crate) async fn run_presence(self) {
        let mut ticks = tokio::time::interval(self.options().presence_tick);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut repeated, mut stored) = (Instant::now(), Instant::now());
        loop {
            ticks.tick().await;
            self.expire();
            if repeated.elapsed() >= self.options().presence_repeat {
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

    /// Stores when users were last online. What can't be stored now is kept for the next time.
    pub(crate) async fn store_last_seen(&self) -> Result<()> {
        let mut seen = self.presence().take_seen();
        while !seen.is_empty() {
            let some = seen.split_off(seen.len().saturating_sub(CHUNK));
            let stored = self.db().write(async |tx| self.feeds().store_last_seen(tx, &some).await).await;
            if let Err(error) = stored {
                let mut state = self.presence().state();
                for (user, at) in seen.into_iter().chain(some) {
                    if state.seen.len() < MAX_KEPT {
                        state.seen.entry(user).or_insert(at);
                    }
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Counts everybody here as gone: the server stops.
    pub(crate) fn everybody_leaves(&self) {
        let (users, now) = (self.hub().users(), self.db().now());
        self.presence().state().seen.extend(users.into_iter().map(|user| (user, now)));
        let data = json!({"server": self.presence().server});
        self.signal(GONE, Vec::new(), Uuid::nil(), data, MAX_TTL);
    }
}

fn sender_of(data: &Json) -> Option<(Uuid, Status)> {
    Some((server_of(data)?, Status::deserialize(data.get("status")?).ok()?))
}

fn others(mut users: Vec<Uuid>, user: Uuid) -> Vec<Uuid> {
    users.retain(|other| *other != user);
    users
}

fn server_of(data: &Json) -> Option<Uuid> {
    data.get("server")?.as_str()?.parse().ok()
}

/// Forgets where a user's presence shows, as other servers said.
fn forget(elsewhere: &mut HashMap<Uuid, HashSet<Uuid>>, user: Uuid, known: &mut Known) {
    for subject in known.places.take().into_iter().flatten() {
        if let Some(users) = elsewhere.get_mut(&subject) {
            users.remove(&user);
            if users.is_empty() {
                elsewhere.remove(&subject);
            }
        }
    }
}

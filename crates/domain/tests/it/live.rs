//! What is live, and what a client that was away catches up on.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use groundwork_auth::{Caller, Scopes};
use groundwork_core::{
    Change, Tx, Uuid,
    events::{
        self, Model as Event, Position,
        feed::{Audience, Feed, Follow, Leaves, Personal, Span},
    },
};
use groundwork_testkit::both_databases;
use messenger_domain::{
    Messages, MessengerFeed, Threads, Users,
    live::LiveEvent,
    messages::{DeletePolicy, NewText, ReceiptKind},
    scopes,
    threads::{History, NewThread, ParticipantsPatch, Role, ThreadPatch, ThreadType},
    users::{LastSeen, UserAdminPatch, UserPatch},
};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use sea_orm::{EntityTrait, QueryOrder};
use serde_json::json;

use crate::people::{Store, person};

const PEOPLE: usize = 5;
const STEPS: usize = 250;
const COURSES: usize = 4;
/// After the last event.
const END: Position = Position { stamp: i64::MAX, number: i64::MAX };

/// One thing that somebody does. Threads and messages are counted from the last one, so that much happens in few of them.
#[derive(Clone, Debug)]
enum Step {
    Start { who: usize, others: Vec<usize>, full: bool },
    Write { who: usize, to: usize },
    Send { who: usize, thread: usize },
    Edit { who: usize, message: usize },
    Delete { who: usize, message: usize },
    Read { who: usize, thread: usize },
    Deliver { who: usize, thread: usize },
    Rename { who: usize, thread: usize },
    DeleteThread { who: usize, thread: usize },
    Change { who: usize, thread: usize, add: Vec<usize>, remove: Vec<usize> },
    Toggle { other: usize, thread: usize },
    SetRole { who: usize, thread: usize, other: usize, owner: bool },
    Profile { who: usize },
    Deactivate { who: usize },
    Reactivate { who: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = || 0..PEOPLE;
    let which = || 0..30_usize;
    let some = |most: usize| {
        proptest::collection::btree_set(0..PEOPLE, 0..=most)
            .prop_map(|set| set.into_iter().collect::<Vec<_>>())
    };
    let step = prop_oneof![
        1 => (who(), some(2), any::<bool>()).prop_map(|(who, others, full)| Step::Start { who, others, full }),
        1 => (who(), who()).prop_map(|(who, to)| Step::Write { who, to }),
        15 => (who(), which()).prop_map(|(who, thread)| Step::Send { who, thread }),
        9 => (who(), which()).prop_map(|(who, message)| Step::Edit { who, message }),
        3 => (who(), which()).prop_map(|(who, message)| Step::Delete { who, message }),
        9 => (who(), which()).prop_map(|(who, thread)| Step::Read { who, thread }),
        2 => (who(), which()).prop_map(|(who, thread)| Step::Deliver { who, thread }),
        5 => (who(), which()).prop_map(|(who, thread)| Step::Rename { who, thread }),
        1 => (who(), which()).prop_map(|(who, thread)| Step::DeleteThread { who, thread }),
        3 => (who(), which(), some(2), some(1))
            .prop_map(|(who, thread, add, remove)| Step::Change { who, thread, add, remove }),
        14 => (who(), which()).prop_map(|(other, thread)| Step::Toggle { other, thread }),
        3 => (who(), which(), who(), any::<bool>())
            .prop_map(|(who, thread, other, owner)| Step::SetRole { who, thread, other, owner }),
        1 => who().prop_map(|who| Step::Profile { who }),
        1 => who().prop_map(|who| Step::Deactivate { who }),
        2 => who().prop_map(|who| Step::Reactivate { who }),
    ];
    proptest::collection::vec(step, STEPS)
}

struct Course<'a> {
    store: &'a Store,
    people: Vec<Caller>,
    admin: Caller,
    threads: Vec<Uuid>,
    messages: Vec<Uuid>,
}

impl Course<'_> {
    fn ids(&self, people: &[usize]) -> Vec<Uuid> {
        people.iter().map(|who| self.people[*who].user_id).collect()
    }

    /// Takes the step, if it is allowed.
    async fn take(&mut self, step: &Step) {
        if let Step::Toggle { other, thread } = step {
            // Whoever may do it adds the other, or else removes them.
            let change = |who, add, remove| Step::Change { who, thread: *thread, add, remove };
            for who in 0..PEOPLE {
                if self.take_one(&change(who, vec![*other], vec![])).await
                    || self.take_one(&change(who, vec![], vec![*other])).await
                {
                    return;
                }
            }
        } else {
            self.take_one(step).await;
        }
    }

    async fn take_one(&mut self, step: &Step) -> bool {
        let tx = self.store.db.begin().await.unwrap();
        let is_allowed = self.run(&tx, step).await.is_some();
        if is_allowed { tx.commit().await } else { tx.rollback().await }.unwrap();
        is_allowed
    }

    async fn run(&mut self, tx: &Tx, step: &Step) -> Option<()> {
        let (threads, messages, users) =
            (Threads::default(), Messages::new(DeletePolicy::Always), Users::default());
        let thread = |which: usize| self.threads.iter().rev().nth(which % 3).copied();
        let message = |which: usize| self.messages.iter().rev().nth(which % 15).copied();
        let text = || NewText { text: "hello".into() };
        match step {
            Step::Start { who, others, full } => {
                let group = NewThread {
                    kind: ThreadType::Group,
                    name: Some("Group".into()),
                    participant_ids: self.ids(others),
                    history: full.then_some(History::Full),
                };
                let (id, _) = threads.start(tx, &self.people[*who], group).await.ok()?;
                self.threads.push(id);
            }
            Step::Write { who, to } => {
                let to = self.people[*to].user_id;
                let (direct, _) = threads.direct(tx, &self.people[*who], to).await.ok()?;
                let sent = messages.send(tx, &self.people[*who], direct.id, text(), Some("id")).await.ok()?;
                self.messages.push(sent.id);
                if !self.threads.contains(&direct.id) {
                    self.threads.push(direct.id);
                }
            }
            Step::Send { who, thread: which } => {
                let sent = messages.send(tx, &self.people[*who], thread(*which)?, text(), None).await.ok()?;
                self.messages.push(sent.id);
            }
            Step::Edit { who, message: which } => {
                messages.edit(tx, &self.people[*who], message(*which)?, text()).await.ok()?;
            }
            Step::Delete { who, message: which } => {
                messages.delete(tx, &self.people[*who], message(*which)?).await.ok()?;
            }
            Step::Read { who, thread: which } | Step::Deliver { who, thread: which } => {
                let kind = match step {
                    Step::Read { .. } => ReceiptKind::Read,
                    _ => ReceiptKind::Delivered,
                };
                messages.advance_thread(tx, &self.people[*who], thread(*which)?, kind, None).await.ok()?;
            }
            Step::Rename { who, thread: which } => {
                let patch = ThreadPatch { name: Change::Value("New".into()), ..ThreadPatch::default() };
                threads.update(tx, &self.people[*who], thread(*which)?, patch).await.ok()?;
            }
            Step::DeleteThread { who, thread: which } => {
                threads.delete(tx, &self.people[*who], thread(*which)?).await.ok()?;
            }
            Step::Change { who, thread: which, add, remove } => {
                let patch = ParticipantsPatch { add: self.ids(add), remove: self.ids(remove) };
                threads.change_participants(tx, &self.people[*who], thread(*which)?, patch).await.ok()?;
            }
            Step::Toggle { .. } => return None,
            Step::SetRole { who, thread: which, other, owner } => {
                let role = if *owner { Role::Owner } else { Role::Admin };
                let other = self.people[*other].user_id;
                threads.set_role(tx, &self.people[*who], thread(*which)?, other, role).await.ok()?;
            }
            Step::Profile { who } => {
                let patch =
                    UserPatch { last_seen: Change::Value(LastSeen::Everyone), ..UserPatch::default() };
                users.update_self(tx, &self.people[*who], patch).await.ok()?;
            }
            Step::Deactivate { who } => {
                users.deactivate_self(tx, &self.people[*who]).await.ok()?;
            }
            Step::Reactivate { who } => {
                let patch = UserAdminPatch { is_active: Change::Value(true), ..UserAdminPatch::default() };
                users.administer(tx, &self.admin, self.people[*who].user_id, patch).await.ok()?;
            }
        }
        Some(())
    }
}

/// Routes events as a server with everybody connected does.
#[derive(Default)]
struct Hub {
    /// What each user follows, and the index of the event by which they joined.
    follows: BTreeMap<(Uuid, Uuid), (Follow, usize)>,
    /// The indexes of the events that each user got.
    got: HashMap<Uuid, Vec<usize>>,
}

impl Hub {
    fn deliver(&mut self, feed: &MessengerFeed, index: usize, event: &Event) {
        let route = feed.route(event);
        for (user, follow) in route.joins {
            self.follows.insert((user, follow.subject), (follow, index));
        }
        let users: Vec<Uuid> = match route.audience {
            Audience::Nobody => Vec::new(),
            Audience::Everyone => unreachable!("nothing here is for everyone"),
            Audience::Concerned => event.user_id.into_iter().collect(),
            Audience::Followers { place } => self
                .follows
                .iter()
                .filter(|((_, subject), _)| *subject == event.subject_id)
                .filter(|(_, (follow, _))| event.version.is_none_or(|version| version >= follow.from_version))
                .filter(|(_, (follow, _))| place.is_none_or(|place| place > follow.after_place))
                .map(|((user, _), _)| *user)
                .collect(),
        };
        for user in users {
            self.got.entry(user).or_default().push(index);
        }
        match route.leaves {
            Leaves::Nobody => {}
            Leaves::Users(users) => {
                for user in users {
                    self.follows.remove(&(user, event.subject_id));
                }
            }
            Leaves::Everybody => self.follows.retain(|(_, subject), _| *subject != event.subject_id),
        }
    }

    /// Which of the events that the user got after a place they may still learn of.
    fn still_seen(&self, user: Uuid, log: &[Event]) -> Vec<usize> {
        let seen = |index: &usize| {
            let event = &log[*index];
            let is_own = event.user_id == Some(user);
            match self.follows.get(&(user, event.subject_id)) {
                _ if event.kind == "participant.removed" && is_own => true,
                Some((_, joined)) => index >= joined,
                None => ["thread.deleted", "user.updated"].contains(&event.kind.as_str()),
            }
        };
        self.got.get(&user).into_iter().flatten().copied().filter(seen).collect()
    }
}

pub async fn log(store: &Store) -> Vec<Event> {
    let log =
        events::Entity::find().order_by_asc(events::Column::Stamp).order_by_asc(events::Column::Position);
    log.all(store.db.reader()).await.unwrap()
}

/// Catches up by pages.
async fn pages(store: &Store, feed: &MessengerFeed, user: Uuid, mut span: Span, limit: u64) -> Vec<Event> {
    let mut all = Vec::new();
    loop {
        let page = feed.catch_up(store.db.reader(), user, span, limit).await.unwrap();
        let is_last = page.len() < usize::try_from(limit).unwrap();
        all.extend(page);
        if is_last {
            return all;
        }
        span.after = all.last().unwrap().place();
    }
}

/// Whatever happens, a user who was away gets the events that they would have got live, as far as they may still see them:
/// from every place in the log, to every other, in pages of every size, by reading the log and by looking into threads.
#[both_databases]
async fn catching_up_is_what_was_live(store: &Store) {
    // The same courses each time, so that a failure can be seen again.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let feed = MessengerFeed::new(scopes::groups());
    let mut kinds = BTreeSet::new();
    let mut begin = Position::default();
    for number in 0..COURSES {
        let mut people = Vec::new();
        for index in 0..PEOPLE {
            people.push(person(store, &format!("person-{number}-{index}")).await);
        }
        let admin = Caller {
            scopes: Scopes::parse("users:admin"),
            ..person(store, &format!("admin-{number}")).await
        };
        let mut course = Course { store, people, admin, threads: vec![], messages: vec![] };
        for step in steps().new_tree(&mut runner).unwrap().current() {
            course.take(&step).await;
        }
        let mut log = log(store).await;
        log.retain(|event| event.place() > begin);
        let mut hub = Hub::default();
        for (index, event) in log.iter().enumerate() {
            kinds.insert(event.kind.clone());
            hub.deliver(&feed, index, event);
        }
        for (round, caller) in course.people.iter().enumerate() {
            let user = caller.user_id;
            let mut follows = feed.follows(store.db.reader(), user).await.unwrap();
            follows.sort_by_key(|follow| follow.subject);
            let live: Vec<Follow> = hub
                .follows
                .iter()
                .filter(|((who, _), _)| *who == user)
                .map(|(_, (follow, _))| *follow)
                .collect();
            assert_eq!(follows, live);
            let seen = hub.still_seen(user, &log);
            for (turn, after) in (0..=log.len()).step_by(9).enumerate() {
                let until = if turn % 3 == 0 { (after + 40).min(log.len()) } else { log.len() };
                let place = |count: usize| if count == 0 { begin } else { log[count - 1].place() };
                let span =
                    Span { after: place(after), until: if until == log.len() { END } else { place(until) } };
                let expected: Vec<Position> = seen
                    .iter()
                    .filter(|index| (after..until).contains(*index))
                    .map(|index| log[*index].place())
                    .collect();
                let (rows, limit) =
                    [(0, 1), (1, 3), (7, 2), (1000, 5), (0, 1000), (20, 30)][(turn + round) % 6];
                let feed = feed.clone().scanning(rows);
                let found = pages(store, &feed, user, span, limit).await;
                let found: Vec<Position> = found.iter().map(Event::place).collect();
                assert_eq!(
                    found, expected,
                    "person {round} of course {number} after {after} until {until}, {rows}, {limit}"
                );
            }
        }
        check_shown(store, &feed, &log).await;
        begin = log.last().unwrap().place();
    }
    assert_eq!(kinds.len(), 11, "{kinds:?}");
}

/// Every event has the shape that its type describes, also with what single users see of it.
async fn check_shown(store: &Store, feed: &MessengerFeed, log: &[Event]) {
    let shown = feed.show(store.db.reader(), log).await.unwrap();
    assert_eq!(shown.len(), log.len());
    let users: BTreeSet<Uuid> = log.iter().filter_map(|event| event.user_id).collect();
    let mut wanted = Vec::new();
    for (index, shown) in shown.iter().enumerate() {
        match shown.as_ref().map(|shown| shown.personal) {
            Some(Personal::Audience) => wanted.extend(users.iter().map(|user| (index, *user))),
            Some(Personal::Concerned) => wanted.push((index, log[index].user_id.unwrap())),
            _ => {}
        }
    }
    let mut personal = feed.personal(store.db.reader(), log, &wanted).await.unwrap();
    assert_eq!(personal.len(), wanted.len());
    for (index, shown) in shown.into_iter().enumerate() {
        let Some(shown) = shown else { continue };
        let own = wanted.iter().filter(|(wanted, _)| *wanted == index);
        let own: Vec<_> = own.filter_map(|key| personal.remove(key)).collect();
        for own in own.into_iter().chain([serde_json::Map::new()]) {
            let mut data = shown.data.clone();
            data.extend(own);
            let event = json!({"type": log[index].kind, "data": data});
            let live: LiveEvent = serde_json::from_value(event.clone()).unwrap();
            assert_eq!(serde_json::to_value(live).unwrap(), event);
        }
    }
}

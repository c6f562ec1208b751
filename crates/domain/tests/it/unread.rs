//! Unread counts and receipts against a brute-force count, over any course of events.

use std::{collections::BTreeMap, time::Duration};

use groundwork_auth::Caller;
use groundwork_core::{PageRequest, Timestamp, Uuid, error::codes};
use groundwork_testkit::both_databases;
use messenger_domain::{
    Messages, Threads,
    codes::ALREADY_READ,
    messages::{DeletePolicy, NewText, ReceiptKind, housekeeping, receipt},
    threads::{NewThread, ParticipantsPatch, ThreadType, audit},
};
use proptest::{
    prelude::{Just, Strategy},
    prop_oneof,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use crate::people::{Store, person};

const PEOPLE: usize = 3;
/// Courses of events for each database, and how long each is.
const COURSES: usize = 12;
const STEPS: usize = 30;

#[derive(Clone, Debug)]
enum Step {
    Send(usize),
    Delete(usize, usize),
    Edit(usize, usize),
    Read(usize, usize),
    Deliver(usize, usize),
    ReadAll(usize),
    Leave(usize),
    Join(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = 0..PEOPLE;
    let which = 0..40_usize;
    let step = prop_oneof![
        6 => who.clone().prop_map(Step::Send),
        2 => (who.clone(), which.clone()).prop_map(|(who, which)| Step::Delete(who, which)),
        1 => (who.clone(), which.clone()).prop_map(|(who, which)| Step::Edit(who, which)),
        3 => (who.clone(), which.clone()).prop_map(|(who, which)| Step::Read(who, which)),
        1 => (who.clone(), which).prop_map(|(who, which)| Step::Deliver(who, which)),
        1 => who.clone().prop_map(Step::ReadAll),
        1 => (Just(()), 1..PEOPLE).prop_map(|((), who)| Step::Leave(who)),
        1 => (Just(()), 1..PEOPLE).prop_map(|((), who)| Step::Join(who)),
    ];
    proptest::collection::vec(step, STEPS)
}

/// A message, as the brute-force model keeps it.
#[derive(Clone, Debug)]
struct Said {
    id: Uuid,
    sender: usize,
    deleted: bool,
    /// Who besides the sender received it, and when, in the order in which they did.
    received: Vec<(usize, Timestamp)>,
    /// Who besides the sender read it, and when.
    read: Vec<(usize, Timestamp)>,
}

/// The model: nothing but lists, and every question answered by looking through all of them.
#[derive(Debug, Default)]
struct Model {
    said: Vec<Said>,
    /// For each person the index of the first message they see; `None` while they are out.
    sees_from: BTreeMap<usize, Option<usize>>,
    /// For each person how many messages they have read, from the beginning of the thread.
    read_up_to: BTreeMap<usize, usize>,
    received_up_to: BTreeMap<usize, usize>,
}

impl Model {
    fn sees(&self, who: usize, index: usize) -> bool {
        self.sees_from[&who].is_some_and(|from| index >= from)
    }

    fn unread(&self, who: usize) -> usize {
        let unread = |(index, said): &(usize, &Said)| {
            self.sees(who, *index) && *index >= self.read_up_to[&who] && said.sender != who && !said.deleted
        };
        self.said.iter().enumerate().filter(unread).count()
    }

    fn receive(&mut self, who: usize, up_to: usize, at: Timestamp) {
        let before = self.received_up_to[&who];
        for said in self.said.iter_mut().take(up_to).skip(before).filter(|said| said.sender != who) {
            said.received.push((who, at));
        }
        self.received_up_to.insert(who, before.max(up_to));
    }

    fn read(&mut self, who: usize, up_to: usize, at: Timestamp) {
        self.receive(who, up_to, at);
        let before = self.read_up_to[&who];
        for said in self.said.iter_mut().take(up_to).skip(before).filter(|said| said.sender != who) {
            said.read.push((who, at));
        }
        self.read_up_to.insert(who, before.max(up_to));
    }
}

struct Course<'a> {
    store: &'a Store,
    people: Vec<Caller>,
    thread: Uuid,
    model: Model,
    threads: Threads,
    messages: Messages,
    folded: bool,
}

impl Course<'_> {
    #[expect(clippy::too_many_lines, reason = "one arm for each kind of step")]
    async fn take(&mut self, step: &Step) {
        let tx = self.store.db.begin().await.unwrap();
        match *step {
            Step::Send(who) => {
                let text = NewText { text: format!("by {who}").into() };
                match self.messages.send(&tx, &self.people[who], self.thread, text, None).await {
                    Ok(sent) => {
                        assert!(self.model.sees_from[&who].is_some());
                        let sent =
                            Said { id: sent.id, sender: who, deleted: false, received: vec![], read: vec![] };
                        self.model.said.push(sent);
                    }
                    Err(error) => {
                        assert_eq!(error.code(), codes::NOT_FOUND);
                        assert!(self.model.sees_from[&who].is_none());
                        return;
                    }
                }
            }
            Step::Delete(who, which) => {
                let Some((index, said)) = self.message(which) else {
                    return;
                };
                let deleted = self.messages.delete(&tx, &self.people[who], said.id).await;
                let sees = self.model.sees(who, index) && !said.deleted;
                // Person 0 owns the group.
                let expected = match () {
                    () if !sees => Some(codes::NOT_FOUND),
                    () if who == 0 => None,
                    () if said.sender != who => Some(codes::FORBIDDEN),
                    () if !said.read.is_empty() => Some(ALREADY_READ),
                    () => None,
                };
                assert_eq!(deleted.as_ref().err().map(groundwork_core::Error::code), expected, "{step:?}");
                if deleted.is_err() {
                    return;
                }
                self.model.said[index].deleted = true;
            }
            Step::Edit(who, which) => {
                let Some((_, said)) = self.message(which) else {
                    return;
                };
                let text = NewText { text: "edited".into() };
                if self.messages.edit(&tx, &self.people[who], said.id, text).await.is_err() {
                    return;
                }
            }
            Step::Read(who, which) => {
                let Some((index, said)) = self.message(which) else {
                    return;
                };
                let moved = self.messages.advance(&tx, &self.people[who], said.id, ReceiptKind::Read).await;
                let may = self.model.sees(who, index) && !said.deleted && said.sender != who;
                assert_eq!(moved.is_ok(), may, "{step:?}");
                if !may {
                    return;
                }
                self.model.read(who, index + 1, tx.now());
            }
            Step::Deliver(who, which) => {
                let Some((index, said)) = self.message(which) else {
                    return;
                };
                let moved = self.messages.advance(&tx, &self.people[who], said.id, ReceiptKind::Delivered);
                if moved.await.is_err() {
                    return;
                }
                self.model.receive(who, index + 1, tx.now());
            }
            Step::ReadAll(who) => {
                let read = self
                    .messages
                    .advance_thread(&tx, &self.people[who], self.thread, ReceiptKind::Read, None)
                    .await;
                assert_eq!(read.is_ok(), self.model.sees_from[&who].is_some());
                if read.is_err() {
                    return;
                }
                self.model.read(who, self.model.said.len(), tx.now());
            }
            Step::Leave(who) => {
                let me = self.people[who].user_id;
                let patch = ParticipantsPatch { add: vec![], remove: vec![me] };
                let left = self.threads.change_participants(&tx, &self.people[who], self.thread, patch).await;
                assert_eq!(left.is_ok(), self.model.sees_from[&who].is_some());
                if left.is_err() {
                    return;
                }
                self.model.sees_from.insert(who, None);
            }
            Step::Join(who) => {
                let them = self.people[who].user_id;
                let patch = ParticipantsPatch { add: vec![them], remove: vec![] };
                let joined = self.threads.change_participants(&tx, &self.people[0], self.thread, patch).await;
                assert_eq!(joined.is_ok(), self.model.sees_from[&who].is_none());
                if joined.is_err() {
                    return;
                }
                self.model.sees_from.insert(who, Some(self.model.said.len()));
                self.model.read_up_to.insert(who, self.model.said.len());
                self.model.received_up_to.insert(who, self.model.said.len());
            }
        }
        tx.commit().await.unwrap();
    }

    fn message(&self, which: usize) -> Option<(usize, Said)> {
        let index = which.checked_rem(self.model.said.len())?;
        Some((index, self.model.said[index].clone()))
    }

    /// Whether the messenger and the model agree on everything that anybody can see.
    async fn check(&self) {
        let db = self.store.db.reader();
        assert_eq!(audit::differences(db).await.unwrap(), Vec::<String>::new());
        for (who, caller) in self.people.iter().enumerate() {
            let thread = self.threads.get(db, caller, self.thread).await;
            assert_eq!(thread.is_ok(), self.model.sees_from[&who].is_some());
            let Ok(thread) = thread else { continue };
            assert_eq!(
                thread.unread_count,
                i64::try_from(self.model.unread(who)).unwrap(),
                "unread of {who}"
            );
            assert_eq!(thread.last_seq, i64::try_from(self.model.said.len()).unwrap());
            let last = self.model.said.iter().enumerate().rev();
            let last = last.filter(|(index, said)| self.model.sees(who, *index) && !said.deleted);
            let last = last.map(|(_, said)| said.id).next();
            assert_eq!(thread.last_message.map(|message| message.id), last, "last message of {who}");
            for (index, said) in self.model.said.iter().enumerate() {
                let found = self.messages.get(db, caller, said.id).await;
                // One's own messages can be seen after leaving, too.
                let sees = self.model.sees(who, index);
                assert_eq!(found.is_ok(), (sees || said.sender == who) && !said.deleted);
                let Ok(found) = found else { continue };
                let first = |receipts: &[(usize, Timestamp)]| receipts.first().map(|(_, at)| *at);
                assert_eq!(found.delivered_at, first(&said.received), "message {index}: {said:?}");
                assert_eq!(found.read_at, first(&said.read), "message {index}: {said:?}");
                assert_eq!(found.is_read, !said.read.is_empty());
                if sees {
                    self.check_receipts(caller, said).await;
                }
            }
        }
    }

    /// Folds all receipts, and checks that the same participants have the same ones, of the same day. The times that
    /// the messages themselves show stay exact.
    async fn check_folded(&self) {
        let detail = Duration::from_hours(24);
        self.store.clock.advance(detail * 2);
        housekeeping::sweep(&self.store.db, detail).await.unwrap();
        assert_eq!(housekeeping::sweep(&self.store.db, detail).await.unwrap(), 0, "nothing is left to fold");
        self.check().await;
    }

    /// Whether the receipts of a message are those of the participants who are in the thread.
    async fn check_receipts(&self, caller: &Caller, said: &Said) {
        let db = self.store.db.reader();
        let listed = self.messages.receipts(db, caller, said.id, PageRequest::default()).await.unwrap();
        let mut expected: Vec<_> = said
            .received
            .iter()
            .filter(|(who, _)| self.model.sees_from[who].is_some())
            .map(|(who, at)| {
                let read = said.read.iter().find(|(reader, _)| reader == who);
                (self.people[*who].user_id, *at, read.map(|(_, at)| *at))
            })
            .collect();
        expected.sort();
        let mut listed: Vec<_> =
            listed.items.into_iter().map(|item| (item.user_id, item.delivered_at, item.read_at)).collect();
        if self.folded {
            let no_earlier =
                |(_, at, _): &_, (_, exact, _): &(Uuid, Timestamp, Option<Timestamp>)| at >= exact;
            assert!(listed.iter().zip(&expected).all(|(listed, exact)| no_earlier(listed, exact)));
            for (_, delivered_at, read_at) in listed.iter_mut().chain(&mut expected) {
                *delivered_at = delivered_at.start_of_day();
                *read_at = read_at.map(Timestamp::start_of_day);
            }
        }
        assert_eq!(listed, expected, "{said:?}");
    }
}

async fn run(store: &Store, number: usize, steps: &[Step]) {
    let mut people = Vec::new();
    for index in 0..PEOPLE {
        people.push(person(store, &format!("person-{number}-{index}")).await);
    }
    let threads = Threads::default();
    let tx = store.db.begin().await.unwrap();
    let group = NewThread {
        kind: ThreadType::Group,
        name: Some("All".into()),
        participant_ids: people.iter().skip(1).map(|person| person.user_id).collect(),
        history: None,
    };
    let (thread, _) = threads.start(&tx, &people[0], group).await.unwrap();
    tx.commit().await.unwrap();
    let model = Model {
        said: Vec::new(),
        sees_from: (0..PEOPLE).map(|who| (who, Some(0))).collect(),
        read_up_to: (0..PEOPLE).map(|who| (who, 0)).collect(),
        received_up_to: (0..PEOPLE).map(|who| (who, 0)).collect(),
    };
    let messages = Messages::new(DeletePolicy::Unread);
    let mut course = Course { store, people, thread, model, threads, messages, folded: false };
    for (index, step) in steps.iter().enumerate() {
        store.clock.advance(Duration::from_secs(1));
        course.take(step).await;
        if index % 10 == 9 {
            course.check().await;
        }
    }
    course.folded = true;
    course.check_folded().await;
    let kept = receipt::Entity::find().filter(receipt::Column::ThreadId.eq(thread)).all(store.db.reader());
    let joined = 1 + steps.iter().filter(|step| matches!(step, Step::Join(_))).count();
    assert!(kept.await.unwrap().len() <= PEOPLE * 2 * joined, "one row a day, kind and stay");
}

/// Whatever happens in a thread, unread counts, last messages, visibility and receipts are what one gets by looking
/// through all messages.
#[both_databases]
async fn unread_counts_are_those_of_a_brute_force_count(store: &Store) {
    // The same courses each time, so that a failure can be seen again.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    for number in 0..COURSES {
        let steps = steps().new_tree(&mut runner).unwrap().current();
        run(store, number, &steps).await;
    }
}

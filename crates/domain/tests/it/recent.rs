//! The order of threads by activity, against a list that is sorted anew, over any course of events.

use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;
use groundwork_auth::Caller;
use groundwork_core::{CursorRequest, ListQuery, Result, Timestamp, Uuid};
use groundwork_testkit::both_databases;
use messenger_domain::{
    Messages, Threads,
    codes::ALREADY_READ,
    messages::{DeletePolicy, NewText, ReceiptKind},
    threads::{NewThread, ParticipantsPatch, ThreadType, audit},
};
use proptest::{
    prelude::Strategy,
    prop_oneof,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use crate::people::{Store, person};

/// A few more than a thread can have whose rows follow its activity.
const PEOPLE: usize = 53;
const STEPS: usize = 120;

#[derive(Clone, Debug)]
enum Step {
    Group(usize),
    Direct(usize, usize),
    Send(usize, usize),
    /// Everybody joins.
    Fill(usize),
    /// All but that many leave.
    Trim(usize, usize),
    Change(usize, usize),
    Delete(usize),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Few users talk and are asked; the others only fill groups.
    let (who, which) = (0..4_usize, 0..30_usize);
    let step = prop_oneof![
        3 => who.clone().prop_map(Step::Group),
        1 => (who.clone(), who.clone()).prop_map(|(one, other)| Step::Direct(one, other)),
        12 => (which.clone(), who.clone()).prop_map(|(which, who)| Step::Send(which, who)),
        1 => which.clone().prop_map(Step::Fill),
        2 => (which.clone(), 1..PEOPLE).prop_map(|(which, left)| Step::Trim(which, left)),
        3 => (which.clone(), who).prop_map(|(which, who)| Step::Change(which, who)),
        1 => which.prop_map(Step::Delete),
        4 => (0..100_u64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, STEPS)
}

/// A thread, as the model keeps it.
#[derive(Clone, Debug)]
struct Kept {
    id: Uuid,
    /// Person 0 of a group created it, and stays.
    members: BTreeSet<usize>,
    owner: Option<usize>,
    last_activity_at: Timestamp,
}

struct Course<'a> {
    store: &'a Store,
    people: Vec<Caller>,
    kept: Vec<Kept>,
}

impl Course<'_> {
    async fn take(&mut self, step: &Step) -> Result<()> {
        let (threads, messages) = (Threads::default(), Messages::default());
        let tx = self.store.db.begin().await?;
        match *step {
            Step::Group(who) => {
                let other = (who + 1) % PEOPLE;
                let new = group(vec![self.people[other].user_id]);
                let (id, _) = threads.start(&tx, &self.people[who], new).await?;
                let members = [who, other].into();
                self.kept.push(Kept { id, members, owner: Some(who), last_activity_at: tx.now() });
            }
            Step::Direct(one, other) => {
                let (thread, created) =
                    threads.direct(&tx, &self.people[one], self.people[other].user_id).await?;
                if created {
                    let members = [one, other].into();
                    let last_activity_at = thread.last_activity_at;
                    self.kept.push(Kept { id: thread.id, members, owner: None, last_activity_at });
                }
            }
            Step::Send(which, who) => {
                let Some(kept) = self.at(which).filter(|kept| kept.members.contains(&who)) else {
                    return Ok(());
                };
                let text = NewText { text: "hello".into() };
                let sent = messages.send(&tx, &self.people[who], kept.id, text, None).await?;
                let index = which % self.kept.len();
                self.kept[index].last_activity_at = sent.created_at;
            }
            Step::Fill(which) => {
                let Some((kept, owner)) = self.group(which) else { return Ok(()) };
                let add = (0..PEOPLE).filter(|who| !kept.members.contains(who)).collect();
                self.change(&tx, which, owner, add, vec![]).await?;
            }
            Step::Trim(which, left) => {
                let Some((kept, owner)) = self.group(which) else { return Ok(()) };
                let others = kept.members.iter().copied().filter(|who| *who != owner);
                self.change(&tx, which, owner, vec![], others.skip(left).collect()).await?;
            }
            Step::Change(which, who) => {
                let Some((kept, owner)) = self.group(which).filter(|(_, owner)| *owner != who) else {
                    return Ok(());
                };
                let is_in = kept.members.contains(&who);
                let (add, remove) = if is_in { (vec![], vec![who]) } else { (vec![who], vec![]) };
                self.change(&tx, which, owner, add, remove).await?;
            }
            Step::Delete(which) => {
                let Some((kept, owner)) = self.group(which) else { return Ok(()) };
                threads.delete(&tx, &self.people[owner], kept.id).await?;
                self.kept.retain(|other| other.id != kept.id);
            }
            Step::Wait(seconds) => self.store.clock.advance(Duration::from_secs(seconds)),
        }
        tx.commit().await
    }

    fn at(&self, which: usize) -> Option<&Kept> {
        self.kept.get(which.checked_rem(self.kept.len())?)
    }

    /// A group and its owner.
    fn group(&self, which: usize) -> Option<(Kept, usize)> {
        let kept = self.at(which)?.clone();
        let owner = kept.owner?;
        Some((kept, owner))
    }

    async fn change(
        &mut self,
        tx: &groundwork_core::Tx,
        which: usize,
        owner: usize,
        add: Vec<usize>,
        remove: Vec<usize>,
    ) -> Result<()> {
        if add.is_empty() && remove.is_empty() {
            return Ok(());
        }
        let index = which % self.kept.len();
        let ids = |who: &[usize]| who.iter().map(|who| self.people[*who].user_id).collect();
        let patch = ParticipantsPatch { add: ids(&add), remove: ids(&remove) };
        let (caller, id) = (&self.people[owner], self.kept[index].id);
        Threads::default().change_participants(tx, caller, id, patch).await?;
        let members = &mut self.kept[index].members;
        members.extend(add);
        members.retain(|who| !remove.contains(who));
        Ok(())
    }

    /// Whether all pages of the first users' threads are the sorted list, forward and backward.
    async fn check(&self) {
        for (who, caller) in self.people.iter().enumerate().take(4) {
            let mine = self.kept.iter().filter(|kept| kept.members.contains(&who));
            let mut expected: Vec<_> = mine.map(|kept| (kept.last_activity_at, kept.id)).collect();
            expected.sort();
            expected.reverse();
            let expected: Vec<Uuid> = expected.into_iter().map(|(_, id)| id).collect();
            for limit in [1, 3, 100] {
                assert_eq!(self.pages(caller, limit).await, expected, "limit {limit}");
            }
            let filter = ListQuery::parse([("search", "Some")]).unwrap();
            let (threads, request) = (Threads::default(), CursorRequest::first(100));
            let page = threads.list(self.store.db.reader(), caller, &filter, &request).await.unwrap();
            let groups = self.kept.iter().filter(|kept| kept.owner.is_some() && kept.members.contains(&who));
            assert_eq!(page.items.len(), groups.count());
        }
        assert_eq!(audit::differences(self.store.db.reader()).await.unwrap(), Vec::<String>::new());
    }

    /// The ids of all pages, and checks that the way back has the same.
    async fn pages(&self, caller: &Caller, limit: u64) -> Vec<Uuid> {
        let db = self.store.db.reader();
        let read = async |cursor: Option<String>| {
            let request = CursorRequest { limit, cursor };
            Threads::default().list(db, caller, &ListQuery::default(), &request).await.unwrap()
        };
        let ids = |page: &groundwork_core::CursorPage<messenger_domain::threads::Thread>| -> Vec<Uuid> {
            page.items.iter().map(|thread| thread.id).collect()
        };
        let mut all = Vec::new();
        let mut page = read(None).await;
        all.push(ids(&page));
        while page.next_cursor.is_some() {
            page = read(page.next_cursor).await;
            all.push(ids(&page));
        }
        let mut back = vec![ids(&page)];
        while page.prev_cursor.is_some() {
            page = read(page.prev_cursor).await;
            back.push(ids(&page));
        }
        back.reverse();
        assert_eq!(back.concat(), all.concat(), "the way back");
        all.concat()
    }
}

fn group(participant_ids: Vec<Uuid>) -> NewThread {
    NewThread { kind: ThreadType::Group, name: Some("Some".into()), participant_ids, history: None }
}

/// Whatever happens, the pages of a user's threads are those of all of their threads, sorted by activity.
#[both_databases]
async fn the_order_is_that_of_all_threads_sorted(store: &Store) {
    let mut people = Vec::new();
    for index in 0..PEOPLE {
        people.push(person(store, &format!("person-{index}")).await);
    }
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut course = Course { store, people, kept: Vec::new() };
    for steps in (0..2).map(|_| steps().new_tree(&mut runner).unwrap().current()) {
        for (index, step) in steps.iter().enumerate() {
            course.take(step).await.unwrap();
            if index % 20 == 19 {
                course.check().await;
            }
        }
    }
    assert!(course.kept.len() > 10, "there was something to sort");
}

/// Those who send, read, delete, leave and join at the same moment leave nothing that differs, and nobody waits for another
/// for ever.
#[both_databases]
async fn the_numbers_are_right_after_concurrent_changes(store: &Store) {
    let mut people = Vec::new();
    for index in 0..4 {
        people.push(person(store, &format!("person-{index}")).await);
    }
    let (threads, messages) = (Threads::default(), Messages::new(DeletePolicy::Unread));
    let tx = store.db.begin().await.unwrap();
    let others: Vec<Uuid> = people.iter().skip(1).map(|person| person.user_id).collect();
    let (first, _) = threads.start(&tx, &people[0], group(others.clone())).await.unwrap();
    let (second, _) = threads.start(&tx, &people[0], group(others)).await.unwrap();
    tx.commit().await.unwrap();
    for round in 0..6 {
        store.clock.advance(Duration::from_secs(30));
        let work = (0..36).map(|index: usize| {
            let (people, threads, messages) = (&people, &threads, &messages);
            let (caller, thread) = (&people[index % 4], if index.is_multiple_of(3) { first } else { second });
            let send = async move || {
                let text = NewText { text: "at once".into() };
                store.db.write(async |tx| messages.send(tx, caller, thread, text, None).await).await
            };
            let read = async move |seq: Option<i64>| {
                let kind = ReceiptKind::Read;
                store.db.write(async |tx| messages.advance_thread(tx, caller, thread, kind, seq).await).await
            };
            async move {
                let done: Result<()> = match (index / 4 + round) % 6 {
                    0 | 1 => send().await.map(drop),
                    2 => read(None).await,
                    3 => read(Some(i64::try_from(round).unwrap() * 2)).await,
                    4 => match send().await {
                        Ok(mine) => {
                            store.db.write(async |tx| messages.delete(tx, caller, mine.id).await).await
                        }
                        Err(error) => Err(error),
                    },
                    _ => {
                        let (owner, them) = (&people[0], vec![people[3].user_id]);
                        let leave = ParticipantsPatch { add: vec![], remove: them.clone() };
                        let join = ParticipantsPatch { add: them, remove: vec![] };
                        let patch = if index.is_multiple_of(2) { leave } else { join };
                        let change = async |tx: &groundwork_core::Tx| {
                            threads.change_participants(tx, owner, thread, patch).await
                        };
                        store.db.write(change).await.map(drop)
                    }
                };
                // Person 3 may just be out, or in, and a message read by another.
                let refused = ["not_found", "not_a_participant", "already_participant", "invalid"];
                if let Err(error) = done {
                    let code = error.code();
                    assert!(refused.contains(&code.name) || code == ALREADY_READ, "{error:?}");
                }
            }
        });
        join_all(work).await;
        assert_eq!(audit::differences(store.db.reader()).await.unwrap(), Vec::<String>::new());
    }
}

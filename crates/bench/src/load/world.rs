//! What the bench loads: who is in which thread, and who sent which message, by rule and not by chance, so that the load
//! generator knows all ids without asking.
//!
//! The first users are special, and so are the first threads ([`Block`]). The other users talk with their neighbours.

use uuid::Uuid;

/// The users from this one on are ordinary.
pub const FIRST_ORDINARY: u64 = 10;
/// How long before its end the first message was sent.
const SPAN_MILLIS: u64 = 20 * 24 * 3_600_000;

/// How much to load.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// The number of users.
    pub users: u64,
    /// The number of threads.
    pub threads: u64,
    /// The number of messages.
    pub messages: u64,
}

/// Who takes part in a thread.
#[derive(Clone, Copy, Debug)]
pub enum Member {
    /// The user with that number.
    Fixed(u64),
    /// An ordinary user, some places after that of the thread. With `turns` it is one place further each time that all
    /// ordinary users had a thread.
    Ring { shift: u64, turns: bool },
}

/// The participants of each thread of a block.
#[derive(Clone, Debug)]
pub enum Members {
    /// The first users.
    First(u64),
    /// These.
    Listed(Vec<Member>),
}

/// Threads of one kind.
#[derive(Clone, Debug)]
pub struct Block {
    /// Part of the ids of its threads and messages.
    pub code: u64,
    /// The number of its threads.
    pub threads: u64,
    /// The number of messages of each thread.
    pub per_thread: u64,
    /// The participants of each thread.
    pub members: Members,
    /// Whether its threads are direct.
    pub is_direct: bool,
    /// Whether the first participant sent all messages.
    pub one_way: bool,
    /// The position of the second participant, or of user 4 in a thread of the first users.
    pub second_read: u64,
}

/// All that is loaded.
#[derive(Clone, Debug)]
pub struct World {
    /// The number of users.
    pub users: u64,
    /// The time of the first message, in milliseconds since 1970.
    pub start: u64,
    /// One thread of up to 10,000 users, with a tenth of all messages. User 4 has read none of it.
    pub large: Block,
    /// One thread of up to 1,000 users.
    pub medium: Block,
    /// One direct thread: a tenth of all messages, from user 2, unread by user 1.
    pub unread: Block,
    /// One direct thread: a tenth of all messages, from user 2, read by user 3.
    pub read: Block,
    /// The threads of user 0: up to 10,000.
    pub many: Block,
    /// The threads of user 5: up to 1,000.
    pub some: Block,
    /// The 10 threads of user 6.
    pub few: Block,
    /// Direct threads of ordinary users. The second has read half of each.
    pub directs: Block,
    /// Groups of three ordinary users.
    pub groups: Block,
}

impl World {
    /// Plans the load. `end` is the time of the last message, in milliseconds since 1970.
    pub fn new(sizes: Sizes, end: u64) -> Self {
        let Sizes { users, threads, messages } = sizes;
        let users = users.max(100);
        let tenth = (messages / 10).max(20);
        let many = (threads / 2).clamp(20, 10_000);
        let some = (threads / 10).clamp(15, 1_000);
        let rest = (threads.saturating_sub(many + some + 14) / 2).max(20);
        let ordinary = users - FIRST_ORDINARY;
        // A pair has one direct thread.
        let rest = rest.min(ordinary * (ordinary / 2 - 1));
        let per = |share: u64, threads: u64| (messages * share / 1000 / threads).max(4);
        let ring = |shift, turns| Member::Ring { shift, turns };
        let block = |code, threads, per_thread, members| Block {
            code,
            threads,
            per_thread,
            members,
            is_direct: false,
            one_way: false,
            second_read: per_thread,
        };
        let of = |user| Members::Listed(vec![Member::Fixed(user), ring(0, false), ring(1, false)]);
        let direct = |from, to| Members::Listed(vec![Member::Fixed(from), Member::Fixed(to)]);
        let one_way = |block: Block| Block { is_direct: true, one_way: true, ..block };
        let per_direct = per(300, rest);
        Self {
            users,
            start: end.saturating_sub(SPAN_MILLIS),
            large: Block { second_read: 0, ..block(1, 1, tenth, Members::First(users.min(10_000))) },
            medium: block(2, 1, (messages / 100).max(20), Members::First(users.min(1_000))),
            unread: Block { second_read: 0, ..one_way(block(3, 1, tenth, direct(2, 1))) },
            read: one_way(block(4, 1, tenth, direct(2, 3))),
            many: block(5, many, per(50, many), of(0)),
            some: block(6, some, per(30, some), of(5)),
            few: block(7, 10, per(10, 10), of(6)),
            directs: Block {
                is_direct: true,
                second_read: per_direct / 2,
                ..block(8, rest, per_direct, Members::Listed(vec![ring(0, false), ring(1, true)]))
            },
            groups: block(
                9,
                rest,
                per(300, rest),
                Members::Listed(vec![ring(0, false), ring(1, true), ring(2, true)]),
            ),
        }
    }

    /// The blocks, in the order of their codes.
    pub fn blocks(&self) -> [&Block; 9] {
        [
            &self.large,
            &self.medium,
            &self.unread,
            &self.read,
            &self.many,
            &self.some,
            &self.few,
            &self.directs,
            &self.groups,
        ]
    }

    /// The number of ordinary users.
    pub fn ordinary(&self) -> u64 {
        self.users - FIRST_ORDINARY
    }

    /// The id of a user.
    pub fn user(&self, number: u64) -> Uuid {
        id(self.start, USER, number)
    }

    /// The id of the session of a user.
    pub fn session(&self, number: u64) -> Uuid {
        id(self.start, SESSION, number)
    }

    /// The id of a thread.
    pub fn thread(&self, block: &Block, number: u64) -> Uuid {
        id(self.start, THREAD + block.code, number)
    }

    /// The number of the participant of a thread at that place.
    pub fn member(&self, block: &Block, thread: u64, place: u64) -> u64 {
        match &block.members {
            Members::First(count) => place % count,
            Members::Listed(members) => {
                let place = usize::try_from(place).unwrap_or(0) % members.len();
                members.get(place).map_or(0, |member| member.number(thread, self.ordinary()))
            }
        }
    }

    /// The number of a participant who writes in the thread.
    pub fn sender(&self, block: &Block, thread: u64, number: u64) -> u64 {
        self.member(block, thread, if block.one_way { 0 } else { number })
    }
}

impl Member {
    fn number(self, thread: u64, ordinary: u64) -> u64 {
        match self {
            Self::Fixed(user) => user,
            Self::Ring { shift, turns } => {
                let turn = if turns { thread / ordinary } else { 0 };
                FIRST_ORDINARY + (thread % ordinary + shift + turn) % ordinary
            }
        }
    }

    /// The same as an expression of `t`, the number of the thread.
    pub fn sql(self, ordinary: u64) -> String {
        match self {
            Self::Fixed(user) => user.to_string(),
            Self::Ring { shift, turns } => {
                let turn = if turns { format!(" + t / {ordinary}") } else { String::new() };
                format!("({FIRST_ORDINARY} + (t % {ordinary} + {shift}{turn}) % {ordinary})")
            }
        }
    }
}

/// The codes in the ids of the tables' rows.
pub const USER: u64 = 0x001;
/// See [`USER`].
pub const SESSION: u64 = 0x002;
/// Plus that of the block.
pub const THREAD: u64 = 0x100;
/// Plus that of the block.
pub const MESSAGE: u64 = 0x200;

/// An id like a UUIDv7: the time, a code, a number.
pub fn id(millis: u64, code: u64, number: u64) -> Uuid {
    let (high, low) = ((millis << 16) | 0x7000 | code, (0x8 << 60) | number);
    Uuid::from_u64_pair(high, low)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_pair_has_one_direct_thread() {
        let world = World::new(Sizes { users: 100, threads: 5000, messages: 10_000 }, SPAN_MILLIS);
        let pair = |thread| {
            let pair = [0, 1].map(|place| world.member(&world.directs, thread, place));
            (pair[0].min(pair[1]), pair[0].max(pair[1]))
        };
        let pairs: HashSet<_> = (0..world.directs.threads).map(pair).collect();
        assert_eq!(pairs.len() as u64, world.directs.threads);
        assert!(pairs.iter().all(|(first, second)| first != second && *second < world.users));
    }

    #[test]
    fn ids_are_of_version_7_and_in_the_order_of_time() {
        let ids = [id(1, USER, 5), id(1, USER, 6), id(2, USER, 0)];
        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
    }
}

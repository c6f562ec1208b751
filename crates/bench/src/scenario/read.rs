//! The scenarios that read.

use uuid::Uuid;

use super::{Ground, Scenario, mix, one_of, ordinary};
use crate::load::{
    PASSWORD,
    tables::username,
    world::{FIRST_ORDINARY, World},
};

/// How many users are active at the same time: what the service remembers of them is used more than once.
const ACTIVE: u64 = 1000;

pub(super) fn scenarios(ground: &Ground) -> Vec<Scenario> {
    let mut all = vec![login(ground), me(ground, "me", ACTIVE), me(ground, "me, all users", u64::MAX)];
    all.extend(messages(ground));
    all.extend(threads(ground));
    all.extend(boxes(ground));
    all.extend(search(ground));
    all
}

fn hex(id: Uuid) -> String {
    id.simple().to_string()
}

fn login(ground: &Ground) -> Scenario {
    let request = ground.post(|world, number| {
        let user = ordinary(world, number);
        let body = format!(r#"{{"username":"{}","password":"{PASSWORD}"}}"#, username(user));
        (user, "/auth/login".into(), body)
    });
    Scenario { name: "login", request, connections: Some(4), direct: None }
}

/// The profiles of the first so many ordinary users, at random.
fn me(ground: &Ground, name: &'static str, users: u64) -> Scenario {
    let user = move |world: &World, number| FIRST_ORDINARY + mix(number) % world.ordinary().min(users);
    let id = ground.dialect.id_parameter(1);
    let direct = ground.reads(
        format!("SELECT * FROM users WHERE id = {id} AND deleted_at IS NULL"),
        move |world, number| vec![hex(world.user(user(world, number)))],
    );
    let request = ground.get(move |world, number| (user(world, number), "/users/me".into()));
    Scenario { name, request, connections: None, direct: Some(direct) }
}

/// The columns of a message, with the times of its first receipts, and its author.
const MESSAGE: &str = "m.*,
    coalesce((SELECT CASE WHEN f.user_id <> m.sender_id THEN f.at END FROM first_receipts f
        WHERE f.thread_id = m.thread_id AND f.kind = 'delivered' AND f.rank = 1 AND f.seq >= m.seq ORDER BY f.seq LIMIT 1),
      (SELECT CASE WHEN f.user_id <> m.sender_id THEN f.at END FROM first_receipts f
        WHERE f.thread_id = m.thread_id AND f.kind = 'delivered' AND f.rank = 2 AND f.seq >= m.seq ORDER BY f.seq LIMIT 1)) AS delivered_at,
    coalesce((SELECT CASE WHEN f.user_id <> m.sender_id THEN f.at END FROM first_receipts f
        WHERE f.thread_id = m.thread_id AND f.kind = 'read' AND f.rank = 1 AND f.seq >= m.seq ORDER BY f.seq LIMIT 1),
      (SELECT CASE WHEN f.user_id <> m.sender_id THEN f.at END FROM first_receipts f
        WHERE f.thread_id = m.thread_id AND f.kind = 'read' AND f.rank = 2 AND f.seq >= m.seq ORDER BY f.seq LIMIT 1)) AS read_at";

fn messages(ground: &Ground) -> [Scenario; 3] {
    let (thread, user) = (ground.dialect.id_parameter(1), ground.dialect.id_parameter(2));
    let list = |before: &str| {
        format!(
            "SELECT {MESSAGE}, p.user_id, p.role
             FROM messages m
             JOIN users_and_threads p ON p.thread_id = m.thread_id AND p.user_id = {user} AND p.left_at IS NULL
             JOIN threads t ON t.id = m.thread_id AND t.deleted_at IS NULL
             WHERE m.thread_id = {thread} AND m.seq > p.joined_seq AND m.deleted_at IS NULL {before}
             ORDER BY m.seq DESC LIMIT 21"
        )
    };
    let of_direct = |world: &World, number: u64| {
        let thread = one_of(&world.directs, number);
        (world.thread(&world.directs, thread), world.member(&world.directs, thread, number))
    };
    let of_large = |world: &World, number: u64| {
        (world.thread(&world.large, 0), world.member(&world.large, 0, mix(number)))
    };
    let path = |thread: Uuid| format!("/threads/{thread}/messages?limit=20");
    let seq = ground.dialect.number_parameter(3);
    let place = |world: &World, number: u64| 20 + mix(number) % (world.large.per_thread / 2).max(1);
    [
        Scenario {
            name: "list 20",
            request: ground.get(move |world, number| {
                let (thread, user) = of_direct(world, number);
                (user, path(thread))
            }),
            connections: None,
            direct: Some(ground.reads(list(""), move |world, number| {
                let (thread, user) = of_direct(world, number);
                vec![hex(thread), hex(world.user(user))]
            })),
        },
        Scenario {
            name: "list 20, largest thread",
            request: ground.get(move |world, number| {
                let (thread, user) = of_large(world, number);
                (user, path(thread))
            }),
            connections: None,
            direct: Some(ground.reads(list(""), move |world, number| {
                let (thread, user) = of_large(world, number);
                vec![hex(thread), hex(world.user(user))]
            })),
        },
        Scenario {
            name: "list 20, deep",
            request: ground.get(move |world, number| {
                let (thread, user) = of_large(world, number);
                (user, format!("{}&before={}", path(thread), place(world, number)))
            }),
            connections: None,
            direct: Some(ground.reads(list(&format!("AND m.seq < {seq}")), move |world, number| {
                let (thread, user) = of_large(world, number);
                vec![hex(thread), hex(world.user(user)), place(world, number).to_string()]
            })),
        },
    ]
}

fn threads(ground: &Ground) -> [Scenario; 4] {
    let of = |name, user: Option<u64>| Scenario {
        name,
        request: ground.get(move |world, number| {
            (user.unwrap_or_else(|| ordinary(world, number)), "/threads?limit=20".into())
        }),
        connections: None,
        direct: None,
    };
    [
        of("threads, ordinary user", None),
        of("threads, 10 threads", Some(6)),
        of("threads, 1,000 threads", Some(5)),
        of("threads, 10,000 threads", Some(0)),
    ]
}

fn boxes(ground: &Ground) -> [Scenario; 6] {
    let user = ground.dialect.id_parameter(1);
    let page = |side: &str| {
        format!(
            "SELECT {MESSAGE} FROM messages m WHERE m.id IN (
                SELECT id FROM messages WHERE {side} = {user} AND deleted_at IS NULL ORDER BY id DESC LIMIT 20
             ) ORDER BY m.id DESC"
        )
    };
    let unread = format!(
        "SELECT {MESSAGE} FROM messages m WHERE m.id IN (
            SELECT i.id FROM messages i
            JOIN users_and_threads p ON p.thread_id = i.thread_id AND p.user_id = {user} AND p.left_at IS NULL
            WHERE i.receiver_id = {user} AND i.deleted_at IS NULL AND i.seq > p.last_read_seq
                AND i.sender_id <> {user}
            ORDER BY i.id DESC LIMIT 20
         ) ORDER BY m.id DESC"
    );
    let of = |name, path: &'static str, sql: String, user: Option<u64>| Scenario {
        name,
        request: ground
            .get(move |world, number| (user.unwrap_or_else(|| ordinary(world, number)), path.into())),
        connections: None,
        direct: Some(ground.reads(sql, move |world, number| {
            vec![hex(world.user(user.unwrap_or_else(|| ordinary(world, number))))]
        })),
    };
    let (inbox, outbox) = ("/messages/inbox?size=20", "/messages/outbox?size=20");
    let only_unread = "/messages/inbox?size=20&unread_only=true";
    [
        of("inbox", inbox, page("receiver_id"), None),
        of("inbox, unread", only_unread, unread.clone(), None),
        of("inbox, a tenth of all", inbox, page("receiver_id"), Some(3)),
        of("inbox, unread, a tenth of all", only_unread, unread.clone(), Some(1)),
        of("inbox, unread, a tenth of all read", only_unread, unread, Some(3)),
        of("outbox, a fifth of all", outbox, page("sender_id"), Some(2)),
    ]
}

fn search(ground: &Ground) -> [Scenario; 1] {
    // A part of a name that few have.
    let part = |world: &World, number: u64| {
        let name = username(ordinary(world, number));
        name.get(6..).unwrap_or_default().to_owned()
    };
    let request = ground.get(move |world, number| {
        (ordinary(world, number), format!("/users/search?size=20&q={}", part(world, number)))
    });
    [Scenario { name: "search users", request, connections: None, direct: None }]
}

//! The statements that fill the tables.

use super::{
    sql::Dialect,
    world::{Block, MESSAGE, Members, SESSION, THREAD, USER, World},
};
/// Five letters each.
const FIRST_NAMES: &str = "AdaraBorisCarlaDavidEmilyFrankGraceHenryIrinaJamesKarenLouisMariaNadiaOscarPaula";
const LAST_NAMES: &str = "AdlerBakerClarkDixonEvansFoleyGreenHayesIrwinJonesKeaneLopezMyersNolanOwensPrice";
/// The time from the first message to the last one, in milliseconds.
const SPAN: u64 = 20 * 24 * 3_600_000;
/// The participants of the largest thread that moves in the lists of its participants.
pub const SMALL_THREAD: u32 = 50;

/// All users. Their names are those of [`username`].
pub fn users(dialect: Dialect, world: &World, hash: &str) -> String {
    let start = world.start.to_string();
    let (id, time) = (dialect.id(&start, USER, "i"), dialect.time(&start));
    let name =
        |names: &str, number: &str| format!("substr('{names}', CAST(1 + 5 * ({number} % 16) AS INTEGER), 5)");
    let (first, last) = (name(FIRST_NAMES, "i"), name(LAST_NAMES, "(i / 16)"));
    let username = format!("'user' || substr({}, 9)", dialect.hex("i"));
    let series = dialect.series(0, world.users - 1);
    format!(
        "INSERT INTO users (id, created_at, updated_at, username, email, email_confirmed, password_hash, first_name,
            last_name, is_active, mfa_enabled, \"group\", last_seen)
         SELECT {id}, {time}, {time}, {username}, {username} || '@example.org', false, '{hash}', {first}, {last},
            true, false, 'regular', 'contacts'
         FROM {series}"
    )
}

/// The name of a user.
pub fn username(number: u64) -> String {
    format!("user{number:07x}")
}

/// A session of each user, for a year.
pub fn sessions(dialect: Dialect, world: &World) -> String {
    let start = world.start.to_string();
    let (id, user) = (dialect.id(&start, SESSION, "i"), dialect.id(&start, USER, "i"));
    let hash = format!("'{}' || {}", "x".repeat(28), dialect.hex("i"));
    let (from, to) = (dialect.time(&start), dialect.time(&(world.start + 18 * SPAN).to_string()));
    let series = dialect.series(0, world.users - 1);
    format!(
        "INSERT INTO sessions (id, user_id, family_hash, token_hash, created_at, expires_at)
         SELECT {id}, {user}, {hash}, {hash}, {from}, {to} FROM {series}"
    )
}

/// The threads of a block.
pub fn threads(dialect: Dialect, world: &World, block: &Block) -> String {
    let start = world.start.to_string();
    let id = dialect.id(&start, THREAD + block.code, "t");
    let last = millis(world, block, &format!("(({} - 1) * {} + t)", block.per_thread, block.threads));
    let (created, active) = (dialect.time(&start), dialect.time(&last));
    let (creator, count) = match &block.members {
        Members::First(count) => ("0".to_owned(), *count),
        Members::Listed(all) => (at(all, 0, world), all.len() as u64),
    };
    let (kind, name, key, history) = match &block.members {
        Members::Listed(all) if block.is_direct => {
            let key = pair(dialect, world, &at(all, 0, world), &at(all, 1, world));
            ("direct", "NULL".to_owned(), key, "full")
        }
        _ => ("group", format!("'Group {} ' || t", block.code), "NULL".to_owned(), "from_joining"),
    };
    let creator = dialect.id(&start, USER, &creator);
    let (seq, version) = (block.per_thread, block.per_thread + 1);
    let series = dialect.series(0, block.threads - 1);
    format!(
        "INSERT INTO threads (id, created_at, updated_at, type, name, creator_id, direct_key, history, last_seq,
            version, details_version, last_activity_at, participant_count)
         SELECT {id}, {created}, {active}, '{kind}', {name}, {creator}, {key}, '{history}', {seq}, {version}, 1,
            {active}, {count}
         FROM (SELECT i AS t FROM {series}) AS all_threads"
    )
}

/// The participants of a block's threads, a statement for each place.
pub fn participants(dialect: Dialect, world: &World, block: &Block) -> Vec<String> {
    let last = block.per_thread;
    let statement = |user: &str, role: &str, read: &str, (from, to): (u64, u64), t: &str| {
        let start = world.start.to_string();
        let (thread, id) = (dialect.id(&start, THREAD + block.code, "t"), dialect.id(&start, USER, user));
        let (time, series) = (dialect.time(&start), dialect.series(from, to));
        format!(
            "INSERT INTO users_and_threads (thread_id, user_id, role, joined_at, joined_seq, joined_version,
                last_delivered_seq, last_read_seq, version)
             SELECT {thread}, {id}, {role}, {time}, 0, 1, {read}, {read}, 1
             FROM (SELECT {t} AS t, i FROM {series}) AS all_participants"
        )
    };
    match &block.members {
        Members::First(count) => {
            let (second, behind) = (block.second_read, last.saturating_sub(3));
            let read = format!("CASE WHEN i = 4 THEN {second} WHEN i % 10 = 9 THEN {behind} ELSE {last} END");
            let role = "CASE WHEN i = 0 THEN 'owner' ELSE 'member' END";
            vec![statement("i", role, &read, (0, count - 1), "0")]
        }
        Members::Listed(all) => {
            let one = |(place, member): (usize, &super::world::Member)| {
                let read = if place == 1 { block.second_read } else { last };
                let role = if place == 0 && !block.is_direct { "'owner'" } else { "'member'" };
                statement(&member.sql(world.ordinary()), role, &read.to_string(), (0, block.threads - 1), "i")
            };
            all.iter().enumerate().map(one).collect()
        }
    }
}

/// Messages of a block, by their numbers in it.
pub fn messages(dialect: Dialect, world: &World, block: &Block, (from, to): (u64, u64)) -> String {
    let start = world.start.to_string();
    let user = |number: &str| dialect.id(&start, USER, number);
    let (sender, receiver) = match &block.members {
        Members::First(count) => (user(&format!("(s * 7919) % {count}")), "NULL".to_owned()),
        Members::Listed(all) if block.one_way => (user(&at(all, 0, world)), user(&at(all, 1, world))),
        Members::Listed(all) => {
            let cases = |shift: usize| {
                let case = |place: usize| format!("WHEN {place} THEN {}", at(all, place + shift, world));
                let cases: Vec<_> = (0..all.len()).map(case).collect();
                user(&format!("CASE s % {} {} END", all.len(), cases.join(" ")))
            };
            (cases(0), if block.is_direct { cases(1) } else { "NULL".to_owned() })
        }
    };
    let (id, thread) =
        (dialect.id("ms", MESSAGE + block.code, "i"), dialect.id(&start, THREAD + block.code, "t"));
    let (time, millis) = (dialect.time("ms"), millis(world, block, "i"));
    let (threads, series) = (block.threads, dialect.series(from, to));
    format!(
        "INSERT INTO messages (id, created_at, updated_at, thread_id, seq, version, sender_id, receiver_id, text)
         SELECT {id}, {time}, {time}, {thread}, s, s + 1, {sender}, {receiver}, 'A text of thirty bytes ' || {number}
         FROM (SELECT i, i % {threads} AS t, i / {threads} + 1 AS s, {millis} AS ms FROM {series}) AS all_messages",
        number = format_args!("substr({}, 9, 7)", dialect.hex("i")),
    )
}

/// Parts of the whole time, in milliseconds after its begin.
pub fn spans(count: u64) -> impl Iterator<Item = (u64, u64)> {
    (0..count).map(move |part| (SPAN * part / count, SPAN * (part + 1) / count))
}

/// The events of the messages of a part of the time, in their order.
pub fn events(dialect: Dialect, world: &World, (from, to): (u64, u64)) -> String {
    let bound = |millis: u64| dialect.id(&(world.start + millis).to_string(), 0, "0");
    let payload = dialect.payload("seq");
    format!(
        "INSERT INTO events (subject_kind, subject_id, version, kind, actor_id, payload, created_at)
         SELECT 'thread', thread_id, version, 'message.created', sender_id, {payload}, created_at
         FROM messages WHERE id >= {} AND id < {} ORDER BY id",
        bound(from),
        bound(to),
    )
}

/// What follows from the other rows: receipts, the places of threads in lists, and the numbers of own messages.
pub fn derived(dialect: Dialect) -> Vec<String> {
    let (now, minute) = (dialect.now(), dialect.minute("last_activity_at"));
    let first = "SELECT thread_id, user_id, last_read_seq AS seq,
            row_number() OVER (PARTITION BY thread_id ORDER BY last_read_seq DESC, user_id) AS rank
         FROM users_and_threads WHERE last_read_seq > 0";
    let kinds = "(SELECT 'delivered' AS kind UNION ALL SELECT 'read') AS kinds";
    let end = i64::MAX;
    // SQLite keeps the order of a cross join. Without it, it would look for the messages of each participant.
    let join = match dialect {
        Dialect::Postgres => "JOIN",
        Dialect::Sqlite => "CROSS JOIN",
    };
    vec![
        format!(
            "INSERT INTO receipts (thread_id, user_id, kind, seq, from_seq, at, folded)
             SELECT thread_id, user_id, 'read', last_read_seq, 0, {now}, false
             FROM users_and_threads WHERE last_read_seq > 0"
        ),
        format!(
            "INSERT INTO first_receipts (thread_id, kind, rank, seq, from_seq, user_id, at)
             SELECT thread_id, kind, rank, seq, 0, user_id, {now} FROM ({first}) AS ranked, {kinds} WHERE rank <= 2"
        ),
        format!(
            "INSERT INTO first_receipts (thread_id, kind, rank, seq, from_seq)
             SELECT thread_id, kind, rank, {end}, seq FROM ({first}) AS ranked, {kinds} WHERE rank <= 2"
        ),
        format!("UPDATE threads SET recent_minute = CASE WHEN participant_count > {SMALL_THREAD} THEN 0 ELSE {minute} END"),
        "INSERT INTO recent_threads (user_id, minute, thread_id)
         SELECT users_and_threads.user_id, threads.recent_minute, threads.id
         FROM users_and_threads JOIN threads ON threads.id = users_and_threads.thread_id"
            .into(),
        format!(
            "UPDATE users_and_threads SET sent_since_read = sent.number
             FROM (
                 SELECT messages.thread_id, messages.sender_id, count(*) AS number
                 FROM messages {join} users_and_threads AS readers
                     ON readers.thread_id = messages.thread_id AND readers.user_id = messages.sender_id
                 WHERE messages.seq > readers.last_read_seq
                 GROUP BY messages.thread_id, messages.sender_id
             ) AS sent
             WHERE sent.thread_id = users_and_threads.thread_id AND sent.sender_id = users_and_threads.user_id"
        ),
    ]
}

/// The number of the participant at a place, as an expression of `t`.
fn at(members: &[super::world::Member], place: usize, world: &World) -> String {
    members.get(place % members.len()).map_or_else(|| "0".into(), |member| member.sql(world.ordinary()))
}

/// When a message of a block was sent, as an expression of its number.
fn millis(world: &World, block: &Block, number: &str) -> String {
    format!("({} + {number} * {SPAN} / {})", world.start, block.threads * block.per_thread)
}

/// The key of the direct thread of two users: their ids in order.
fn pair(dialect: Dialect, world: &World, first: &str, second: &str) -> String {
    let prefix = super::world::id(world.start, USER, 0).to_string();
    // The last 12 digits are those of the number.
    let prefix = prefix.get(..24).unwrap_or_default();
    let text = |number: &str| format!("'{prefix}' || substr({}, 4)", dialect.hex(number));
    let (low, high) = match dialect {
        Dialect::Postgres => ("least", "greatest"),
        Dialect::Sqlite => ("min", "max"),
    };
    let (low, high) =
        (text(&format!("{low}({first}, {second})")), text(&format!("{high}({first}, {second})")));
    format!("{low} || ':' || {high}")
}
